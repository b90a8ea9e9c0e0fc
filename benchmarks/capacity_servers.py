"""The servers that capacity_check.py measures, and one measurement of them.

They are PostgreSQL with a replica, PgBouncer in transaction mode, and gunicorn with the app of
capacity_app.py. All are started in a temporary folder.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from processes import children_of, cpu_of, cpu_of_machine, free_port, is_listening, wait_until

HERE = Path(__file__).parent
CORES = len(os.sched_getaffinity(0))
sys.path.append(str(HERE.parent / "tests/acceptance"))
from postgres import PgBouncer, Postgres, temporary_postgres  # noqa: E402

MAX_OTHERS = 0.15  # Cores that other processes may use during a measurement.
USERS, TOKENS = 10_000, 1_000
ADD_USERS = f"""
INSERT INTO "user" (username, email, first_name, last_name, number_phone, date_joined, is_active,
                    is_staff, is_superuser)
SELECT 'user_' || i, 'user_' || i || '@example.com', 'Alice', 'Wonder', '0123456789', now(), true,
       false, false
FROM generate_series(1, {USERS}) i
"""
SET_UP = f"""
import random
from capacity_app import create_app, db
from flask_jwt_extended import create_access_token
from sqlalchemy import text

with create_app().app_context():
    db.create_all()
    db.session.execute(text('''{ADD_USERS}'''))
    db.session.commit()
    users = random.Random(1).choices(range(1, {USERS} + 1), k={TOKENS})
    print(*(create_access_token(str(user), expires_delta=False) for user in users))
