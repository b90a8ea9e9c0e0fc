"""Measure what requests cost, and hold the predictions of capacity.py against measurements.

    python benchmarks/capacity_check.py [--quick] [--write]

This starts the servers of capacity_servers.py. It measures the costs of each kind of request with
one worker and one client, predicts from them the requests a second of other servers, and measures
these right after that, so that a change of the machine's speed matters little. A measurement that
other processes have disturbed is repeated. The script exits with status 1 if a prediction is off by
more than MAX_ERROR, if a server opens more or fewer connections than predicted, or if the machine
is never quiet. With --write, it writes capacity.json and the tables of docs/scaling.md. It needs
Linux, wrk, pgbouncer, the programs of PostgreSQL, gunicorn and "psycopg[binary]", and without
--quick the extra "avatars".
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from statistics import median

from capacity import MEASURED, RATES, Assumptions, Costs, describe, mix, plan_all, predict_rate
from capacity_cases import (
    CASES,
    KINDS,
    QUICK_CASES,
    THREADS,
    Case,
    Result,
    configure_servers,
    count_round_trips,
    describe_machine,
    find_median,
    read_costs,
    tabulate_connections,
    tabulate_costs,
    tabulate_results,
    tabulate_threads,
)
from capacity_servers import (
    CORES,
    MAX_OTHERS,
    Backends,
    Sample,
    Server,
    is_idle,
    start_backends,
)
from manual_tables import write_table

CLIENTS = 4
QUICK_ROUNDS = 5
MAX_ERROR = 0.35
MAX_WAIT = 300  # Seconds until nothing else uses the machine.


# The name of a server, the methods of its requests in turn, and the number of clients.
Load = tuple[str, Sequence[str], int]


class Check:
    """One run: its servers, and what it has measured.

    Args:
        backends: What is behind the servers.
        stack: It stops the servers.
        beside: The kinds of requests whose costs are measured together with those of each other.
    """

    def __init__(self, backends: Backends, stack: ExitStack, *, beside: tuple[str, ...]) -> None:
        self.backends = backends
        # Costs, and the worker's CPU time of a read at the same speed of the machine.
        self.costs: dict[str, list[tuple[Costs, float]]] = defaultdict(list)
        self.results: dict[Case, list[Result]] = defaultdict(list)
        self.threads: dict[str, list[Sample]] = defaultdict(list)
        self._stack = stack
        self._beside = beside
        self._configs = configure_servers(backends)
        self._servers: dict[str, Server] = {}

    def server(self, name: str) -> Server:
        """Return a server, which is started when it is first needed."""
        if name not in self._servers:
            server = Server(self.backends, name, **self._configs[name])
            self._stack.callback(server.stop)
            self._servers[name] = server
        return self._servers[name]

    def measure(self, *loads: Load) -> list[Sample]:
        """Measure loads one after another, again until nothing else uses the machine.

        Their order is random, since the machine may be faster for a moment after a pause.
        """
        servers = [self.server(name) for name, _, _ in loads]
        order = random.sample(range(len(loads)), len(loads))
        samples: dict[int, Sample] = {}
        deadline = time.monotonic() + MAX_WAIT
        while time.monotonic() < deadline:
            if not is_idle():
                continue
            for index in order:
                _, methods, clients = loads[index]
                samples[index] = servers[index].measure(*methods, clients=clients)
            if max(sample.others for sample in samples.values()) <= MAX_OTHERS:
                return [samples[index] for index in range(len(loads))]
        sys.exit("Other processes use the machine all the time.")

    def measure_costs(
        self, names: Iterable[str], *others: Load
    ) -> tuple[dict[str, Costs], list[Sample]]:
        """Measure the costs of some kinds of requests, and other loads."""
        kinds = {name: KINDS[name] for name in (*self._beside, *names)}
        loads: list[Load] = [(kind.server, [kind.method], 1) for kind in kinds.values()]
        samples = self.measure(*loads, *others)
        of_kinds = zip(kinds, samples[: len(kinds)], strict=True)
        costs = {name: read_costs(name, sample) for name, sample in of_kinds}
        if "read" in costs:
            for name, each in costs.items():
                self.costs[name].append((each, costs["read"].worker_cpu))
        return costs, samples[len(kinds) :]

    def measure_case(self, case: Case) -> None:
        """Predict a case from the costs of its kinds of requests, and measure it."""
        load = (case.server, case.methods, CLIENTS)
        costs, (sample,) = self.measure_costs([name for name, _ in case.parts], load)
        mixed = mix((number / len(case.methods), costs[name]) for name, number in case.parts)
        workers = self.server(case.server).workers
        rate = predict_rate(mixed, workers=workers, cores=CORES)
        result = Result(
            predicted=rate,
            measured=sample.rate,
            predicted_open=workers,
            open=len(self.backends.find_connections(case.server)),
            predicted_in_use=rate * mixed.held,
            in_use=sample.rate * sample.held,
        )
        self.results[case].append(result)
        print(f"{case.label}: predicted {rate:,.0f}, measured {sample.rate:,.0f}", flush=True)

    def measure_all(self, rounds: int) -> None:
        """Let all cases, kinds and numbers of threads take turns."""
        in_cases = {name for case in CASES for name, _ in case.parts}
        threads: list[Load] = [(name, ["POST"], 2 * CLIENTS) for name in THREADS]
        for _ in range(rounds):
            for case in CASES:
                self.measure_case(case)
            self.measure_costs(KINDS.keys() - in_cases)
            for name, sample in zip(THREADS, self.measure(*threads), strict=True):
                self.threads[name].append(sample)

    def summarize(self) -> dict[str, Costs]:
        """Return the medians of the costs, all at the median speed of the machine."""
        speed = median(cpu for _, cpu in self.costs["read"])
        round_trips = count_round_trips(self.backends)
        summary = {}
        for name in KINDS:
            rows = [(asdict(costs), speed / cpu) for costs, cpu in self.costs[name]]
            medians = {key: median(row[key] * scale for row, scale in rows) for key in rows[0][0]}
            summary[name] = Costs(**medians | {"round_trips": round_trips[name]})
        of_one = summary["pgbouncer"].pgbouncer_cpu / round_trips["pgbouncer"]
        for name, costs in summary.items():  # It would cost the others as much a round trip.
            if not KINDS[name].is_behind_pgbouncer:
                summary[name] = replace(costs, pgbouncer_cpu=of_one * costs.round_trips)
        return summary


def make_tables(check: Check) -> dict[str, str]:
    """Measure the rest; return the tables by their names, and the text of capacity.json."""
    from capacity_memory import measure_memory, measure_uploads

    costs = check.summarize()
    stored = {
        kind: {name: round(value, 7) for name, value in asdict(each).items()}
        for kind, each in costs.items()
    }
    plans = plan_all(RATES, costs, Assumptions())
    routed = plan_all(RATES[-1:], costs, Assumptions(routing=1))
    plans |= {f"{name}, routing session": each for name, each in routed.items()}
    return {
        "machine": describe_machine(check.backends),
        "costs": tabulate_costs(costs),
        "predictions": tabulate_results(check.results),
        "connections": tabulate_connections(check.results),
        "threads": tabulate_threads(check.threads, check.backends),
        "memory": measure_memory(check.backends),
        "uploads": measure_uploads(check.backends),
        "plans": describe(plans),
        "json": json.dumps(stored, indent=2) + "\n",
    }


def find_failures(check: Check) -> list[str]:
    """Return what is not as predicted."""
    failures = []
    for case, results in check.results.items():
        error = find_median(results).error
        if abs(error) > MAX_ERROR:
            failures.append(
                f"{case.label}: the predicted requests a second are off by {error:+.0%}"
            )
        if results[-1].open != results[-1].predicted_open:
            failures.append(f"{case.label}: {results[-1].open} connections are open")
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check some predictions only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the tables to docs/scaling.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated."))  # It stops the servers.
    with start_backends() as backends, ExitStack() as stack:
        check = Check(backends, stack, beside=() if options.quick else ("read",))
        if options.quick:
            for case in QUICK_ROUNDS * QUICK_CASES:
                check.measure_case(case)
            tables = {"predictions": tabulate_results(check.results)}
        else:
            check.measure_all(options.rounds)
            tables = make_tables(check)
        failures = find_failures(check)
    measured = tables.pop("json", "")
    for name, table in tables.items():
        print(f"\n{name}\n\n{table}", end="")
        if options.write and measured:
            write_table("scaling.md", f"benchmarks/capacity_check.py: {name}", table)
    if options.write and measured:
        MEASURED.write_text(measured)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
