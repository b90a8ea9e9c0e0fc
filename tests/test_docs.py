"""The manual's shell blocks do what it says; its Python is run by the conftest at the root."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page, language):
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_getting_started_gets_as_far_as_an_answer(tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    app, seed, _ = blocks("getting-started.md", "python")
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "seed.py").write_text(seed)
    install, secret, check, fill, _serve, token, more = blocks("getting-started.md", "sh")
    assert install.rstrip().endswith(" install flask-profile-api")

    def shell(*commands):
        return subprocess.run(
            ["bash", "-c", "\n".join(commands)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
        )

    unchecked = shell(secret, check)
    assert unchecked.returncode == 1
    assert unchecked.stdout.startswith("missing_table (profile)")
    filled = shell(secret, fill)
    assert filled.returncode == 0, filled.stderr
    ready, shown = filled.stdout.split("\n", 1)
    assert ready == "/api/profile/ is ready for POST."
    assert json.loads(shown)["first_name"] == "Alice"
    printed = shell(secret, token)
    assert "curl -X POST http://127.0.0.1:5000/api/profile/" in printed.stdout
    assert shell(secret, more).stdout == (
        "/api/profile/ is ready for POST, GET, HEAD, PATCH.\n"
        "/api/profile/avatar/ is ready for PUT, DELETE.\n"
    )


def test_the_index_for_tools_names_every_page_and_no_other():
    named = re.findall(r"\]\((?:\S*/)?([a-z-]+\.md)\)", (DOCS / "llms.txt").read_text())
    assert sorted(named) == sorted(page.name for page in DOCS.glob("*.md"))


def test_it_never_tells_anyone_to_install_the_other_distribution():
    for page in [*DOCS.glob("*.md"), DOCS / "llms.txt"]:
        assert not re.search(r"install\s+flask-profile\b(?!-api)", page.read_text())
