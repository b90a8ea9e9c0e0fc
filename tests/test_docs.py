"""Test the pages of the manual; the root conftest.py runs their Python blocks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from documents import DOCS, PAGES, read_table, render_errors
from flask_profile.error_responses import ERROR_RESPONSES


def test_the_table_of_contents_has_every_page_and_no_other():
    index = (DOCS / "index.md").read_text()
    listed = re.findall(r"^([a-z-]+)$", index.split("```{toctree}", 1)[1], re.MULTILINE)
    linked = set(re.findall(r"\]\(([a-z-]+)\.md\)", index))
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert sorted(listed) == sorted(pages)
    assert linked == pages


def test_the_responses_of_the_reference_match_the_code():
    documented = read_table(DOCS / "reference.md", "Responses")
    bodies = {(int(status), body.strip("`")) for _, status, body in documented}
    responses = render_errors("GET", "PATCH")
    others = {
        (200, "the profile"),
        (204, "none"),
        (304, "none"),
        (400, '{"<field>": ["<message>"]}'),
    }
    assert bodies == responses | others
    assert len(documented) == len(bodies)


def test_the_reasons_of_the_reference_match_the_code():
    documented = [
        reason for reason, _ in read_table(DOCS / "reference.md", "Why a token is refused")
    ]
    reasons = {row.reason for row in ERROR_RESPONSES.values() if row.reason}
    assert sorted(documented) == sorted(reasons)


def test_the_visible_code_of_each_page_needs_no_invisible_code(tmp_path):
    """It runs in another process, since only invisible code cleans up after a page."""
    invisible = re.compile(r"(?<=<!-- invisible-code-block: python\n).*?(?=-->)", re.DOTALL)
    for page in PAGES:
        (tmp_path / page.name).write_text(invisible.sub("", page.read_text()))
    run = subprocess.run(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("run_pages.py"), tmp_path],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.split() == sorted(page.name for page in PAGES)


def test_no_page_says_to_install_the_unrelated_flask_profile_package():
    for page in PAGES:
        assert not re.search(r"install\s+flask-profile\b(?!-api)", page.read_text())
