"""The check of the mode that the app runs in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .problem import Problem

if TYPE_CHECKING:
    from flask import Flask


def check_mode(app: Flask) -> Iterator[Problem]:
    """Yield a problem if the app is in debug or testing mode."""
    if app.debug or app.testing:
        yield Problem(
            "debug",
            "The app is in debug or testing mode, so an exception is raised instead of a 500 "
            "response. In production, everybody could see it. Do not enable these modes there:\n\n"
            "    flask --no-debug profile check",
            level="warning",
        )
