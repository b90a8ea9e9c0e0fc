"""A Flask blueprint that returns the profile of the authenticated user as JSON."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .blueprint import ProfileBlueprint
from .errors import ConfigurationError
from .models import ProfileMixin
from .schemas import ProfileSchema

if TYPE_CHECKING:
    from .openapi import openapi_spec
    from .signals import profile_deleted, profile_updated

__all__ = [
    "ConfigurationError",
    "ProfileBlueprint",
    "ProfileMixin",
    "ProfileSchema",
    "openapi_spec",
    "profile_deleted",
    "profile_updated",
]

# The public names of the opt-in parts, which are imported when they are used.
_OPT_IN = {
    "openapi_spec": "openapi",
    "profile_deleted": "signals",
    "profile_updated": "signals",
}


def __getattr__(name: str) -> object:
    if name in _OPT_IN:
        return getattr(import_module(f".{_OPT_IN[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
