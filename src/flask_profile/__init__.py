"""A Flask blueprint that answers the authenticated user's profile as JSON."""

from __future__ import annotations

from .blueprint import ProfileBlueprint
from .models import ProfileMixin
from .schemas import ProfileSchema
from .settings import ConfigurationError

__all__ = ["ConfigurationError", "ProfileBlueprint", "ProfileMixin", "ProfileSchema"]
