"""Follow docs/getting-started.md: save its files, run its commands, and compare their output.

.ci/run docs
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/getting-started.md"
GIF = bytes.fromhex(  # An image of one pixel.
    "47494638396101000100800000ffffff00000021f90400000000002c00000000010001000002024401003b"
)
ETAG = r'"[0-9a-f]{40}"'
# What differs from run to run. In the page, a token is cut.
CHANGING = {
    "<token>": r"eyJ[\w.-]+…?",
    "<time>": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    "<etag>": ETAG,
    "<name>": r"[0-9a-f]{32}\.webp",
}


class Reader:
    """Does what the page says, in an empty folder and with a server of its own.

    Args:
        folder: The folder.
        port: The port of the server, instead of 5000.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.output = ""
        self.etag = ""
        self.assignments: dict[str, str] = {}
        self.server: subprocess.Popen[bytes] | None = None
        self.environment = os.environ | {"PYTHONWARNINGS": "ignore", "FLASK_RUN_PORT": str(port)}
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "me.jpg").write_bytes(GIF)

    def follow(self, language: str, block: str) -> None:
        """Do what a block of the page is for."""
        if language == "python":
            (self.folder / "app.py").write_text(block)
        elif language == "ini":
            with (self.folder / ".env").open("a") as file:
                file.write(block)
            self.close()
            self.start_server()
        elif language != "sh":
            require_output(block, self.output)
        elif "pip install" in block:
            assert re.search(r"install .*flask-profile-api", block)
        elif block == "flask run\n":
            self.start_server()
        else:
            self.run(block)

    def run(self, block: str) -> None:
        """Run commands, with what a reader copies from the output of those before."""
        token = re.search(r"eyJ[\w.-]+", self.output)
        if token:
            block = re.sub(r"eyJ\w+…", token[0], block)
        block = re.sub(ETAG, lambda _: self.etag, block)
        block = block.replace(":5000", f":{self.port}")
        script = "\n".join([". .venv/bin/activate", *self.assignments.values(), block])
        result = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in result.stderr, result.stderr
        self.output = result.stdout.replace(f":{self.port}", ":5000")
        self.assignments |= {
            line.partition("=")[0]: line
            for line in block.splitlines()
            if re.match("[A-Z_]+=", line)
        }
        etag = re.search(rf"^ETag: ({ETAG})$", self.output, re.MULTILINE)
        self.etag = etag[1] if etag else self.etag

    def start_server(self) -> None:
        """Start the development server, and wait until it listens."""
        command = [str(self.folder / ".venv/bin/flask"), "run"]
        with (self.folder / "server.log").open("a") as log:
            self.server = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.server.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def close(self) -> None:
        """Stop the server, if it runs, as Ctrl+C does."""
        if self.server:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(timeout=60)
            self.server = None


def find_blocks() -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each visible block of the page."""
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        yield found[1], found[2]


def require_output(shown: str, printed: str) -> None:
    """Compare what the page shows, in which … stands for what it leaves out."""
    for name, pattern in CHANGING.items():
        shown, printed = re.sub(pattern, name, shown), re.sub(pattern, name, printed)
    pattern = ".*".join(map(re.escape, shown.strip().split("…")))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), printed


def find_free_port() -> int:
    """Return a port that no server listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_the_commands_of_getting_started_print_what_it_shows(tmp_path: Path) -> None:
    languages = set()
    with closing(Reader(tmp_path, find_free_port())) as reader:
        for language, block in find_blocks():
            reader.follow(language, block)
            languages.add(language)
    assert languages == {"python", "sh", "text", "json", "ini"}
