"""Let slow clients send bodies byte by byte, and check that none holds a connection.

Thirty clients trickle the body of a PATCH or of an upload, to hosts whose callbacks have used
db.session. Meanwhile no connection of the pool may be in use, the server may have no transaction,
and another client must be served. It exits with status 1 otherwise. With --write, it writes the
table to docs/reliability.md.

    python tests/acceptance/trickle.py --write sqlite postgresql+psycopg://… mysql+pymysql://…
"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from PIL import Image
from sqlalchemy import URL, create_engine, text
from werkzeug.serving import make_server

from empty_databases import empty_database
from flask_profile import ProfileBlueprint, ProfileMixin
from manual_tables import format_table, write_table

CLIENTS, ROUNDS = 30, 8
IMAGE = BytesIO()
Image.new("RGB", (64, 64)).save(IMAGE, "PNG")
HEAD = ("database", "callback", "method", "connections", "transactions", "served")
# The transactions that a server itself counts.
COUNTS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE state LIKE 'idle in transaction%' AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx",
}
BODIES = {
    ("PATCH", "/api/profile/"): b'{"first_name": "Jack"}'.ljust(200),
    ("PUT", "/api/profile/avatar/"): IMAGE.getvalue(),
}
Prepare = Callable[[JWTManager, SQLAlchemy, type[Any]], object]


def use_session(db: SQLAlchemy, model: type[Any]) -> Any:
    return db.session.get(model, 1)


# The callbacks of a host; each but the first opens a transaction while the token is verified.
CALLBACKS: dict[str, Prepare] = {
    "none": lambda _jwt, _db, _model: None,
    "blocklist": lambda jwt, db, model: jwt.token_in_blocklist_loader(
        lambda *_: use_session(db, model) is None
    ),
    "user loader": lambda jwt, db, model: jwt.user_lookup_loader(lambda *_: use_session(db, model)),
    "claims verification": lambda jwt, db, model: jwt.token_verification_loader(
        lambda *_: use_session(db, model) is not None
    ),
}


def make_app(url: URL, prepare: Prepare, media: str) -> tuple[Flask, str]:
    """Return a host with a pool of five connections, and an access token."""
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 5, "max_overflow": 0, "pool_timeout": 2},
        JWT_SECRET_KEY="a secret of more than thirty-two bytes",
        PROFILE_METHODS=["GET", "POST", "PATCH"],
        PROFILE_AVATARS=True,
        PROFILE_MEDIA_STORAGE=media,
    )
    db = SQLAlchemy(app)

    class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
        pass

    prepare(JWTManager(app), db, User)
    app.register_blueprint(ProfileBlueprint())
    with app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add(User(username="john_doe", email="john@example.com"))
        db.session.commit()
        return app, create_access_token("1")


def check(url: URL, name: str, method: str, path: str, body: bytes) -> tuple[str, ...]:
    """Let clients trickle a body; return a row of the table, or exit with status 1."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        app, token = make_app(url, CALLBACKS[name], folder)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        port = server.server_port
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.sendall(head.encode())
        with app.app_context():
            engine = app.extensions["sqlalchemy"].engine
        wait_for_verification(engine.pool)
        other = app.test_client()
        held, open_transactions, others = 0, 0, Counter[int]()
        for number in range(ROUNDS):
            for client in clients:
                client.sendall(body[number : number + 1])
            time.sleep(0.1)
            held = max(held, engine.pool.checkedout())
            open_transactions = max(open_transactions, count_transactions(url))
            response = other.post("/api/profile/", headers={"Authorization": f"Bearer {token}"})
            others[response.status_code] += 1
        statuses = set[bytes]()
        for client in clients:  # One after another: of many images at once, some would be a 503.
            client.sendall(body[ROUNDS:])
            statuses.add(client.recv(65_536).split(b" ")[1])
        engine.dispose()
    counted = str(open_transactions) if url.get_backend_name() in COUNTS else "–"
    row = (url.drivername, name, method, str(held), counted, f"{others[200]} of {others.total()}")
    print(*row, sep=" | ", flush=True)
    if held or open_transactions or {*others} != {200} or statuses != {b"200"}:
        sys.exit(f"Not as documented: the slow clients received {statuses}")
    return row


def wait_for_verification(pool: Any) -> None:
    """Wait until the callbacks have verified the tokens of all clients, for which they connect."""
    time.sleep(0.5)
    deadline = time.monotonic() + 10
    while pool.checkedout() and time.monotonic() < deadline:
        time.sleep(0.05)


def count_transactions(url: URL) -> int:
    """Count the transactions on the server that wait for their client."""
    query = COUNTS.get(url.get_backend_name())
    if query is None:
        return 0
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        number: int = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="+", help='"sqlite", or a URL')
    parser.add_argument("--write", action="store_true", help="write the table to the manual")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    for database in options.databases:
        with empty_database(database, "flask_profile_trickle") as url:
            for name in CALLBACKS:
                for (method, path), body in BODIES.items():
                    rows.append(check(url, name, method, path, body))
    if options.write:
        write_table("reliability.md", "tests/acceptance/trickle.py", format_table(HEAD, rows))


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel("ERROR")
    main()
