"""Follow the README's quickstart with the installed wheel, in an environment with nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import flask_profile

package = Path(flask_profile.__file__).parent
assert ".venv-wheel" in package.parts, package
assert (package / "py.typed").exists()

distribution = importlib.metadata.distribution("flask-profile-api")
names = {file.parts[0] for file in distribution.files or []}
assert names <= {"flask_profile", f"flask_profile_api-{distribution.version}.dist-info"}, names

quickstart = Path("README.md").read_text().split("## Quickstart\n")[1].split("\n## ")[0]
start, add_user, request = re.findall(r"^```sh\n(.*)\n```", quickstart, re.MULTILINE)
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
script = f"""
set -meuo pipefail  # With -m, the server has a process group of its own.
{start}
({add_user} --port {port}) > /dev/null 2>&1 &
trap "kill -- -$!" EXIT
for _ in $(seq 100); do curl --silent http://127.0.0.1:{port}/ > /dev/null && break; sleep 0.1; done
TOKEN=$(flask profile token alice | head -n 1)
{request.replace(":5000/", f":{port}/")} --silent --show-error
"""
with tempfile.TemporaryDirectory() as folder:
    shutil.copy("examples/quickstart.py", folder)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
print(run.stdout)
assert run.returncode == 0, run.stderr
assert json.loads(run.stdout.splitlines()[-1])["username"] == "alice", run.stdout
