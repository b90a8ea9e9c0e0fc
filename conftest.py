"""Runs the code blocks of the README and the docs as tests, and adds options."""

from __future__ import annotations

import gc
from collections.abc import Generator
from importlib.util import find_spec
from typing import Any
from unittest import SkipTest
from weakref import WeakSet

import pytest
from sqlalchemy import Engine
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def _find_engines() -> WeakSet[Engine]:
    return WeakSet(value for value in gc.get_objects() if type(value) is Engine)


def _prepare_page(namespace: dict[str, Any]) -> None:
    """Prepare the namespace of a page; ``find_spec`` is for the conditions of its skips."""
    namespace.update(__name__="page", find_spec=find_spec, engines_before=_find_engines())


def _close_page(namespace: dict[str, Any]) -> None:
    """Close the connections of the apps that the blocks of a page have made."""
    for engine in _find_engines() - namespace["engines_before"]:
        engine.dispose()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=_prepare_page,
    teardown=_close_page,
).pytest()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Report a code block as skipped if Sybil skips it.

    Sybil raises ``unittest.SkipTest``, which pytest no longer treats as a skip. Garbage is
    collected between the tests: a finalizer that is called in the deep recursion that a hostile
    token causes would raise RecursionError.
    """
    gc.disable()
    try:
        yield
    except SkipTest as skipped:
        pytest.skip(str(skipped))
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Collect garbage less often: the tests keep many apps, and each collection visits them all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options --database and --thorough."""
    parser.addoption(
        "--database",
        action="append",
        metavar="URL",
        help="run the tests on this database instead of in-memory SQLite; may be repeated",
    )
    parser.addoption(
        "--thorough",
        action="store_true",
        help="send more random requests, and every hostile token by every method, as CI does",
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Report which databases were not tested, unless --database was given."""
    if not config.getoption("--database"):
        terminalreporter.write_line(
            "Tested on in-memory SQLite only. To test on PostgreSQL or MariaDB, pass --database "
            "(see CONTRIBUTING.md)."
        )