"""
CONFIG: dict[str, Any] = {
    "JWT_SECRET_KEY": "a secret of more than thirty-two bytes",
    "PROFILE_METHODS": ["GET", "PATCH", "POST"],
}


@dataclass(frozen=True)
class Sample:
    """What the requests of one run of wrk took."""

    requests: int
    rate: float  # Requests a second.
    cpu: dict[str, float]  # CPU seconds of a request, by the process that used them.
    held: float  # Seconds that a request held a connection.
    waiting: float  # The part of it in which the worker did not compute.
    others: float  # Cores that other processes of the machine used at the same time.


@dataclass(frozen=True)
class Backends:
    """What is behind the app, and tokens of its users."""

    folder: Path
    primary: Postgres
    replica: Postgres
    bouncer: PgBouncer
    processes: dict[str, str]
    tokens: list[str]

    def find_connections(self, server: str) -> list[int]:
        """Return the PostgreSQL processes that have the connections of a server.

        PgBouncer uses one connection for several servers, and names it after the last one.
        """
        names = f"{server.partition('_')[0]}%" if server.startswith("pgbouncer") else server
        query = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s"
        pids: list[int] = []
        for database in (self.primary, self.replica):
            with database.connect() as connection:
                pids += [pid for (pid,) in connection.execute(query, [names])]
        return pids


def is_idle() -> bool:
    """Watch the machine for a moment, and tell whether nothing uses it."""
    before = cpu_of_machine()
    time.sleep(0.3)
    return cpu_of_machine() - before <= 0.3 * MAX_OTHERS


@contextmanager
def start_backends() -> Iterator[Backends]:
    """Start the servers behind the app, with a table of users."""
    with temporary_postgres() as (folder, primary), ExitStack() as stack:
        tokens = run_python(SET_UP, CONFIG | {"SQLALCHEMY_DATABASE_URI": primary.url()}).split()
        with primary.connect() as connection:
            connection.execute("VACUUM ANALYZE")
        replica = Postgres(folder / "replica", primary=primary)
        replica.start()
        stack.callback(replica.stop, "immediate")
        before = {*children_of(os.getpid())}
        bouncer = PgBouncer(folder, primary, users=("postgres",))
        stack.callback(bouncer.stop)
        processes = {"pgbouncer": ({*children_of(os.getpid())} - before).pop()}
        for name, data in (("primary", "data"), ("replica", "replica")):
            processes[name] = (folder / data / "postmaster.pid").read_text().split()[0]
        yield Backends(folder, primary, replica, bouncer, processes, tokens)


def run_python(code: str, config: Mapping[str, Any]) -> str:
    command = [sys.executable, "-c", code]
    environ = os.environ | {"CONFIG": json.dumps(config)}
    return subprocess.check_output(command, cwd=HERE, env=environ, text=True)


class Server:
    """The app in gunicorn.

    Args:
        backends: What is behind the app.
        name: The name that its connections to PostgreSQL have.
        options: More options of gunicorn.
        workers: How many workers it has.
        threads: The threads of each ``gthread`` worker, or 0 for ``sync`` workers.
        config: Values of the app's config.
    """

    def __init__(
        self,
        backends: Backends,
        name: str,
        *options: str,
        workers: int = 1,
        threads: int = 0,
        **config: Any,
    ) -> None:
        self.backends, self.name, self.workers = backends, name, workers
        self.port = free_port()
        config.setdefault("SQLALCHEMY_DATABASE_URI", backends.primary.url())
        config["SQLALCHEMY_DATABASE_URI"] += f"?application_name={name}"
        for bind, uri in config.get("SQLALCHEMY_BINDS", {}).items():
            config["SQLALCHEMY_BINDS"] = {bind: f"{uri}?application_name={name}"}
        command = [sys.executable, "-m", "gunicorn", "capacity_app:create_app()", *options]
        command += [f"--workers={workers}", "--log-level=error"]
        if threads:
            command += ["--worker-class=gthread", f"--threads={threads}"]
        self._process = subprocess.Popen(
            [*command, f"--bind=127.0.0.1:{self.port}"],
            cwd=HERE,
            env=os.environ | {"CONFIG": json.dumps(CONFIG | config)},
        )
        wait_until(lambda: is_listening(self.port) and len(self.read_held()) == workers)

    @property
    def pids(self) -> list[str]:
        """The processes: the master and its workers."""
        return [str(self._process.pid), *children_of(self._process.pid)]

    def read_held(self) -> dict[int, tuple[float, float]]:
        """Return how long each worker has held connections, and computed meanwhile."""
        held: dict[int, tuple[float, float]] = {}
        deadline = time.monotonic() + 30
        while len(held) < self.workers and time.monotonic() < deadline:
            with urlopen(f"http://127.0.0.1:{self.port}/held/") as response:
                values = json.load(response)
            held[values["pid"]] = (values["seconds"], values["cpu_seconds"])
        return held

    def measure(self, *kinds: str, clients: int, seconds: int = 1) -> Sample:
        """Let wrk send requests of all kinds in turn, and measure what they take."""
        processes = self.backends.processes | {"worker": str(self._process.pid)}
        before = self.read_held()
        begin, machine = time.perf_counter(), cpu_of_machine()
        cpu = {name: cpu_of(pid) for name, pid in processes.items()}
        requests, rate, client = self._run_wrk(kinds, clients, seconds)
        cpu = {name: cpu_of(pid) - cpu[name] for name, pid in processes.items()}
        machine, elapsed = cpu_of_machine() - machine, time.perf_counter() - begin
        cpu["client"] = client
        after = self.read_held()
        held, held_cpu = (
            sum(after[pid][index] - before[pid][index] for pid in before) for index in (0, 1)
        )
        return Sample(
            requests=requests,
            rate=rate,
            cpu={name: used / requests for name, used in cpu.items()},
            held=held / requests,
            waiting=(held - held_cpu) / requests,
            others=(machine - sum(cpu.values())) / elapsed,
        )

    def _run_wrk(
        self, kinds: Sequence[str], clients: int, seconds: int
    ) -> tuple[int, float, float]:
        """Return the requests, the requests a second, and the CPU seconds of wrk."""
        file = self.backends.folder / "requests"
        tokens = self.backends.tokens
        lines = [f"{kinds[n % len(kinds)]} {token}" for n, token in enumerate(tokens)]
        file.write_text("\n".join(lines) + "\n")
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(HERE / "capacity.lua")]
        wrk = subprocess.Popen(
            [*command, f"http://127.0.0.1:{self.port}/api/profile/"],
            env=os.environ | {"REQUESTS": str(file)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert wrk.stdout
        output = wrk.stdout.read()
        _, wrk.returncode, usage = os.wait4(wrk.pid, 0)
        wrk.stdout.close()
        requests = re.search(r"(\d+) requests in", output)
        rate = re.search(r"Requests/sec: +([\d.]+)", output)
        if not (requests and rate) or int(requests[1]) == 0 or "Non-2xx" in output:
            sys.exit(f"Not all responses of {self.name} were successful:\n{output}")
        return int(requests[1]), float(rate[1]), usage.ru_utime + usage.ru_stime

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
