"""The check of the mode that the app runs in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .problem import Problem

if TYPE_CHECKING:
    from flask import Flask


def check_mode(app: Flask) -> Iterator[Problem]:
    """Yield a problem where the app is in debug or testing mode."""
    if app.debug or app.testing:
        yield Problem(
            "debug",
            "The app is in debug or testing mode. An exception then does not become a 500 "
            "response: in production, everybody could see it. There, enable neither mode:\n\n"
            "    flask --no-debug profile check",
            level="warning",
        )
