"""The commands of ``flask profile``, which a ProfileBlueprint adds to its app."""

from __future__ import annotations

from .commands import profile_commands

__all__ = ["profile_commands"]
