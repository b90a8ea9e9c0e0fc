"""The manual: ``python -m sphinx -W --keep-going docs docs/_build``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from flask_profile.cli import profile_commands
from flask_profile.error_responses import ERROR_RESPONSES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "flask-profile-api"
author = "The flask-profile-api authors"
version = release = version_of("flask-profile-api")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = project
html_copy_source = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
myst_heading_anchors = 3

README = (Path(__file__).parents[1] / "README.md").read_text()


def settings() -> Iterator[str]:
    """Yield the README's table of settings, which a test compares with the code."""
    section = README.split("\n## Configuration\n")[1]
    yield from re.findall(r"^\|.*\|$", section.split("\n## ")[0], re.MULTILINE)


def answers() -> Iterator[str]:
    """Yield the table of answers, of the code that gives them."""
    yield from ("| status | body | reason, in `WWW-Authenticate` |", "|---|---|---|")
    rows = {
        (answer.status, answer.render(method=method, media_type="text/plain"), answer.reason or "")
        for answer in ERROR_RESPONSES.values()
        for method in (("GET", "PATCH") if answer.body_of_writes else ("GET",))
    }
    for status, body, reason in sorted(rows):
        # What a schema refuses has a body for each field.
        shown = body if json.loads(body) else '{"<field>": ["<message>"]}'
        yield f"| {status} | `{shown}` | {reason} |"


def commands() -> Iterator[str]:
    """Yield the help of each command, as the shell prints it."""
    for name, command in sorted(profile_commands.commands.items()):
        context = click.Context(command, info_name=f"flask profile {name}")
        yield from (f"**flask profile {name}**", "", "```text")
        yield from command.get_help(context).splitlines()
        yield from ("```", "")


class FromCode(Directive):
    """A part of the reference that is made of the code, so that it cannot lie."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what one of the functions above yields."""
        makers = {"settings": settings, "answers": answers, "commands": commands}
        made = nodes.container()
        lines = StringList([*makers[self.arguments[0]]()], source="the code")
        self.state.nested_parse(lines, self.content_offset, made)
        return made.children


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the directive."""
    app.add_directive("from-code", FromCode)
