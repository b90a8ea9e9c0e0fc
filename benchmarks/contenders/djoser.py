"""Djoser with SimpleJWT, its serializer of the current user set to the same fields."""

from __future__ import annotations

from contenders.django_site.wsgi import app, token

__all__ = ["app", "token"]

METHOD, PATH = "GET", "/users/me/"
