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
from marshmallow import fields
from sqlalchemy import Column
from sqlalchemy.orm import DeclarativeBase

from flask_profile import ProfileMixin, ProfileSchema
from flask_profile.cli import profile_commands
from flask_profile.fields import Identifier, UtcDateTime

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx_markdown_builder.translator import MarkdownTranslator

ROOT = Path(__file__).parents[1]

project = "flask-profile-api"
author = "The flask-profile-api authors"
copyright = f"2026, {author}"
version = release = version_of(project)
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_llm.txt",  # llms-full.txt, and each page as Markdown
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_copy_source = False
html_baseurl = "https://flask-profile-api.readthedocs.io/en/latest/"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
myst_heading_anchors = 3
llms_txt_full_build = True
llms_txt_override_source = "index"
llms_txt_suffix_mode = "replace"


def profile_fields() -> Iterator[str]:
    """Yield a table of the fields of ``ProfileSchema`` and their columns in ``ProfileMixin``."""
    yield from (
        "| field | type | length | null | default | writable |",
        "|---|---|---|---|---|---|",
    )
    types = {
        Identifier: "integer",
        UtcDateTime: "string, RFC 3339",
        fields.Boolean: "boolean",
        fields.Field: "string",
    }

    class Base(DeclarativeBase):
        pass

    class User(ProfileMixin, Base):
        __tablename__ = "user"

    for name, field in ProfileSchema().fields.items():
        column = User.__table__.columns[name]
        length = getattr(column.type, "length", None)
        cells = (
            f"`{name}`",
            next(text for type_, text in types.items() if isinstance(field, type_)),
            f"at most {length}" if length else "",
            "yes" if column.nullable else "no",
            describe_default(column),
            "no" if field.dump_only else "yes",
        )
        yield f"| {' | '.join(cells)} |"


def describe_default(column: Column[object]) -> str:
    """Return the default of a column, or nothing if a value is required."""
    if column.default is None:
        return "`null`" if column.nullable else ""
    is_constant = column.default.is_scalar
    return (
        f"`{json.dumps(column.default.arg)}`"
        if is_constant
        else "when the user is created"
    )


def settings() -> Iterator[str]:
    """Yield a definition of each setting, from the README's table, which a test compares."""
    section = (
        (ROOT / "README.md")
        .read_text()
        .split("\n## Configuration\n")[1]
        .split("\n## ")[0]
    )
    for row in re.findall(
        r"^\| `(.*)` \| (.*) \| (.*) \| (.*) \|$", section, re.MULTILINE
    ):
        key, type_, default, meaning = row
        yield from (f"```{{confval}} {key}", f":type: {type_}", f":default: {default}")
        yield from ("", f"{meaning[0].upper()}{meaning[1:]}.", "```", "")


def commands() -> Iterator[str]:
    """Yield the help of each command, as the shell prints it."""
    for name, command in sorted(profile_commands.commands.items()):
        context = click.Context(command, info_name=f"flask profile {name}")
        yield from (f"**flask profile {name}**", "", "```text")
        yield from command.get_help(context).splitlines()
        yield from ("```", "")


class FromCode(Directive):
    """A part of the reference that is made of the code, so that both agree."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what one of the functions above yields."""
        makers = {"fields": profile_fields, "settings": settings, "commands": commands}
        made = nodes.container()
        lines = StringList([*makers[self.arguments[0]]()], source="the code")
        self.state.nested_parse(lines, self.content_offset, made)
        return made.children


def visit_abbreviation(
    translator: MarkdownTranslator, node: nodes.abbreviation
) -> None:
    """Keep the text of an abbreviation, such as the ``*`` in a signature."""
    translator.add(node.astext())
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Add the directive, and the one kind of node that the Markdown builder does not know."""
    app.add_directive("from-code", FromCode)
    app.add_node(nodes.abbreviation, override=True, markdown=(visit_abbreviation, None))
