"""Break PostgreSQL under load, and write what the clients saw to docs/reliability.md.

Makes a PostgreSQL cluster, a host app and gunicorn of its own in a temporary folder, breaks the
one in six ways while wrk asks the other, and exits with 1 if an answer is not the contract's, comes
later than the host's timeouts allow, or is an error when the database is well. Needs Linux, wrk,
the programs of PostgreSQL, gunicorn and "psycopg[binary]".
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from faults_host import CONNECT_TIMEOUT, POOL_TIMEOUT, STATEMENT_TIMEOUT
from processes import children_of, free_port, listens, wait_until

HERE = Path(__file__).parent
REPORT = HERE.parent / "docs/reliability.md"
FAILURE = '500 {"error": "The profile could not be loaded."}'
WELL = "200"
HARMLESS = {"none", "all its backends are terminated"}  # Others must cost some answers.
BEGIN, END = "<!-- The table of benchmarks/faults.py -->\n", "<!-- Its end -->\n"
HEAD = """
| fault | 200 | 500 | other | slowest | after it: 200 | 500 | other | slowest |
|---|---|---|---|---|---|---|---|---|
"""

SET_UP = """
from faults_host import User, create_app, db
from flask_jwt_extended import create_access_token

with create_app().app_context():
    db.create_all()
    db.session.add(User(username="john_doe", email="john@example.com"))
    db.session.commit()
    print(create_access_token("1", expires_delta=False))
"""
# No answer may take longer than all of the host's timeouts, and what a busy machine adds.
PATIENCE = POOL_TIMEOUT + STATEMENT_TIMEOUT + CONNECT_TIMEOUT + 2


@dataclass
class Seen:
    """What the clients saw in one run of wrk."""

    answers: dict[str, int]
    lost: int
    slowest: float

    def __str__(self) -> str:
        other = sum(self.answers.values()) - self.well - self.failed + self.lost
        return f"{self.well:,} | {self.failed:,} | {other:,} | {self.slowest:.2f} s"

    @property
    def well(self) -> int:
        return self.answers.get(WELL, 0)

    @property
    def failed(self) -> int:
        return self.answers.get(FAILURE, 0)

    @property
    def only_the_contracts(self) -> bool:
        in_time = self.slowest < PATIENCE
        return {*self.answers} <= {WELL, FAILURE} and self.lost == 0 and in_time


class Postgres:
    """A cluster of PostgreSQL in a folder, as an ordinary user."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._data.mkdir(mode=0o700)
        self._user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            shutil.chown(self._data, "postgres")
            self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self._path = os.pathsep.join([*map(str, reversed(found)), os.environ["PATH"]])
        self._port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", self._data)

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run(
            "pg_ctl", "--wait", "-D", self._data, "-l", self._data / "log", "-o", options, "start"
        )

    def stop(self, mode: str) -> None:
        self._run("pg_ctl", "--wait", "-D", self._data, "-m", mode, "stop")

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)

    def _run(self, program: str, *arguments: object) -> None:
        path = shutil.which(program, path=self._path)
        if path is None:
            sys.exit(f"{program} of PostgreSQL is not installed.")
        command = [*self._user, path, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


class Host:
    """The app in gunicorn: two workers of four threads."""

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
        wait_until(lambda: listens(self._port) and seen_by(self.load(1)).well > 0)

    def workers(self) -> list[str]:
        return children_of(self._process.pid)

    @contextmanager
    def pool_held(self) -> Iterator[None]:
        (self._folder / "hold").touch()
        wait_until(lambda: len([*self._folder.glob("held-*")]) == 2)
        yield
        (self._folder / "hold").unlink()
        for held in self._folder.glob("held-*"):
            held.unlink()

    def load(self, seconds: int) -> subprocess.Popen[str]:
        """Start asking; wrk's eight connections keep every thread of the workers busy."""
        command = ["wrk", "--threads=1", "--connections=8", f"--duration={seconds}s"]
        command += [f"--timeout={2 * PATIENCE}s", f"--script={HERE / 'faults.lua'}"]
        command += ["--header", f"Authorization: Bearer {self._token}"]
        command += [f"http://127.0.0.1:{self._port}/"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def seen_by(load: subprocess.Popen[str]) -> Seen:
    """Wait for wrk, and read what it counted."""
    output = load.communicate()[0]
    answers = re.findall(r"^answer\t(\d+)\t(.+)$", output, re.MULTILINE)
    counted = re.search(r"^lost\t(\d+)\tslowest\t([\d.e+]+)$", output, re.MULTILINE)
    if counted is None:
        sys.exit(f"wrk did not finish: {output}")
    lost, slowest = counted.groups()
    return Seen({answer: int(n) for n, answer in answers}, int(lost), float(slowest) / 1e6)


@contextmanager
def stopped(postgres: Postgres, mode: str) -> Iterator[None]:
    postgres.stop(mode)
    yield
    postgres.start()


@contextmanager
def restarted(postgres: Postgres) -> Iterator[None]:
    postgres.stop("fast")
    postgres.start()
    yield


@contextmanager
def terminated(postgres: Postgres) -> Iterator[None]:
    with postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    yield


@contextmanager
def locked(postgres: Postgres) -> Iterator[None]:
    with postgres.connect() as connection, connection.transaction():
        connection.execute('LOCK TABLE "user"')
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=6, help="of each fault, and after it")
    parser.add_argument("--write", action="store_true", help=f"the table into {REPORT.name}")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder)
        postgres.start()
        stack.callback(postgres.stop, "immediate")
        host = Host(folder, postgres.url)
        stack.callback(host.stop)
        workers = host.workers()
        faults: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "none": nullcontext,
            "PostgreSQL is stopped": lambda: stopped(postgres, "fast"),
            "PostgreSQL crashes": lambda: stopped(postgres, "immediate"),
            "PostgreSQL is restarted": lambda: restarted(postgres),
            "all its backends are terminated": lambda: terminated(postgres),
            "the host holds the whole pool": host.pool_held,
            "another transaction locks the table": lambda: locked(postgres),
        }
        for fault, begin in faults.items():
            load = host.load(options.seconds + 1)
            time.sleep(0.5)
            with begin():
                time.sleep(options.seconds)
            during = seen_by(load)
            after = seen_by(host.load(options.seconds))
            rows.append(f"| {fault} | {during} | {after} |")
            print(rows[-1], flush=True)
            bites = during.failed or fault in HARMLESS
            promised = during.only_the_contracts and after.only_the_contracts
            if not (bites and promised and after.well) or after.failed:
                print((folder / "host.log").read_text()[-20_000:])
                sys.exit(f"Not as promised: {during!r}, after it {after!r}")
        if host.workers() != workers:
            sys.exit("A worker was restarted.")
    if options.write:
        before, mark, rest = REPORT.read_text().partition(BEGIN)
        REPORT.write_text(before + mark + HEAD + "\n".join(rows) + "\n\n" + rest[rest.index(END) :])


if __name__ == "__main__":
    main()
