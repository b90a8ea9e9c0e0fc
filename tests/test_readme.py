"""The README matches the code; the root conftest.py runs its Python blocks."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from flask_profile.error_responses import ERROR_RESPONSES
from flask_profile.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def find_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def read_table(heading):
    """Return the cells of the first table below a heading, without the table's header."""
    rows = re.findall(r"^\|(.*)\|$", README.split(f"## {heading}\n")[1].split("\n## ")[0], re.M)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows[2:]]


def test_the_first_block_is_the_quickstart_in_at_most_thirty_lines():
    quickstart = (ROOT / "examples/quickstart.py").read_text()
    assert find_blocks("python")[0] == quickstart
    assert len(quickstart.splitlines()) <= 30


def test_the_settings_match_the_code():
    documented = {row[0].strip("`"): row[1].strip("`") for row in read_table("Configuration")}
    assert list(documented) == [f"PROFILE_{field.name.upper()}" for field in fields(Settings)]
    for field in fields(Settings):
        if field.default is not None:
            value = documented[f"PROFILE_{field.name.upper()}"]
            assert ast.literal_eval(value) == field.default


def test_the_responses_match_the_code():
    responses = {
        (row.status, row.render(method=method, media_type="text/plain", limit=102_400))
        for row in ERROR_RESPONSES.values()
        for method in ("GET", "PATCH")
        if row.body and not (method == "PATCH" and "{method}" in str(row.body))
    }
    reading = read_table("What a client gets")[1:]
    editing = read_table("Let users keep it up to date")
    (schemas,) = (row for row in editing if "<field>" in row[2])
    assert schemas[1] == "400"
    rows = [row for row in reading + editing if row is not schemas]
    assert {(int(status), body.strip("`")) for _, status, body in rows} == responses


def test_the_profile_is_in_the_format_of_json_dumps():
    (profile,) = find_blocks("json")
    assert json.dumps(json.loads(profile)) == profile.strip()


def test_the_ratios_match_the_measurements():
    measurements = (ROOT / "docs/performance.md").read_text().split("## In process")[1]

    def read_medians(contender):
        cells = measurements.split(f"| {contender} |")[1].split(" | ")
        return float(cells[0].replace(",", "")), float(cells[3].replace(",", ""))

    ratios = [
        f"{theirs / ours:.1f}"
        for contender in ("by hand", "Django REST framework + SimpleJWT")
        for theirs, ours in zip(read_medians(contender), read_medians("**ours**"), strict=True)
    ]
    (sentence,) = re.findall(r"what a profile costs .*? times\.", README, re.DOTALL)
    assert re.findall(r"\d\.\d", sentence) == ratios


@pytest.mark.parametrize("command", find_blocks("sh"))
def test_a_shell_block_is_a_single_line(command):
    assert command.count("\n") == 1
    assert shlex.split(command)


def test_no_document_says_to_install_the_unrelated_flask_profile_package():
    for document in ROOT.glob("*.md"):
        assert not re.search(r"install\s+flask-profile\b(?!-api)", document.read_text())
