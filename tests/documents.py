"""Reads the README and the pages of the manual."""

from __future__ import annotations

import re
from pathlib import Path

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
