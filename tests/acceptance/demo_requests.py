"""Run the curl commands that the running demo has printed, and check their responses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

log = Path(sys.argv[1]).read_text()
requests = re.findall(r"^# (.+), (\d+)\n(curl .+)$", log, re.MULTILINE)
assert len(requests) >= 12, log

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
        assert body.strip() == profile
