"""Compare the library with other ways to serve a profile, and write docs/performance.md.

This creates a virtual environment for each contender (kept in .venvs), and the same table in a
SQLite file and in a separate PostgreSQL database. The contenders then take turns: in process, and
over HTTP, where one core runs the server and another runs wrk. The script exits with status 1 if
their responses differ, or if a refused token does not cost less than an accepted one. It needs
Linux, wrk and PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from compare_report import Figures, draw_chart
from manual_tables import DOCS, format_table, write_table
from processes import children_of, free_port, is_listening, wait_until

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
USERS, REQUESTS = 10_000, 200
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
Key = TypeVar("Key")


class Contender(NamedTuple):
    """The label of a module of contenders/, the packages that it requires, and its server."""

    label: str
    requires: str
    server: str = "gunicorn"


FLASK = "flask flask-jwt-extended flask-sqlalchemy sqlalchemy marshmallow psycopg[binary] gunicorn"
DJANGO = "django djangorestframework djangorestframework-simplejwt psycopg[binary] gunicorn"
FASTAPI = "fastapi fastapi-users[sqlalchemy] sqlalchemy aiosqlite asyncpg uvicorn[standard]"
CONTENDERS = {
    "ours": Contender("**ours**", f"--editable . {FLASK}"),
    "by_hand": Contender("by hand", FLASK),
    "floor": Contender("bare minimum", "flask pyjwt psycopg[binary] gunicorn"),
    "drf": Contender("Django REST framework + SimpleJWT", DJANGO),
    "djoser": Contender("djoser", f"djoser {DJANGO}"),
    "fastapi_users": Contender("fastapi-users", FASTAPI, server="uvicorn"),
    "flask_jwt": Contender("*`@jwt_required()` alone*", FLASK),
    "flask_empty": Contender("*an empty Flask view*", "flask gunicorn"),
}
SAME_BODY = ("by_hand", "floor", "drf", "djoser")
RATIO = "The ratio is to by hand."


def prepare_environment(name: str) -> str:
    """Create an environment unless it is up to date, and return the path of its interpreter."""
    folder, requires = HERE / ".venvs" / name, CONTENDERS[name].requires
    stamp, python = folder / "requires.txt", str(folder / "bin/python")
    if not stamp.exists() or stamp.read_text() != requires:
        print(f"Creating the environment of {name} …", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", *requires.split()], check=True, cwd=HERE.parent
        )
        stamp.write_text(requires)
    return python


@dataclass
class Bench:
    """One run: its databases, its duration, and the workers that it has started."""

    folder: Path
    stack: ExitStack
    postgresql: str
    rounds: int
    http_rounds: int
    seconds: int
    sizes: list[int]
    workers: dict[tuple[str, str], Worker] = field(default_factory=dict)
    chart: str = ""

    @property
    def sqlite(self) -> str:
        return f"sqlite:///{self.folder / 'users.db'}"

    def manage_tables(self, action: str, database: str, **options: object) -> str:
        """Run compare_tables.py in an environment that has a PostgreSQL driver."""
        script = str(HERE / "compare_tables.py")
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command = [prepare_environment("ours"), script, action, database, *arguments]
        output: str = subprocess.check_output(command, text=True)
        return output.strip()

    def create_schema(self, name: str, **options: object) -> str:
        """Create a table in a separate schema, and return a URL whose connections use it."""
        self.manage_tables("fill", self.postgresql, schema=name, **options)
        return f"{self.postgresql}?options=-csearch_path%3D{name}"

    def measure(
        self, measures: Mapping[Key, Callable[[], float]], rounds: int
    ) -> dict[Key, Figures]:
        """Take each measurement once per round; each round starts with a different one."""
        results: dict[Key, list[float]] = {key: [] for key in measures}
        keys = [*measures]
        for n in range(rounds):
            shift = n % len(keys)
            for key in keys[shift:] + keys[:shift]:
                results[key].append(measures[key]())
        return {key: Figures(values) for key, values in results.items()}


class Worker:
    """A contender in a separate process, which runs compare_worker.py."""

    def __init__(
        self, bench: Bench, module: str, url: str, *, environment: str = "", **more: object
    ) -> None:
        self.bench, self.module = bench, module
        self.python = prepare_environment(environment or module)
        url = url.replace("postgresql:", "postgresql+psycopg:")
        variables = {
            "DATABASE": url,
            "FLASK_SQLALCHEMY_DATABASE_URI": url,
            "FLASK_JWT_SECRET_KEY": "a secret of more than thirty-two bytes",
            "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent / 'examples'}",
            "ROWS": USERS,
        } | more
        self.environ = os.environ | {name: str(value) for name, value in variables.items()}
        self._process = subprocess.Popen(
            [self.python, HERE / "compare_worker.py", f"contenders.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=bench.folder,
            env=self.environ,
        )
        bench.stack.callback(self.stop)
        self.time_requests()  # The first requests are slower; they are not measured.

    def call(self, *command: object) -> Any:
        assert self._process.stdin and self._process.stdout  # noqa: PT018
        print(json.dumps(command), file=self._process.stdin, flush=True)
        result = self._process.stdout.readline()
        return json.loads(result) if result else sys.exit(f"{self.module} failed at {command}.")

    def time_requests(self, tokens: str = "accepted") -> float:
        microseconds: float = self.call("time_requests", tokens, REQUESTS)
        return microseconds

    def time_operations(self, kind: str) -> float:
        microseconds: float = self.call("time_operations", kind, REQUESTS)
        return microseconds

    def stop(self) -> None:
        self._process.communicate()


class Server:
    """A contender over HTTP: one worker on one core, and wrk with four connections on another."""

    def __init__(self, worker: Worker, program: str) -> None:
        port = free_port()
        tokens = worker.bench.folder / f"tokens-{port}"
        worker.call("write_tokens", str(tokens), 1000)
        method, path = worker.call("get_route")
        options = [f"--bind=127.0.0.1:{port}", "--log-level=error"]
        if program == "uvicorn":
            options = [f"--port={port}", "--log-level=error", "--no-access-log"]
        command = [worker.python, "-m", program, f"contenders.{worker.module}:app", "--workers=1"]
        self._process = subprocess.Popen(
            ["taskset", "-c", str(CORES[0]), *command, *options],
            cwd=worker.bench.folder,
            env=worker.environ,
        )
        self._wrk = ["taskset", "-c", str(CORES[-1]), "wrk", "-t1", "-c4", "-s"]
        self._wrk += [str(HERE / "compare.lua"), f"http://127.0.0.1:{port}{path}"]
        self._environ = os.environ | {"TOKENS": str(tokens), "METHOD": method}
        worker.bench.stack.callback(self.stop)
        wait_until(lambda: is_listening(port))
        self.measure_throughput(1)

    def measure_throughput(self, seconds: int) -> float:
        """Return the requests per second that wrk has counted."""
        command = [*self._wrk, f"-d{seconds}s"]
        output = subprocess.check_output(command, text=True, env=self._environ)
        rate = re.search(r"Requests/sec: +([\d.]+)", output)
        if rate is None or float(rate[1]) == 0 or "Non-2xx" in output:
            sys.exit(f"Not all responses were successful:\n{output}")
        return float(rate[1])

    def measure_memory(self) -> float:
        """Return the resident memory of gunicorn's only worker, in MB (10**6 bytes)."""
        child = children_of(self._process.pid)[0]
        resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{child}/status").read_text())
        assert resident
        return int(resident[1]) * 1024 / 1e6

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def check_responses(bench: Bench) -> None:
    """Exit unless all contenders return the right user, and those in SAME_BODY the same JSON."""
    for module, database in bench.workers:
        profile = json.loads(bench.workers[module, database].call("fetch_profile", 4711))
        expected = json.loads(bench.workers["ours", database].call("fetch_profile", 4711))
        if expected["username"] != "user_00004711" or len(expected) != 12:
            sys.exit(f"Ours returns a wrong profile: {expected}")
        if module in SAME_BODY and [*profile.items()] != [*expected.items()]:
            sys.exit(f"{module} returns other JSON than ours: {profile}")
        if profile and any(profile[name] != expected[name] for name in ("username", "email")):
            sys.exit(f"{module} returns another user: {profile}")


