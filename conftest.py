"""Runs the code of the README with the tests, and takes the databases to test on."""

from __future__ import annotations

from collections.abc import Generator
from unittest import SkipTest

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def _name_module(namespace: dict[str, object]) -> None:
    namespace["__name__"] = "readme"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=_name_module,
).pytest()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Report a block that Sybil skips as skipped, which pytest no longer does of itself."""
    try:
        yield
    except SkipTest as skipped:
        pytest.skip(str(skipped))


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
