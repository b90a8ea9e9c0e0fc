"""Guard against creeping slowness, whatever the machine's mood: what CI runs on each database.

    python benchmarks/guard.py [postgresql+psycopg://postgres@127.0.0.1/test]

On SQLite, or in a schema of its own on PostgreSQL, it counts the SQL statements of a
profile and the round trips to the server; and it compares the time of a request with that of the
view written by hand, by turns in one process. It ends with 1 where a profile takes more than one
statement or round trip, or where the ratio is far below what docs/performance.md has.
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

from databases import empty_schema
from sqlalchemy import URL, event, make_url
from wsgi import ask_wsgi

ROUNDS, REQUESTS, RATIO = 15, 100, 1.1
BENCHMARKS = Path(__file__).parent


class Proxy:
    """Stands before a database server and counts the round trips of one client."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.round_trips = 0
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client = self._listening.accept()[0]
            server = socket.create_connection(self._server)
            for source, target, is_request in ((client, server, True), (server, client, False)):
                pump = threading.Thread(target=self._pump, args=[source, target, is_request])
                pump.daemon = True
                pump.start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        while data := source.recv(65_536):
            self.round_trips += is_request
            target.sendall(data)
        target.close()


def ask(contender: Any, bearer: str) -> int:
    """Return the nanoseconds that a profile takes."""
    took, status, body = ask_wsgi(contender, bearer)
    if status != 200:
        sys.exit(f"{contender.__name__} answers {status}: {body!r}")
    return took


def check(url: URL) -> None:
    """Count, compare, print, and exit where it is slower than it was."""
    proxy = None
    if url.host:
        proxy = Proxy((url.host, url.port or 5432))
        url = url.set(host="127.0.0.1", port=proxy.port)
    os.environ["FLASK_SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    os.environ["FLASK_JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    sys.path += [str(BENCHMARKS / "contenders"), str(BENCHMARKS.parent / "examples")]
    by_hand: Any = import_module("by_hand")
    with by_hand.app.app_context():
        by_hand.db.create_all()
        john = {"username": "john_doe", "email": "john@example.com", "password": "hash"}
        by_hand.db.session.add(by_hand.User(**john, date_joined=datetime.now(timezone.utc)))
        by_hand.db.session.commit()
    ours: Any = import_module("ours")
    statements: list[str] = []
    with ours.app.app_context():
        engine = ours.db.engine
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

    contenders = (ours, by_hand)
    bearers = {contender: contender.token(1, 3600) for contender in contenders}
    times: dict[Any, list[float]] = {contender: [] for contender in contenders}
    for _ in range(ROUNDS):
        for contender, bearer in bearers.items():
            times[contender].append(median(ask(contender, bearer) for _ in range(REQUESTS)))
    ratio = median(times[by_hand]) / median(times[ours])

    statements.clear()
    trips_before = proxy.round_trips if proxy else 0
    for _ in range(REQUESTS):
        ask(ours, bearers[ours])
    each = len(statements) / REQUESTS
    trips = (proxy.round_trips - trips_before) / REQUESTS if proxy else 0
    print(f"{engine.dialect.name}: {each:g} statements and {trips:g} round trips for a profile;")
    print(f"by hand a request takes {ratio:.2f} times as long (at least {RATIO} is asked for)")
    if each != 1 or trips > 1 or ratio < RATIO:
        sys.exit("That is slower than it was.")


if __name__ == "__main__":
    if sys.argv[1:]:
        with empty_schema(sys.argv[1], "flask_profile_guard") as schema:
            check(schema)
    else:
        with tempfile.TemporaryDirectory() as folder:
            check(make_url(f"sqlite:///{folder}/users.db"))
