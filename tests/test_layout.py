"""The files of the package stand in an order: no import points up or in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import flask_profile

ROOT = Path(flask_profile.__file__).parent


def imported_names(path):
    """Yield what a file imports of the package at run time, in functions too."""
    package = ".".join(path.relative_to(ROOT.parent).parent.parts)
    nodes = [ast.parse(path.read_text())]
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((module, alias.name) for alias in node.names)
        nodes += ast.iter_child_nodes(node)


@pytest.fixture(scope="module")
def imports():
    """Return the modules that each module imports, all by their full names."""
    paths = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        paths[".".join(part for part in parts if part != "__init__")] = path
    return {
        module: {
            f"{source}.{name}" if f"{source}.{name}" in paths else source
            for source, name in imported_names(path)
        }
        for module, path in paths.items()
    }


def test_no_import_is_circular(imports):
    order = [*TopologicalSorter(imports).static_order()]
    assert order.index("flask_profile.errors") < order.index("flask_profile.settings")
    assert order.index("flask_profile.views") < order.index("flask_profile.blueprint")
    assert {*order} == {*imports}


def test_the_exceptions_and_responses_import_nothing_of_the_package(imports):
    assert imports["flask_profile.errors"] == set()


@pytest.mark.parametrize("package", ["flask_profile.cli", "flask_profile.openapi"])
def test_only_the_blueprint_and_the_commands_need_the_commands_and_openapi(package, imports):
    users = {
        name
        for name, modules in imports.items()
        if any(module.startswith(package) for module in modules) and not name.startswith(package)
    }
    assert users <= {"flask_profile.blueprint", "flask_profile.cli.commands"}