def compare_contenders(figures: Mapping[tuple[str, str], Figures], unit: str) -> str:
    """Return the table of all contenders on both databases."""
    head = ["contender"]
    for name in DATABASES.values():
        head += [f"{name}: {unit}", "quartiles", "ratio"]
    rows = []
    for module, contender in CONTENDERS.items():
        row = [contender.label]
        for database in DATABASES:
            own, base = figures[module, database], figures["by_hand", database]
            row += [f"{own.median:,.0f}", own.quartiles, f"{own.median / base.median:.2f}"]
        rows.append(row)
    return format_table(head, rows)


def measure_in_process(bench: Bench) -> str:
    figures = bench.measure(
        {key: worker.time_requests for key, worker in bench.workers.items()}, bench.rounds
    )
    bench.chart = draw_chart(
        {
            re.sub("[*`]", "", contender.label): [figures[module, d].median for d in DATABASES]
            for module, contender in CONTENDERS.items()
        },
        [*DATABASES.values()],
    )
    text = f"Medians of {bench.rounds} rounds of {REQUESTS} requests. Less is better. "
    text += f"{RATIO}\n\n"
    text += compare_contenders(figures, "µs")
    for database, name in DATABASES.items():
        ours, hand, floor, verified, empty = (
            figures[module, database].median
            for module in ("ours", "by_hand", "floor", "flask_jwt", "flask_empty")
        )
        text += (
            f"\nOn {name}, ours takes {ours:.0f} µs: {empty:.0f} for Flask, {verified - empty:.0f} "
            f"for the token, and {ours - verified:.0f} for the statement, the schema and the JSON. "
            f"Ours takes {ours / floor:.2f} times as long as the bare minimum, and by hand takes "
            f"{hand / floor:.2f} times as long.\n"
        )
    return text


