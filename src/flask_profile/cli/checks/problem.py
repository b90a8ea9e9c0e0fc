"""What a check reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with an app, or with one of its profiles.

    Args:
        code: A short name of the problem, which does not change between releases.
        message: What is wrong, and how to fix it.
        level: ``"error"`` where requests fail or are not safe, ``"warning"`` where that depends on
            what the check cannot know, and ``"note"`` for what is only good to know.
        blueprint: The name of the blueprint whose profile it is, if it is one profile's.
    """

    code: str
    message: str
    level: Literal["error", "warning", "note"] = "error"
    blueprint: str | None = None
