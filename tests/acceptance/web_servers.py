"""Start gunicorn and nginx, and stop them at the end of a block."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from processes import is_listening, wait_until


@contextmanager
def run_server(command: list[str], port: int, **options: object) -> Iterator[int]:
    """Run a server until the end of the block, and yield its process ID when it listens."""
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        wait_until(lambda: is_listening(port) or process.poll() is not None)
        if process.poll() is not None:
            sys.exit(f"{command[0]} has ended with status {process.returncode}.")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def run_gunicorn(arguments: list[str], port: int, **options: object) -> AbstractContextManager[int]:
    """Run gunicorn on a port."""
    command = [sys.executable, "-m", "gunicorn", *arguments, f"--bind=127.0.0.1:{port}"]
    return run_server(command, port, **options)


def run_nginx(folder: Path, http: str, port: int) -> AbstractContextManager[int]:
    """Run nginx with the directives of its ``http`` block, one of which listens on the port."""
    paths = "".join(
        f"{name}_temp_path {folder};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{\n{paths} access_log off;\n{http}}}\n"
    )
    return run_server(["nginx", "-p", str(folder), "-c", str(config)], port)
