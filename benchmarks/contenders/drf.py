"""Django REST framework with SimpleJWT: a view of the authenticated user."""

from __future__ import annotations

from contenders.django_site.wsgi import app, token

__all__ = ["app", "token"]

METHOD, PATH = "POST", "/api/profile/"
