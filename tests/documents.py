"""Reads the README and the manual, and renders the responses that documents must have."""

from __future__ import annotations

import re
from pathlib import Path

from flask_profile.error_responses import ERROR_RESPONSES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]


def read_table(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without the table's header."""
    section = page.read_text().split(f"# {heading}\n")[1]
    table = re.search(r"^\|.*\|$(?:\n^\|.*\|$)*", section, re.MULTILINE)
    assert table
    return [[cell.strip() for cell in row[1:-1].split(" | ")] for row in table[0].splitlines()[2:]]


def render_errors(not_allowed: str, write: str) -> set[tuple[int, str]]:
    """Return the status and body of each error response, for both kinds of methods.

    Args:
        not_allowed: A method that a URL does not allow, for the 405 response.
        write: A method that changes something, for the 500 response.
    """
    return {
        (row.status, row.render(method=method, media_type="text/plain", limit=102_400))
        for row in ERROR_RESPONSES.values()
        for method in (not_allowed, write)
        if row.body and not (method == write and "{method}" in str(row.body))
    }
