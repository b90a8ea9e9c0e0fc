"""Write tables to pages of the manual, each between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, whose columns but the first have numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def write_table(page: str, mark: str, table: str) -> None:
    """Replace the table of a page.

    Args:
        page: The name of the page, such as ``"reliability.md"``.
        mark: The text of the comment before the table: the path of the script that makes it.
        table: The table, in Markdown.
    """
    path = DOCS / page
    before, begin, rest = path.read_text().partition(f"<!-- {mark} -->\n")
    path.write_text(f"{before}{begin}\n{table}\n{rest[rest.index('<!-- end -->') :]}")
