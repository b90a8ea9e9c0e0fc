"""A Flask blueprint that answers the authenticated user's profile as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .blueprint import ProfileBlueprint
from .models import ProfileMixin
from .schemas import ProfileSchema
from .settings import ConfigurationError

if TYPE_CHECKING:
    from .signals import profile_updated

__all__ = [
    "ConfigurationError",
    "ProfileBlueprint",
    "ProfileMixin",
    "ProfileSchema",
    "profile_updated",
]


def __getattr__(name: str) -> object:
    if name == "profile_updated":  # Of the part that is opt-in: imported where it is used.
        from .signals import profile_updated

        return profile_updated
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
