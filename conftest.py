"""Runs the code of the README with the tests, and takes the databases to test on."""

from __future__ import annotations

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser


def _name_module(namespace: dict[str, object]) -> None:
    namespace["__name__"] = "readme"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()], patterns=["README.md", "docs/*.md"], setup=_name_module
).pytest()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --database, which may be repeated."""
    parser.addoption(
        "--database",
        action="append",
        metavar="URL",
        help="test on this database instead of SQLite in memory; may be repeated",
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which databases were not tested, unless the reader chose them."""
    if not config.getoption("--database"):
        terminalreporter.write_line(
            "SQLite in memory only: PostgreSQL and MariaDB were skipped, since no --database URL "
            "named them (see CONTRIBUTING.md)."
        )
