"""The problems that a check reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """A problem of an app, or of one of its profiles.

    Args:
        code: A short name of the problem, which does not change between releases.
        message: What is wrong, and how to fix it.
        level: ``"error"`` if requests fail or are not safe, ``"warning"`` if that depends on facts
            that the check cannot know, and ``"note"`` for information.
        blueprint: The name of the profile's blueprint, if the problem is in one profile.
    """

    code: str
    message: str
    level: Literal["error", "warning", "note"] = "error"
    blueprint: str | None = None
