"""Djoser with SimpleJWT, and a serializer of the current user with the same fields."""

from __future__ import annotations

from contenders.django_site.wsgi import app, create_token

__all__ = ["app", "create_token"]

METHOD, PATH = "GET", "/users/me/"
