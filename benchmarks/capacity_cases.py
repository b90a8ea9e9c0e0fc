"""What capacity_check.py measures: the kinds of requests, the cases, their servers and tables."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from socket import socket
from statistics import median
from typing import Any, NamedTuple

from capacity import Costs
from capacity_servers import CORES, Backends, Sample, Server
from guard import Proxy
from manual_tables import format_table


class Kind(NamedTuple):
    """A kind of request: the server and the method with which its costs are measured."""

    label: str
    server: str
    method: str

    @property
    def is_behind_pgbouncer(self) -> bool:
        return self.server.startswith("pgbouncer")


KINDS = {
    "read": Kind("`POST`", "direct", "POST"),
    "get": Kind("`GET`, 200", "direct", "GET"),
    "unchanged": Kind("`GET`, 304", "direct", "304"),
    "edit": Kind("`PATCH`", "direct", "PATCH"),
    "pgbouncer": Kind("`POST`, PgBouncer", "pgbouncer", "POST"),
    "null_pool": Kind("`POST`, PgBouncer, `NullPool`", "pgbouncer_null", "POST"),
    "routed": Kind("`POST`, routing session", "routed", "POST"),
}


class Case(NamedTuple):
    """A load whose requests a second are predicted: how many of each kind it has in turn."""

    label: str
    server: str
    parts: tuple[tuple[str, int], ...]

    @property
    def methods(self) -> list[str]:
        return [KINDS[kind].method for kind, number in self.parts for _ in range(number)]


CASES = (
    Case("1 worker", "direct", (("read", 1),)),
    Case("2 workers", "direct_2", (("read", 1),)),
    Case("2 workers, PgBouncer", "pgbouncer_2", (("pgbouncer", 1),)),
    Case("2 workers, routing session", "routed_2", (("routed", 1),)),
    Case("2 workers, all on the replica", "replica_2", (("read", 1),)),
    Case("2 workers, 10 % `PATCH`", "direct_2", (("get", 9), ("unchanged", 9), ("edit", 2))),
)
QUICK_CASES = (CASES[1], CASES[3])
THREADS = {
    "direct": "1 `sync`",
    "direct_2": "2 `sync`",
    "threads_1": "1 `gthread`, 1 thread",
    "threads_2": "1 `gthread`, 2 threads",
    "threads_4": "1 `gthread`, 4 threads",
}


def configure_servers(backends: Backends) -> dict[str, dict[str, Any]]:
    """Return the options of each server, by its name."""
    replica = backends.replica.url()
    pgbouncer = {
        "SQLALCHEMY_DATABASE_URI": backends.bouncer.url("psycopg"),
        "SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"prepare_threshold": None}},
    }
    return {
        "direct": {},
        "direct_2": {"workers": 2},
        "pgbouncer": pgbouncer,
        "pgbouncer_2": pgbouncer | {"workers": 2},
        "pgbouncer_null": pgbouncer | {"NULL_POOL": True},
        "routed": {"SQLALCHEMY_BINDS": {"replica": replica}},
        "routed_2": {"SQLALCHEMY_BINDS": {"replica": replica}, "workers": 2},
        "replica_2": {"SQLALCHEMY_DATABASE_URI": replica, "workers": 2},
        "threads_1": {"threads": 1},
        "threads_2": {"threads": 2},
        "threads_4": {"threads": 4},
    }


class CountingProxy(Proxy):
    """A proxy that takes no notice of a connection that the other side has closed."""

    def _forward(self, source: socket, target: socket, is_request: bool) -> None:
        with suppress(OSError):
            super()._forward(source, target, is_request)


def count_round_trips(backends: Backends) -> dict[str, int]:
    """Return the round trips to the database that each kind of request takes."""
    ports = (backends.primary.port, backends.replica.port, backends.bouncer.port)
    proxies = {port: CountingProxy(("127.0.0.1", port)) for port in ports}
    round_trips: dict[str, int] = {}
    for name in dict.fromkeys(kind.server for kind in KINDS.values()):
        default = {"SQLALCHEMY_DATABASE_URI": backends.primary.url()}
        config = json.dumps(default | configure_servers(backends)[name])
        for port, proxy in proxies.items():
            config = config.replace(f":{port}/", f":{proxy.port}/")
        server = Server(backends, "proxied", **json.loads(config))
        for kind, (_, server_name, method) in KINDS.items():
            if server_name == name:
                before = sum(proxy.round_trips for proxy in proxies.values())
                requests = server.measure(method, clients=1).requests
                after = sum(proxy.round_trips for proxy in proxies.values())
                round_trips[kind] = round((after - before) / requests)
        server.stop()
    return round_trips


class Result(NamedTuple):
    """A prediction for a case, and what was measured."""

    predicted: float  # Requests a second.
    measured: float
    predicted_open: int  # Connections.
    open: int
    predicted_in_use: float  # Connections, on average.
    in_use: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def tabulate_costs(costs: Mapping[str, Costs]) -> str:
    rows = []
    for kind, cost in costs.items():
        pgbouncer_cpu = cost.pgbouncer_cpu if KINDS[kind].is_behind_pgbouncer else 0
        times = (cost.worker_cpu, cost.database_cpu, pgbouncer_cpu, cost.held)
        cells = [f"{seconds * 1e6:,.0f}" if seconds else "–" for seconds in times]
        rate = 1 / (cost.worker_cpu + cost.waiting)
        rows.append([KINDS[kind].label, *cells, f"{cost.round_trips:g}", f"{rate:,.0f}"])
    head = ("request", "worker", "PostgreSQL", "PgBouncer", "connection", "round trips")
    return format_table((*head, "one worker: requests/s"), rows)


def find_median(results: Sequence[Result]) -> Result:
    """Return the result whose error is the median."""
    return sorted(results, key=lambda result: result.error)[len(results) // 2]


def tabulate_results(results: Mapping[Case, Sequence[Result]]) -> str:
    rows = []
    for case, each in results.items():
        middle, errors = find_median(each), sorted(result.error for result in each)
        rates = (f"{middle.predicted:,.0f}", f"{middle.measured:,.0f}")
        all_errors = f"{errors[0]:+.0%} to {errors[-1]:+.0%}"
        rows.append([case.label, *rates, f"{middle.error:+.0%}", all_errors])
    head = ("load", "requests/s: predicted", "measured", "error", "errors of all rounds")
    return format_table(head, rows)


def tabulate_connections(results: Mapping[Case, Sequence[Result]]) -> str:
    rows = []
    for case, each in results.items():
        middle = find_median(each)
        in_use = (f"{middle.predicted_in_use:.2f}", f"{middle.in_use:.2f}")
        rows.append([case.label, str(middle.predicted_open), str(middle.open), *in_use])
    head = ("load", "open: predicted", "measured", "in use: predicted", "measured")
    return format_table(head, rows)


def tabulate_threads(samples: Mapping[str, Sequence[Sample]], backends: Backends) -> str:
    rows = []
    for name, each in samples.items():
        rate = median(sample.rate for sample in each)
        cpu = median(sample.cpu["worker"] for sample in each)
        held = median(sample.held for sample in each)
        count = str(len(backends.find_connections(name)))
        cells = [f"{number:,.0f}" for number in (rate, cpu * 1e6, held * 1e6)]
        rows.append([THREADS[name], *cells, count])
    head = ("workers", "requests/s", "worker: µs", "connection: µs", "connections open")
    return format_table(head, rows)


def describe_machine(backends: Backends) -> str:
    """Return a line with the cores and the versions."""
    with backends.primary.connect() as connection:
        server = (connection.info.parameter_status("server_version") or "").split()[0]
    names = ("gunicorn", "flask", "flask-jwt-extended", "sqlalchemy", "psycopg")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    python = platform.python_version()
    return f"{CORES} cores; PostgreSQL {server}, Python {python}, {versions}.\n"


def read_costs(kind: str, sample: Sample) -> Costs:
    """Return the costs of a kind of request; its round trips are counted apart."""
    cpu = sample.cpu
    return Costs(
        worker_cpu=cpu["worker"],
        database_cpu=cpu["replica" if kind == "routed" else "primary"],
        client_cpu=cpu["client"],
        held=sample.held,
        waiting=sample.waiting,
        round_trips=0,
        pgbouncer_cpu=cpu["pgbouncer"] if KINDS[kind].is_behind_pgbouncer else 0,
        replay_cpu=cpu["replica"] if kind == "edit" else 0,
    )
