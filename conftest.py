"""Runs the code of the README with the tests."""

from __future__ import annotations

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser


def _name_module(namespace: dict[str, object]) -> None:
    namespace["__name__"] = "readme"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()], patterns=["README.md"], setup=_name_module
).pytest()
