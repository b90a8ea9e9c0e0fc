"""Break PostgreSQL under load, and write what the clients receive to docs/reliability.md.

This starts a PostgreSQL cluster and an app in gunicorn, both in a temporary folder. It breaks
PostgreSQL in six ways while wrk sends requests to the app. It exits with status 1 if a response is
not a documented one, if a response takes longer than the timeouts of the app allow, or if a request
fails after PostgreSQL has recovered. It needs Linux, wrk, the programs of PostgreSQL, gunicorn and
"psycopg[binary]".
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from faults_host import CONNECT_TIMEOUT, POOL_TIMEOUT, STATEMENT_TIMEOUT
from manual_tables import format_table, write_table
from postgres import Postgres, temporary_postgres
from processes import children_of, free_port, is_listening, wait_until

HERE = Path(__file__).parent
FAILURE = '500 {"error": "The profile could not be loaded."}'
UNAVAILABLE = '503 {"error": "The profile is temporarily unavailable."}'
SUCCESS = "200"
HARMLESS = {"none", "backends terminated"}  # All others must cause failures.
RESULT = ("200", "500", "503", "other", "slowest")
HEAD = ("fault", *RESULT, f"then {RESULT[0]}", *RESULT[1:])

SET_UP = """
from faults_host import User, create_app, db
from flask_jwt_extended import create_access_token

with create_app().app_context():
    db.create_all()
    db.session.add(User(username="john_doe", email="john@example.com"))
    db.session.commit()
    print(create_access_token("1", expires_delta=False))
"""
# A response may take as long as all timeouts of the app together, and a margin for a busy machine.
MAX_WAIT = POOL_TIMEOUT + STATEMENT_TIMEOUT + CONNECT_TIMEOUT + 2


@dataclass
class LoadResult:
    """The responses that the clients received in one run of wrk."""

    responses: dict[str, int]
    lost: int
    slowest: float

    @property
    def cells(self) -> list[str]:
        """What the table says of it."""
        failed, unavailable = self.responses.get(FAILURE, 0), self.responses.get(UNAVAILABLE, 0)
        other = sum(self.responses.values()) - self.succeeded - self.failed + self.lost
        counts = (self.succeeded, failed, unavailable, other)
        return [*(f"{count:,}" for count in counts), f"{self.slowest:.2f} s"]

    @property
    def succeeded(self) -> int:
        return self.responses.get(SUCCESS, 0)

    @property
    def failed(self) -> int:
        return self.responses.get(FAILURE, 0) + self.responses.get(UNAVAILABLE, 0)

    @property
    def is_as_documented(self) -> bool:
        in_time = self.slowest < MAX_WAIT
        return {*self.responses} <= {SUCCESS, FAILURE, UNAVAILABLE} and self.lost == 0 and in_time


class AppServer:
    """The app in gunicorn, with two workers of four threads."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
        self._port = free_port()
        command = [sys.executable, "-m", "gunicorn", "faults_host:create_app()"]
        command += ["--workers=2", "--threads=4"]
        command += [f"--bind=127.0.0.1:{self._port}", f"--log-file={folder / 'host.log'}"]
        self._environment = os.environ | {"DATABASE": database, "PYTHONPATH": str(HERE)}
        self._token = subprocess.check_output(
            [sys.executable, "-c", SET_UP], cwd=folder, env=self._environment, text=True
        ).strip()
        self._process = subprocess.Popen(command, cwd=folder, env=self._environment)
        wait_until(
            lambda: is_listening(self._port) and read_result(self.start_load(1)).succeeded > 0
        )

    def workers(self) -> list[str]:
        return children_of(self._process.pid)

    @contextmanager
    def hold_pool(self) -> Iterator[None]:
        (self._folder / "hold").touch()
        wait_until(lambda: len([*self._folder.glob("held-*")]) == 2)
        yield
        (self._folder / "hold").unlink()
        for held in self._folder.glob("held-*"):
            held.unlink()

    def start_load(self, seconds: int) -> subprocess.Popen[str]:
        """Start wrk, with as many connections as the workers have threads."""
        command = ["wrk", "--threads=1", "--connections=8", f"--duration={seconds}s"]
        command += [f"--timeout={2 * MAX_WAIT}s", f"--script={HERE / 'faults.lua'}"]
        command += ["--header", f"Authorization: Bearer {self._token}"]
        command += [f"http://127.0.0.1:{self._port}/"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def read_result(load: subprocess.Popen[str]) -> LoadResult:
    """Wait for wrk to finish, and read the counts that faults.lua prints."""
    output = load.communicate()[0]
    responses = re.findall(r"^response\t(\d+)\t(.+)$", output, re.MULTILINE)
    totals = re.search(r"^lost\t(\d+)\tslowest\t([\d.e+]+)$", output, re.MULTILINE)
    if totals is None:
        sys.exit(f"wrk did not finish: {output}")
    lost, slowest = totals.groups()
    return LoadResult(
        {key: int(number) for number, key in responses}, int(lost), float(slowest) / 1e6
    )


@contextmanager
def stop_postgres(postgres: Postgres, mode: str) -> Iterator[None]:
    postgres.stop(mode)
    yield
    postgres.start()


@contextmanager
def restart_postgres(postgres: Postgres) -> Iterator[None]:
    postgres.stop("fast")
    postgres.start()
    yield


@contextmanager
def terminate_backends(postgres: Postgres) -> Iterator[None]:
    with postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    yield


@contextmanager
def lock_table(postgres: Postgres) -> Iterator[None]:
    with postgres.connect() as connection, connection.transaction():
        connection.execute('LOCK TABLE "user"')
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds",
        type=int,
        default=6,
        help="the duration of each fault, and of the load after it",
    )
    parser.add_argument(
        "--write", action="store_true", help="write the table to docs/reliability.md"
    )
    options = parser.parse_args()
    rows = []
    with temporary_postgres() as (folder, postgres), ExitStack() as stack:
        server = AppServer(folder, postgres.url())
        stack.callback(server.stop)
        workers = server.workers()
        faults: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "none": nullcontext,
            "PostgreSQL stopped": lambda: stop_postgres(postgres, "fast"),
            "PostgreSQL crashed": lambda: stop_postgres(postgres, "immediate"),
            "PostgreSQL restarted": lambda: restart_postgres(postgres),
            "backends terminated": lambda: terminate_backends(postgres),
            "pool exhausted": server.hold_pool,
            "table locked": lambda: lock_table(postgres),
        }
        for fault, begin in faults.items():
            load = server.start_load(options.seconds + 1)
            time.sleep(0.5)
            with begin():
                time.sleep(options.seconds)
            during = read_result(load)
            after = read_result(server.start_load(options.seconds))
            rows.append((fault, *during.cells, *after.cells))
            print(*rows[-1], sep=" | ", flush=True)
            had_effect = during.failed or fault in HARMLESS
            as_documented = during.is_as_documented and after.is_as_documented
            if not (had_effect and as_documented and after.succeeded) or after.failed:
                print((folder / "host.log").read_text()[-20_000:])
                sys.exit(f"Not as documented. During the fault: {during!r}. After it: {after!r}")
        if server.workers() != workers:
            sys.exit("A worker was restarted.")
    if options.write:
        write_table("reliability.md", "tests/acceptance/faults.py", format_table(HEAD, rows))


if __name__ == "__main__":
    main()
