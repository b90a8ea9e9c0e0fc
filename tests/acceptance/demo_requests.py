"""Run the curl commands that the running demo has printed, and check their responses.

The demo must have been started with ``--curl``; the argument is the file with its output.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

log = Path(sys.argv[1]).read_text()
requests = re.findall(r"^# (.+), (\d+)\n(curl .+)$", log, re.MULTILINE)
assert len(requests) >= 12, log
(url,) = re.findall(r"^Open (http://\S+)$", log, re.MULTILINE)
at_start = [line for line in log.splitlines() if '"GET / HTTP/1.1"' not in line]
assert at_start[-1] == f"Open {url}", at_start

# Earlier runs and visitors of the page may have changed the users.
reset = urllib.request.Request(
    f"{url}api/demo-reset/", b"{}", {"Content-Type": "application/json"}, method="POST"
)
with urllib.request.urlopen(reset) as response:
    assert response.status == 204, response.status

(profile, *_) = re.findall(r"^```json\n(.*?)\n```", Path("README.md").read_text(), re.M | re.S)
for title, status, line in requests:
    body = subprocess.check_output(["bash", "-c", line], text=True)
    code = subprocess.check_output(
        ["bash", "-c", f"{line} -s -o /dev/null -w '%{{http_code}}'"], text=True
    )
    print(f"{code} {title}: {body.strip()[:100]}")
    assert code == status, (title, code, body)
    assert isinstance(json.loads(body), dict) if code != "204" else not body.strip(), body
    if title == "alice_wonder":
        assert [*json.loads(body).items()] == [*json.loads(profile).items()]
