"""The README matches the code; the root conftest.py runs its Python blocks."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import fields

import pytest

import documents
from documents import DOCS, ROOT, read_table
from flask_profile import ProfileSchema
from flask_profile.settings import Settings

README = documents.README.read_text()
MANUAL = "https://flask-profile-api.readthedocs.io/en/latest"


def find_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_block_is_the_quickstart_in_at_most_thirty_lines():
    quickstart = (ROOT / "examples/quickstart.py").read_text()
    assert find_blocks("python")[0] == quickstart
    assert len(quickstart.splitlines()) <= 30


def test_the_settings_match_the_code():
    documented = {
        row[0].strip("`"): row[2].strip("`")
        for row in read_table(documents.README, "Configuration")
    }
    assert list(documented) == [f"PROFILE_{field.name.upper()}" for field in fields(Settings)]
    for field in fields(Settings):
        if field.default is not None:
            value = documented[f"PROFILE_{field.name.upper()}"]
            assert ast.literal_eval(value) == field.default


def test_the_responses_are_among_those_of_the_reference():
    responses = [row[1:] for row in read_table(documents.README, "Responses")]
    complete = [row[1:] for row in read_table(DOCS / "reference.md", "Responses")]
    assert len(responses) == 10
    assert all(response in complete for response in responses)


def test_the_profile_has_the_documented_fields():
    (profile,) = find_blocks("json")
    assert list(json.loads(profile)) == list(ProfileSchema().fields)


def test_the_ratios_match_the_measurements():
    summary, measurements = (DOCS / "performance.md").read_text().split("## In process")

    def read_medians(contender):
        cells = measurements.split(f"| {contender} |")[1].split(" | ")
        return float(cells[0].replace(",", "")), float(cells[3].replace(",", ""))

    ratios = [
        f"{theirs / ours:.1f} times"
        for theirs, ours in zip(read_medians("by hand"), read_medians("**ours**"), strict=True)
    ]
    for document in (README, summary):
        (sentence,) = re.findall(r"the same view.*?PostgreSQL", document, re.DOTALL | re.I)
        assert re.findall(r"\d\.\d times", sentence) == ratios


@pytest.mark.parametrize("command", find_blocks("sh"))
def test_a_shell_block_is_a_single_line(command):
    assert command.count("\n") == 1
    assert shlex.split(command)


def test_it_has_at_most_two_hundred_lines():
    assert len(README.splitlines()) <= 200


def test_each_link_and_image_is_absolute():
    targets = re.findall(r"\]\((.*?)\)", README)
    assert targets
    assert all(target.startswith("https://") for target in targets)


def test_each_link_to_this_project_leads_to_a_page_or_file():
    """The pages of the manual have the names of their sources; headings become anchors."""
    pages = re.findall(rf"{MANUAL}/(?:([a-z-]+)\.html)?(?:#([a-z-]+))?\)", README)
    files = re.findall(r"/(?:blob/)?main/([^)#]+)\)", README)
    assert files
    assert all((ROOT / file).is_file() for file in files)
    for name, anchor in pages:
        page = (DOCS / f"{name or 'index'}.md").read_text()
        headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        assert not anchor or anchor in {title.lower().replace(" ", "-") for title in headings}


def test_no_document_says_to_install_the_unrelated_flask_profile_package():
    for document in ROOT.glob("*.md"):
        assert not re.search(r"install\s+flask-profile\b(?!-api)", document.read_text())
