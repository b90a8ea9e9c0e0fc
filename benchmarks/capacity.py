"""Compute the workers, connections and machines for a number of requests a second.

    python benchmarks/capacity.py --requests 5000 [--worker-cpu 400e-6] [--round-trip 0.3e-3] …

Times are in seconds. The costs of a request are those in capacity.json, which capacity_check.py has
measured; --worker-cpu, --database-cpu and --held replace them by your own. docs/scaling.md explains
the model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
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


def option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": f"{text} ({default:g})"})


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Where and how the requests are served; these are options of the command."""

    edits: float = option(0.05, "share of the requests that are a PATCH")
    utilisation: float = option(0.6, "share of each core and worker that is used on average")
    round_trip: float = option(0.0005, "seconds to the database on another machine, and back")
    cores: int = option(8, "cores of a machine for workers")
    database_cores: int = option(16, "cores of a machine for PostgreSQL")
    max_connections: int = option(100, "the setting of PostgreSQL")
    worker_memory: float = option(60e6, "bytes of a worker")
    routing: int = option(0, "1: a session chooses the replica; 0: some workers use it only")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a number of requests a second needs."""

    cores: float
    machines: int
    workers: int
    memory_gb: float
    connections_open: int
    connections_in_use: float  # On average.
    connections_at_peak: int
    pgbouncers: int
    database_cores: float
    replicas: int


ROWS = {  # The label and the format of each field of a plan.
    "cores": ("cores for workers", ",.1f"),
    "machines": ("machines for workers", ","),
    "workers": ("workers", ","),
    "memory_gb": ("memory of the workers: GB", ",.1f"),
    "connections_open": ("connections that they open", ","),
    "connections_in_use": ("connections in use, on average", ",.1f"),
    "connections_at_peak": ("connections in use, at the peak", ","),
    "pgbouncers": ("PgBouncer processes", ","),
    "database_cores": ("cores for PostgreSQL", ",.1f"),
    "replicas": ("replicas", ","),
}


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
        measured: The costs of each kind of request.
        given: Where and how the requests are served.
    """
    edits, reads = rate * given.edits, rate * (1 - given.edits)
    read, edit = measured["read"], measured["edit"]
    of_machine = given.database_cores * given.utilisation
    busy, replicas = reads * read.database_cpu + edits * edit.database_cpu, 0
    if busy > of_machine:
        read = measured["routed" if given.routing else "read"]
        free = of_machine - edits * max(edit.database_cpu, edit.replay_cpu)
        if free <= 0:
            sys.exit(f"One primary cannot write {edits:,.0f} edits a second.")
        replicas = ceil(reads * read.database_cpu / free)
        busy = reads * read.database_cpu
        busy += edits * (edit.database_cpu + replicas * edit.replay_cpu)
    costs = mix([(1 - given.edits, read), (given.edits, edit)])
    network = costs.round_trips * given.round_trip
    cores = rate * costs.worker_cpu / given.utilisation
    workers = ceil(rate * (costs.worker_cpu + costs.waiting + network) / given.utilisation)
    in_use = rate * (costs.held + network)  # Little's law.
    # Each worker uses one server, or all. A reload starts new workers before the old ones end.
    of_server = workers if given.routing else ceil(workers / (1 + replicas))
    is_too_many = 2 * of_server > given.max_connections - RESERVED
    return Plan(
        cores=cores,
        machines=ceil(cores / given.cores),
        workers=workers,
        memory_gb=workers * given.worker_memory / 1e9,
        connections_open=workers,
        connections_in_use=in_use,
        connections_at_peak=min(at_peak(in_use), workers),
        pgbouncers=ceil(rate * costs.pgbouncer_cpu / given.utilisation) if is_too_many else 0,
        database_cores=busy / given.utilisation,
        replicas=replicas,
    )


def describe(plans: Mapping[str, Plan]) -> str:
    """Return a table in Markdown, with a column for each plan."""
    rows = []
    for name, (label, spec) in ROWS.items():
        values = [getattr(each, name) for each in plans.values()]
        rows.append([label, *(f"{value:{spec}}" if value else "–" for value in values)])
    return format_table(("requests a second", *plans), rows)


def plan_all(
    rates: Iterable[float], measured: Mapping[str, Costs], given: Assumptions
) -> dict[str, Plan]:
    return {f"{rate:,.0f}": plan(rate, measured, given) for rate in rates}


def read_costs(own: Mapping[str, float]) -> dict[str, Costs]:
    """Return the measured costs of each kind of request, scaled by your own costs of a read."""
    measured: dict[str, dict[str, float]] = json.loads(MEASURED.read_text())
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
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            default=argparse.SUPPRESS,
            metavar="SECONDS",
            help="of a read",
        )
    for each in fields(Assumptions):
        name, kind = f"--{each.name.replace('_', '-')}", type(each.default)
        parser.add_argument(name, type=kind, default=each.default, help=each.metadata["help"])
    options = vars(parser.parse_args())
    own = {name: options[name] for name in costs if name in options}
    given = Assumptions(**{each.name: options[each.name] for each in fields(Assumptions)})
    print(describe(plan_all(options["requests"], read_costs(own), given)), end="")


if __name__ == "__main__":
    main()
