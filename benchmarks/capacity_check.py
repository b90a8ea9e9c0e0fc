"""Measure what requests cost, and hold the predictions of capacity.py against measurements.

    python benchmarks/capacity_check.py [--quick] [--write]

This starts the servers of capacity_servers.py. It measures the costs of each kind of request with
one worker and one client, predicts from them the requests a second of other servers, and measures
these right after that, so that a change of the machine's speed matters little. A measurement that
other processes have disturbed is repeated. The script exits with status 1 if a prediction is off by
more than MAX_ERROR, if a server does not open as many connections as predicted, or if the machine
is never quiet. With --write, it writes capacity.json and the tables of docs/scaling.md. It needs
Linux, wrk, pgbouncer, the programs of PostgreSQL, gunicorn and "psycopg[binary]", and without
--quick the extra "avatars".
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from statistics import median

from capacity import MEASURED, RATES, Assumptions, Costs, describe, mix, predict_rate
from capacity_cases import (
    CASES,
    KINDS,
    QUICK_CASES,
    THREADS,
    Case,
    Result,
    configure_servers,
    describe_machine,
    tabulate_connections,
    tabulate_costs,
    tabulate_results,
    tabulate_threads,
)
from capacity_servers import CORES, Backends, Sample, Server, start_backends
from guard import Proxy
from manual_tables import write_table
from processes import cpu_of_machine

CLIENTS = 4
MAX_ERROR = 0.35
MAX_OTHERS = 0.15  # Cores that other processes may use during a measurement.
MAX_WAIT = 300  # Seconds until nothing else uses the machine.


class Check:
    """One run: its servers, and what it has measured."""

    def __init__(self, backends: Backends, stack: ExitStack) -> None:
        self.backends = backends
        self.costs: dict[str, list[Costs]] = defaultdict(list)
        self.results: dict[Case, list[Result]] = defaultdict(list)
        self.threads: dict[str, list[Sample]] = defaultdict(list)
        self._stack = stack
        self._configs = configure_servers(backends)
        self._servers: dict[str, Server] = {}

    def server(self, name: str) -> Server:
        """Return a server, which is started when it is first needed."""
        if name not in self._servers:
            server = Server(self.backends, name, **self._configs[name])
            self._stack.callback(server.stop)
            self._servers[name] = server
        return self._servers[name]

    def measure(self, *loads: tuple[str, Sequence[str], int]) -> list[Sample]:
        """Measure loads one after another, again until nothing else uses the machine.

        Args:
            loads: The name of the server, the methods in turn, and the number of clients.
        """
        servers = [self.server(name) for name, _, _ in loads]
        while True:
            self._wait_until_idle()
            samples = [
                server.measure(*methods, clients=clients)
                for server, (_, methods, clients) in zip(servers, loads, strict=True)
            ]
            if max(sample.others for sample in samples) <= MAX_OTHERS:
                return samples

    def _wait_until_idle(self) -> None:
        deadline = time.monotonic() + MAX_WAIT
        while time.monotonic() < deadline:
            before = cpu_of_machine()
            time.sleep(0.3)
            if cpu_of_machine() - before <= MAX_OTHERS * 0.3:
                return
        sys.exit("Other processes use the machine all the time.")

    def measure_case(self, case: Case) -> None:
        """Predict a case from the costs of its kinds of requests, and measure it."""
        loads = [(KINDS[kind].server, [KINDS[kind].method], 1) for kind, _ in case.parts]
        *samples, sample = self.measure(*loads, (case.server, case.methods, CLIENTS))
        costs = mix(
            (number / len(case.methods), self.note(kind, each))
            for (kind, number), each in zip(case.parts, samples, strict=True)
        )
        workers = self.server(case.server).workers
        rate = predict_rate(costs, workers=workers, cores=CORES)
        result = Result(
            predicted=rate,
            measured=sample.rate,
            predicted_open=workers,
            open=len(self.backends.find_connections(case.server)),
            predicted_in_use=rate * costs.held,
            in_use=sample.rate * sample.held,
        )
        self.results[case].append(result)
        print(f"{case.label}: predicted {rate:,.0f}, measured {sample.rate:,.0f}", flush=True)

    def measure_kind(self, kind: str) -> None:
        """Measure the costs of a kind of request."""
        (sample,) = self.measure((KINDS[kind].server, [KINDS[kind].method], 1))
        self.note(kind, sample)

    def note(self, kind: str, sample: Sample) -> Costs:
        """Keep the costs of a kind of request, and return them."""
        cpu = sample.cpu
        costs = Costs(
            worker_cpu=cpu["worker"],
            database_cpu=cpu["replica" if kind == "routed" else "primary"],
            client_cpu=cpu["client"],
            held=sample.held,
            waiting=sample.waiting,
            round_trips=0,  # They are counted apart.
            pgbouncer_cpu=cpu["pgbouncer"] if KINDS[kind].is_behind_pgbouncer else 0,
            replay_cpu=cpu["replica"] if kind == "edit" else 0,
        )
        self.costs[kind].append(costs)
        return costs

    def summarize(self) -> dict[str, Costs]:
        """Return the medians of the costs of each kind of request, and its round trips."""
        round_trips = count_round_trips(self.backends)
        summary = {}
        for kind in KINDS:
            rows = [asdict(costs) for costs in self.costs[kind]]
            medians = {name: median(row[name] for row in rows) for name in rows[0]}
            summary[kind] = Costs(**medians | {"round_trips": round_trips[kind]})
        of_one = summary["pgbouncer"].pgbouncer_cpu / round_trips["pgbouncer"]
        for kind, costs in summary.items():  # It would cost the others as much a round trip.
            if not KINDS[kind].is_behind_pgbouncer:
                summary[kind] = replace(costs, pgbouncer_cpu=of_one * costs.round_trips)
        return summary


def count_round_trips(backends: Backends) -> dict[str, int]:
    """Return the round trips to the database that each kind of request takes."""
    ports = (backends.primary.port, backends.replica.port, backends.bouncer.port)
    proxies = {port: Proxy(("127.0.0.1", port)) for port in ports}
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


def measure_all(check: Check, rounds: int) -> None:
    """Let all cases, kinds and numbers of threads take turns."""
    in_cases = {kind for case in CASES for kind, _ in case.parts}
    for _ in range(rounds):
        for case in CASES:
            check.measure_case(case)
        for kind in KINDS.keys() - in_cases:
            check.measure_kind(kind)
        for name in THREADS:
            check.threads[name] += check.measure((name, ["POST"], 2 * CLIENTS))


def make_tables(check: Check) -> dict[str, str]:
    """Measure the rest; return the tables by their names, and the text of capacity.json."""
    from capacity_memory import measure_memory, measure_uploads

    costs = check.summarize()
    memory, worker_memory = measure_memory(check.backends)
    stored = {kind: asdict(each) for kind, each in costs.items()}
    return {
        "machine": describe_machine(check.backends),
        "costs": tabulate_costs(costs),
        "predictions": tabulate_results(check.results),
        "connections": tabulate_connections(check.results),
        "threads": tabulate_threads(check.threads, check.backends),
        "memory": memory,
        "uploads": measure_uploads(check.backends),
        "plans": describe(RATES, costs, Assumptions(worker_memory=worker_memory)),
        "json": json.dumps({"worker_memory": worker_memory, "costs": stored}, indent=2) + "\n",
    }


def find_failures(check: Check) -> list[str]:
    """Return what is not as predicted."""
    failures = []
    for case, results in check.results.items():
        error = median(result.error for result in results)
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
    with start_backends() as backends, ExitStack() as stack:
        check = Check(backends, stack)
        if options.quick:
            for case in 3 * QUICK_CASES:
                check.measure_case(case)
            tables = {"predictions": tabulate_results(check.results)}
        else:
            measure_all(check, options.rounds)
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