def measure_over_http(bench: Bench) -> str:
    servers = {
        key: Server(worker, CONTENDERS[worker.module].server)
        for key, worker in bench.workers.items()
    }
    measures = {
        key: partial(server.measure_throughput, bench.seconds) for key, server in servers.items()
    }
    figures = bench.measure(measures, bench.http_rounds)
    text = f"Medians of {bench.http_rounds} rounds of {bench.seconds} s. More is better. "
    text += f"{RATIO}\n\n"
    return text + compare_contenders(figures, "requests/s")


def measure_refused_tokens(bench: Bench) -> str:
    kinds = ("accepted", "expired", "tampered")
    measures = {
        (*key, kind): partial(worker.time_requests, kind)
        for key, worker in bench.workers.items()
        for kind in kinds
        if worker.module in {"ours", "by_hand"}
    }
    figures = bench.measure(measures, bench.rounds)
    rows = []
    for module, database in dict.fromkeys(key[:2] for key in measures):
        medians = [figures[module, database, kind].median for kind in kinds]
        if module == "ours" and medians[0] <= max(medians[1:]):
            sys.exit(f"A refused token costs as much as an accepted one: {medians}")
        cells = [f"{m:,.0f} ({m / medians[0]:.2f})" for m in medians]
        rows.append([CONTENDERS[module].label, DATABASES[database], *cells])
    head = ["contender", "database", *(f"{kind}: µs" for kind in kinds)]
    return format_table(head, rows)


OPERATIONS = {"read": "GET", "unchanged": "304", "edit": "PATCH"}
SENDS_ETAG = ("ours", "by_hand")


def measure_operations(bench: Bench) -> str:
    """Return the table of GET with an ETag, of a 304 response, and of a PATCH of one field."""
    methods = json.dumps(["GET", "PATCH", "POST"])
    workers = {
        (module, database): Worker(
            bench, module, getattr(bench, database), FLASK_PROFILE_METHODS=methods
        )
        for database in DATABASES
        for module in ("ours", "by_hand", "drf", "djoser", "fastapi_users")
    }
    measures = {
        (*key, kind): partial(worker.time_operations, kind)
        for key, worker in workers.items()
        for kind in OPERATIONS
        if kind != "unchanged" or key[0] in SENDS_ETAG
    }
    figures = bench.measure(measures, bench.rounds)
    rows = []
    for module, database in workers:
        cells = []
        for kind in OPERATIONS:
            if (module, database, kind) in figures:
                own = figures[module, database, kind].median
                base = figures["by_hand", database, kind].median
                cells.append(f"{own:,.0f} ({own / base:.2f})")
            else:
                cells.append("–")
        rows.append([CONTENDERS[module].label, DATABASES[database], *cells])
    head = ["contender", "database", *(f"{label}: µs" for label in OPERATIONS.values())]
    return format_table(head, rows)


