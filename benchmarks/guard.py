"""Check that reads and edits have not become slower; CI runs this on each database.

    python benchmarks/guard.py [postgresql+psycopg://postgres@127.0.0.1/test]

It runs on SQLite, or in a separate schema or database on a server. It counts the SQL statements and
the round trips to the server for each request. It also compares the time of a request with the time
of the view written by hand, alternately in one process, so that the speed of the machine does not
matter. It exits with status 1 if one of the LIMITS is exceeded.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import URL, event

from empty_databases import empty_database
from wsgi import Operation, call_wsgi

ROUNDS, REQUESTS = 50, 40
PORTS = {"postgresql": 5432, "mysql": 3306}


class Limit(NamedTuple):
    """What a request may take: the ratio is how many times as long the view by hand takes."""

    statements: int
    round_trips: int
    min_ratio: float


# The limits of a read and of an edit. The ratios are a tenth below what is measured on a quiet
# machine. The drivers differ in what they send together with BEGIN and COMMIT.
LIMITS = {
    "sqlite+pysqlite": (Limit(1, 0, 1.25), Limit(5, 0, 0.9)),
    "postgresql+psycopg": (Limit(1, 1, 1.45), Limit(3, 5, 1.15)),
    "postgresql+psycopg2": (Limit(1, 1, 1.45), Limit(3, 5, 1.0)),
    "mysql+pymysql": (Limit(1, 2, 1.1), Limit(3, 5, 1.05)),
}
BENCHMARKS = Path(__file__).parent


class Proxy:
    """A proxy in front of a database server, which counts the round trips of one client."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.round_trips = 0
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client = self._listener.accept()[0]
            server = socket.create_connection(self._server)
            for source, target, is_request in ((client, server, True), (server, client, False)):
                arguments = (source, target, is_request)
                threading.Thread(target=self._forward, args=arguments, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        while data := source.recv(65_536):
            self.round_trips += is_request
            target.sendall(data)
        target.close()


numbers = count()


def read(contender: Any) -> Operation:
    return Operation(contender.METHOD, contender.PATH)


def edit(contender: Any) -> Operation:
    body = {"first_name": f"John {next(numbers)}"}
    return Operation("PATCH", contender.PATH, json.dumps(body).encode())


def time_request(contender: Any, bearer: str, operation: Operation) -> int:
    """Send a request, and return the duration in nanoseconds."""
    duration, status, body = call_wsgi(contender, bearer, operation)
    if status != 200:
        sys.exit(f"{contender.__name__} returns {status}: {body!r}")
    return duration


def load_contenders(url: URL) -> tuple[Any, Any]:
    """Return the apps with the library and by hand, with one user in the database of both."""
    os.environ["FLASK_SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    os.environ["FLASK_PROFILE_METHODS"] = '["POST", "PATCH"]'
    os.environ["FLASK_JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    sys.path += [str(BENCHMARKS / "contenders"), str(BENCHMARKS.parent / "examples")]
    by_hand: Any = import_module("by_hand")
    with by_hand.app.app_context():
        by_hand.db.create_all()
        john = {"username": "john_doe", "email": "john@example.com", "password": "hash"}
        by_hand.db.session.add(by_hand.User(**john, date_joined=datetime.now(timezone.utc)))
        by_hand.db.session.commit()
    return import_module("ours"), by_hand


def compare(ours: Any, by_hand: Any, make_operation: Callable[[Any], Operation]) -> float:
    """Return how many times as long a request takes by hand: the median over all rounds.

    In each round both take turns, so that a load on the machine that lasts longer slows both.
    """
    bearers = {contender: contender.create_token(1, 3600) for contender in (ours, by_hand)}
    ratios: list[float] = []
    for _ in range(ROUNDS):
        times = {
            contender: median(
                time_request(contender, bearer, make_operation(contender)) for _ in range(REQUESTS)
            )
            for contender, bearer in bearers.items()
        }
        ratios.append(times[by_hand] / times[ours])
    return median(ratios)


def check(url: URL) -> None:
    """Compare and count, print the results, and exit with status 1 if a limit is exceeded."""
    proxy = None
    if url.host:
        proxy = Proxy(
            (url.host, url.port or {"postgresql": 5432}.get(url.get_backend_name(), 3306))
        )
        url = url.set(host="127.0.0.1", port=proxy.port)
    ours, by_hand = load_contenders(url)
    ratios = [compare(ours, by_hand, operation) for operation in (read, edit)]
    bearer = ours.create_token(1, 3600)

    def send_all(operation: Callable[[Any], Operation]) -> None:
        for _ in range(REQUESTS):
            time_request(ours, bearer, operation(ours))

    round_trips: list[float] = []
    for operation in (read, edit):
        before = proxy.round_trips if proxy else 0
        send_all(operation)
        round_trips.append(((proxy.round_trips if proxy else 0) - before) / REQUESTS)

    # This listener must not be there before: the library saves no round trip where one listens.
    executed: list[str] = []
    with ours.app.app_context():
        engine = ours.db.engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: executed.append(arguments[2]))
    statements: list[float] = []
    for operation in (read, edit):
        executed.clear()
        send_all(operation)
        statements.append(len(executed) / REQUESTS)

    name = f"{engine.dialect.name}+{engine.driver}"
    rows = zip(("read", "edit"), LIMITS[name], statements, round_trips, ratios, strict=True)
    is_exceeded = False
    for label, limit, statement_count, trips, ratio in rows:
        print(f"{name}: each {label} takes {statement_count:g} statements, {trips:g} round trips;")
        print(f"  the view by hand takes {ratio:.2f} times as long (the minimum is {limit[2]})")
        is_exceeded |= statement_count > limit[0] or trips > limit[1] or ratio < limit[2]
    if is_exceeded:
        sys.exit("A request has become slower.")


if __name__ == "__main__":
    with empty_database(sys.argv[1] if sys.argv[1:] else "sqlite", "flask_profile_guard") as url:
        check(url)
