"""Check that a profile has not become slower; CI runs this on each database.

    python benchmarks/guard.py [postgresql+psycopg://postgres@127.0.0.1/test]

It runs on SQLite, or in a separate schema on PostgreSQL. It counts the SQL statements and the round
trips to the server for each profile. It also compares the time of a request with the time of the
view written by hand, alternately in one process, so that the speed of the machine does not matter.
It exits with status 1 if a profile takes more than one statement or round trip, or if the view
by hand takes less than 1.25 times as long on SQLite, or 1.45 times on PostgreSQL.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import URL, event, make_url

from postgresql import empty_schema
from wsgi import call_wsgi

ROUNDS, REQUESTS = 50, 40
MIN_RATIOS = {"sqlite": 1.25, "postgresql": 1.45}
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


def time_request(contender: Any, bearer: str) -> int:
    """Request a profile, and return the duration in nanoseconds."""
    duration, status, body = call_wsgi(contender, bearer)
    if status != 200:
        sys.exit(f"{contender.__name__} returns {status}: {body!r}")
    return duration


def load_contenders(url: URL) -> tuple[Any, Any]:
    """Return the apps with the library and by hand, with one user in the database of both."""
    os.environ["FLASK_SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    os.environ["FLASK_JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    sys.path += [str(BENCHMARKS / "contenders"), str(BENCHMARKS.parent / "examples")]
    by_hand: Any = import_module("by_hand")
    with by_hand.app.app_context():
        by_hand.db.create_all()
        john = {"username": "john_doe", "email": "john@example.com", "password": "hash"}
        by_hand.db.session.add(by_hand.User(**john, date_joined=datetime.now(timezone.utc)))
        by_hand.db.session.commit()
    return import_module("ours"), by_hand


def compare(ours: Any, by_hand: Any) -> float:
    """Return how many times as long a request takes by hand: the median over all rounds.

    In each round both take turns, so that a load on the machine that lasts longer slows both.
    """
    bearers = {contender: contender.create_token(1, 3600) for contender in (ours, by_hand)}
    ratios: list[float] = []
    for _ in range(ROUNDS):
        times = {
            contender: median(time_request(contender, bearer) for _ in range(REQUESTS))
            for contender, bearer in bearers.items()
        }
        ratios.append(times[by_hand] / times[ours])
    return median(ratios)


def check(url: URL) -> None:
    """Compare and count, print the results, and exit with status 1 if a limit is exceeded."""
    proxy = None
    if url.host:
        proxy = Proxy((url.host, url.port or 5432))
        url = url.set(host="127.0.0.1", port=proxy.port)
    ours, by_hand = load_contenders(url)
    ratio = compare(ours, by_hand)

    round_trips_before = proxy.round_trips if proxy else 0
    bearer = ours.create_token(1, 3600)
    for _ in range(REQUESTS):
        time_request(ours, bearer)
    round_trips = (proxy.round_trips - round_trips_before) / REQUESTS if proxy else 0

    # This listener must not be there before: the library saves no round trip where one listens.
    statements: list[str] = []
    with ours.app.app_context():
        engine = ours.db.engine
    event.listen(
        engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    for _ in range(REQUESTS):
        time_request(ours, bearer)
    statement_count = len(statements) / REQUESTS

    name, minimum = f"{engine.dialect.name}+{engine.driver}", MIN_RATIOS[engine.dialect.name]
    print(f"{name}: a profile takes {statement_count:g} statements, {round_trips:g} round trips")
    print(f"The view by hand takes {ratio:.2f} times as long (the minimum is {minimum})")
    if statement_count != 1 or round_trips > 1 or ratio < minimum:
        sys.exit("A profile has become slower.")


if __name__ == "__main__":
    if sys.argv[1:]:
        with empty_schema(sys.argv[1], "flask_profile_guard") as schema:
            check(schema)
    else:
        with tempfile.TemporaryDirectory() as folder:
            check(make_url(f"sqlite:///{folder}/users.db"))
