"""The shell blocks of docs/getting-started.md, run one after the other.

.ci/run docs
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def find_blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_getting_started_print_what_it_describes(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    app, seed, _ = find_blocks("getting-started.md", "python")
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "seed.py").write_text(seed)
    commands = find_blocks("getting-started.md", "sh")
    install, secret, check, seed_database, _run_server, token, check_all = commands
    assert install.rstrip().endswith(" install flask-profile-api")

    def run_shell(*commands: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", "\n".join(commands)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
        )

    failed_check = run_shell(secret, check)
    assert failed_check.returncode == 1
    assert failed_check.stdout.startswith("error: missing_table (profile)")
    seeded = run_shell(secret, seed_database)
    assert seeded.returncode == 0, seeded.stderr
    ready, shown = seeded.stdout.split("\n", 1)
    assert ready == "/api/profile/ is ready for POST."
    assert json.loads(shown)["first_name"] == "Alice"
    printed = run_shell(secret, token)
    assert "curl -X POST http://127.0.0.1:5000/api/profile/" in printed.stdout
    assert run_shell(secret, check_all).stdout == (
        "/api/profile/ is ready for POST, GET, HEAD, PATCH.\n"
        "/api/profile/avatar/ is ready for PUT, DELETE.\n"
    )
