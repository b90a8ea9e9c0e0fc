"""What capacity_check.py measures: the kinds of requests, the cases, and the tables of both."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any, NamedTuple

from capacity import Costs
from capacity_servers import CORES, Backends, Sample
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
THREADS = {"direct": "1 × 1", "threads_2": "1 × 2", "threads_4": "1 × 4", "direct_2": "2 × 1"}


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
        "threads_2": {"threads": 2},
        "threads_4": {"threads": 4},
    }


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


def tabulate_results(results: Mapping[Case, Sequence[Result]]) -> str:
    rows = []
    for case, each in results.items():
        predicted, measured = (median(row[index] for row in each) for index in (0, 1))
        error = median(row.error for row in each)
        rows.append([case.label, f"{predicted:,.0f}", f"{measured:,.0f}", f"{error:+.0%}"])
    return format_table(("load", "requests/s: predicted", "measured", "error"), rows)


def tabulate_connections(results: Mapping[Case, Sequence[Result]]) -> str:
    rows = []
    for case, each in results.items():
        last = each[-1]
        in_use = [f"{median(row[index] for row in each):.2f}" for index in (4, 5)]
        rows.append([case.label, str(last.predicted_open), str(last.open), *in_use])
    head = ("load", "open: predicted", "measured", "in use: predicted", "measured")
    return format_table(head, rows)


def tabulate_threads(samples: Mapping[str, Sequence[Sample]], backends: Backends) -> str:
    rows = []
    for name, each in samples.items():
        rate = median(sample.rate for sample in each)
        cpu = median(sample.cpu["worker"] for sample in each)
        count = str(len(backends.find_connections(name)))
        rows.append([THREADS[name], f"{rate:,.0f}", f"{cpu * 1e6:,.0f}", count])
    return format_table(("workers × threads", "requests/s", "worker: µs", "connections"), rows)


def describe_machine(backends: Backends) -> str:
    """Return a line with the cores and the versions."""
    with backends.primary.connect() as connection:
        server = (connection.info.parameter_status("server_version") or "").split()[0]
    names = ("gunicorn", "flask", "flask-jwt-extended", "sqlalchemy", "psycopg")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    python = platform.python_version()
    return f"{CORES} cores; PostgreSQL {server}, Python {python}, {versions}.\n"