def compare_variants(
    bench: Bench, label_head: str, variants: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the table that compares ours and by hand, with one row for each variant."""
    defaults: dict[str, Any] = {"COLUMNS": 0, "RELATIONSHIPS": 0, "LAZY": "select"}
    workers = {
        (label, module): Worker(
            bench, "wide", environment=module, WIDE=module, **(defaults | dict(variant))
        )
        for label, variant in variants.items()
        for module in ("ours", "by_hand")
    }
    figures = bench.measure(
        {key: worker.time_requests for key, worker in workers.items()}, bench.rounds
    )
    rows = []
    for label in variants:
        ours, hand = figures[label, "ours"], figures[label, "by_hand"]
        ratio = f"{ours.median / hand.median:.2f}"
        cells = [f"{ours.median:,.0f}", ours.quartiles, f"{hand.median:,.0f}", hand.quartiles]
        rows.append([label, *cells, ratio])
    return format_table(
        [label_head, "ours: µs", "quartiles", "by hand: µs", "quartiles", "ratio"], rows
    )


def measure_table_sizes(bench: Bench) -> str:
    variants = {
        f"{rows:,}": {"url": bench.create_schema(f"rows_{rows}", rows=rows), "ROWS": rows}
        for rows in bench.sizes
    }
    return compare_variants(bench, "users in the table", variants)


def measure_model_sizes(bench: Bench) -> str:
    variants = {
        f"{columns} more columns": {
            "url": bench.create_schema(f"columns_{columns}", columns=columns),
            "COLUMNS": columns,
        }
        for columns in (0, 20, 100)
    }
    url = bench.create_schema("relationships", relationships=5)
    for lazy in ("joined", "selectin"):
        label = f'5 relationships, `lazy="{lazy}"`'
        variants[label] = {"url": url, "RELATIONSHIPS": 5, "LAZY": lazy}
    return compare_variants(bench, "the model has", variants)


def measure_memory(bench: Bench) -> str:
    """Return the table of the memory of new workers, with and without the library."""
    apps = {"by_hand": "by hand", "with_library": "by hand, with the library added", "ours": "ours"}
    rows = []
    for database in DATABASES:
        url = getattr(bench, database)

        def measure_new_server(worker: Worker) -> float:
            server = Server(worker, "gunicorn")
            server.measure_throughput(2)
            megabytes = server.measure_memory()
            server.stop()
            return megabytes

        workers = {app: Worker(bench, app, url, environment="ours") for app in apps}
        measures = {app: partial(measure_new_server, worker) for app, worker in workers.items()}
        figures = bench.measure(measures, bench.http_rounds)
        for app, label in apps.items():
            own = figures[app]
            difference = own.median - figures["by_hand"].median
            cells = [f"{own.median:.1f}", f"{own.low:.1f}–{own.high:.1f}", f"{difference:+.1f}"]
            rows.append([label, DATABASES[database], *cells])
    head = ["app", "database", "MB", "quartiles", "difference"]
    return format_table(head, rows)


PARTS: dict[str, Callable[[Bench], str]] = {
    "process": measure_in_process,
    "http": measure_over_http,
    "refused": measure_refused_tokens,
    "operations": measure_operations,
    "rows": measure_table_sizes,
    "model": measure_model_sizes,
    "memory": measure_memory,
}


def describe_versions(bench: Bench, postgresql: str) -> str:
    """Return a line with the number of cores and the versions of all packages."""
    found: dict[str, set[str]] = {}
    for (module, _), worker in bench.workers.items():
        names = re.findall(r"(?:^| )([a-z][\w-]*)", CONTENDERS[module].requires)
        for name, version in worker.call("list_versions", *names).items():
            found.setdefault(name, set()).add(version)
    listed = ", ".join(f"{name} {' and '.join(sorted(found[name]))}" for name in found)
    return f"{os.cpu_count()} cores; PostgreSQL {postgresql}, {listed}.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run few rounds, without large tables")
    parser.add_argument(
        "--ten-million", action="store_true", help="also measure a table of 10,000,000 users"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], metavar="PART")
    parser.add_argument(
        "--write", action="store_true", help="write the tables to docs/performance.md"
    )
    parser.add_argument("--keep", action="store_true", help="keep the PostgreSQL database")
    parser.add_argument("--postgresql", default="postgresql://postgres@127.0.0.1", metavar="URL")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed.")
    sizes = [1_000, 10_000] if options.quick else [1_000, 10_000, 1_000_000]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(
            folder=Path(folder),
            stack=stack,
            postgresql=f"{options.postgresql}/flask_profile_benchmark",
            rounds=15 if options.quick else 31,
            http_rounds=3 if options.quick else 7,
            seconds=2 if options.quick else 3,
            sizes=[*sizes, 10_000_000] if options.ten_million else sizes,
        )
        server = bench.manage_tables("create", bench.postgresql)
        if not options.keep:
            stack.callback(bench.manage_tables, "drop", bench.postgresql)
        for database in DATABASES:
            url = getattr(bench, database)
            bench.manage_tables("fill", url.removeprefix("sqlite:///"), rows=USERS)
            for module in CONTENDERS:
                bench.workers[module, database] = Worker(bench, module, url)
        check_responses(bench)
        sections = {"versions": describe_versions(bench, server)}
        print(sections["versions"], flush=True)
        for part in options.only:
            sections[part] = PARTS[part](bench)
            print(f"{part}\n\n{sections[part]}", flush=True)
        if options.write:
            for name, section in sections.items():
                write_table("performance.md", f"benchmarks/compare.py: {name}", section)
            if bench.chart:
                (DOCS / "performance.svg").write_text(bench.chart)


if __name__ == "__main__":
    main()
