"""Django REST framework with SimpleJWT, and a view that returns the authenticated user."""

from __future__ import annotations

from contenders.django_site.wsgi import app, create_token

__all__ = ["app", "create_token"]

METHOD, PATH = "POST", "/api/profile/"
