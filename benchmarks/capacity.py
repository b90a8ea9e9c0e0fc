"""Compute the workers, connections and machines for a number of requests a second.

    python benchmarks/capacity.py --requests 5000 [--worker-cpu 400e-6] [--round-trip 0.3e-3] …

Times are in seconds. The costs of a request are those in capacity.json, which capacity_check.py has
measured; --worker-cpu, --database-cpu and --held replace them by your own. docs/scaling.md explains
the model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import ceil, sqrt
from pathlib import Path
from typing import Any

from manual_tables import format_table

MEASURED = Path(__file__).with_suffix(".json")
RATES = (100, 1_000, 10_000, 100_000)
RESERVED = 3  # PostgreSQL's superuser_reserved_connections.


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a request costs on average."""

    worker_cpu: float  # CPU seconds of the worker.
    database_cpu: float  # CPU seconds of the PostgreSQL server that executes the statements.
    held: float  # Seconds that the request holds a connection, with the database on the machine.
    waiting: float  # Seconds of these in which the worker waits for the database.
    round_trips: float  # To the database.
    pgbouncer_cpu: float = 0  # CPU seconds of PgBouncer, where there is one.
    client_cpu: float = 0  # CPU seconds of the client, where it is on the same machine.
    replay_cpu: float = 0  # CPU seconds of each replica, which replays what the request writes.


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Where and how the requests are served; these are options of the command."""

    edits: float = 0.05  # share of the requests that are a PATCH
    utilisation: float = 0.6  # share of a core that is used on average
    round_trip: float = 0.0005  # seconds to the database on another machine, and back
    cores: int = 8  # cores of a machine for workers
    database_cores: int = 16  # cores of a machine for PostgreSQL
    max_connections: int = 100  # the setting of PostgreSQL
    worker_memory: float = field(default_factory=lambda: read_measured()["worker_memory"])  # bytes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a number of requests a second needs; the fields are the rows of the table."""

    cores_for_workers: float
    machines: int
    workers: int
    memory: float
    connections_in_use: float
    connections_at_peak: int
    connections_open: int
    pgbouncers: int
    database_cores: float
    replicas: int


def mix(parts: Iterable[tuple[float, Costs]]) -> Costs:
    """Return the average costs of several kinds of requests, each with its share."""
    parts = [*parts]
    names = [field.name for field in fields(Costs)]
    return Costs(
        **{name: sum(share * getattr(cost, name) for share, cost in parts) for name in names}
    )


def predict_rate(costs: Costs, *, workers: int, cores: int) -> float:
    """Return the most requests a second on one machine, with the database and the client on it.

    A worker serves one request at a time: it computes, and waits for the database. All processes
    together cannot use more than the cores.
    """
    of_database = costs.database_cpu + costs.replay_cpu + costs.pgbouncer_cpu
    of_all = costs.worker_cpu + of_database + costs.client_cpu
    return min(workers / (costs.worker_cpu + costs.waiting), cores / of_all)


def at_peak(mean: float) -> int:
    """Return how many are enough nearly always, of what is in use by a mean number of requests.

    The number varies around its mean like that of a Poisson distribution, whose standard deviation
    is the square root of the mean. This adds three of them.
    """
    return ceil(mean + 3 * sqrt(mean))


def plan(rate: float, measured: Mapping[str, Costs], given: Assumptions) -> Plan:
    """Return what a number of requests a second needs.

    Args:
        rate: Requests a second.
        measured: The costs of a ``"read"``, an ``"edit"``, and a read by a session that routes to
            replicas (``"routed"``).
        given: Where and how they are served.
    """
    edits, reads = rate * given.edits, rate * (1 - given.edits)
    read, edit = measured["read"], measured["edit"]
    busy_cores = reads * read.database_cpu + edits * edit.database_cpu
    replicas = 0
    if busy_cores > given.database_cores * given.utilisation:
        read = measured["routed"]
        spare = given.database_cores * given.utilisation - edits * edit.replay_cpu
        replicas = ceil(reads * read.database_cpu / spare)
        busy_cores = reads * read.database_cpu + edits * (
            edit.database_cpu + replicas * edit.replay_cpu
        )
    costs = mix([(1 - given.edits, read), (given.edits, edit)])
    network = costs.round_trips * given.round_trip
    cores = rate * costs.worker_cpu / given.utilisation
    workers = ceil(rate * (costs.worker_cpu + costs.waiting + network) / given.utilisation)
    in_use = rate * (costs.held + network)  # Little's law.
    is_too_many = workers > given.max_connections - RESERVED
    busy_pgbouncers = rate * costs.pgbouncer_cpu / given.utilisation
    return Plan(
        cores_for_workers=cores,
        machines=ceil(cores / given.cores),
        workers=workers,
        memory=workers * given.worker_memory,
        connections_in_use=in_use,
        connections_at_peak=at_peak(in_use),
        connections_open=workers,
        pgbouncers=ceil(busy_pgbouncers) if is_too_many else 0,
        database_cores=busy_cores / given.utilisation,
        replicas=replicas,
    )


def describe(rates: Sequence[float], measured: Mapping[str, Costs], given: Assumptions) -> str:
    """Return a table in Markdown, with a column for each number of requests a second."""
    plans = [plan(rate, measured, given) for rate in rates]
    rows = (
        ("cores for workers", [f"{each.cores_for_workers:,.1f}" for each in plans]),
        (f"machines of {given.cores} cores", [f"{each.machines:,}" for each in plans]),
        ("workers", [f"{each.workers:,}" for each in plans]),
        ("memory of the workers", [f"{each.memory / 1e9:,.1f} GB" for each in plans]),
        ("connections in use, on average", [f"{each.connections_in_use:,.1f}" for each in plans]),
        ("connections in use, at the peak", [f"{each.connections_at_peak:,}" for each in plans]),
        ("connections that the workers open", [f"{each.connections_open:,}" for each in plans]),
        ("PgBouncer processes", [f"{each.pgbouncers or '–'}" for each in plans]),
        ("cores for PostgreSQL", [f"{each.database_cores:,.1f}" for each in plans]),
        (
            f"replicas of {given.database_cores} cores",
            [f"{each.replicas or '–'}" for each in plans],
        ),
    )
    head = ("requests a second", *(f"{rate:,.0f}" for rate in rates))
    return format_table(head, [(label, *cells) for label, cells in rows])


def read_measured() -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(MEASURED.read_text())
    return measured


def read_costs(own: Mapping[str, float]) -> dict[str, Costs]:
    """Return the measured costs of each kind of request, scaled by your own costs of a read."""
    measured: dict[str, dict[str, float]] = read_measured()["costs"]
    scales = {name: value / measured["read"][name] for name, value in own.items()}
    scales["waiting"] = scales.get("held", 1)
    return {
        kind: Costs(**{name: value * scales.get(name, 1) for name, value in costs.items()})
        for kind, costs in measured.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", nargs="+", type=float, default=RATES, metavar="N")
    costs = ("worker_cpu", "database_cpu", "held")
    for name in costs:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=argparse.SUPPRESS, metavar="SECONDS")
    defaults = asdict(Assumptions())
    for name, value in defaults.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, metavar="N")
    options = vars(parser.parse_args())
    own = {name: options[name] for name in costs if name in options}
    given = Assumptions(**{name: options[name] for name in defaults})
    print(describe(options["requests"], read_costs(own), given), end="")


if __name__ == "__main__":
    main()
