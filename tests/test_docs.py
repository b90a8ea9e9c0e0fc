"""Test the pages of the manual; the root conftest.py runs their Python blocks."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_llms_txt_links_to_every_page_and_no_other():
    linked = re.findall(r"\]\((?:\S*/)?([a-z-]+\.md)\)", (DOCS / "llms.txt").read_text())
    assert sorted(linked) == sorted(page.name for page in DOCS.glob("*.md"))


def test_no_page_says_to_install_the_unrelated_flask_profile_package():
    for page in [*DOCS.glob("*.md"), DOCS / "llms.txt"]:
        assert not re.search(r"install\s+flask-profile\b(?!-api)", page.read_text())
