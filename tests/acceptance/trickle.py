"""Let slow clients send bodies byte by byte, and check that none holds a connection to PostgreSQL.

Thirty clients trickle the body of a PATCH or of an upload, to hosts whose callbacks have used
db.session. Meanwhile no connection may be idle in a transaction, and another client must be served.
It exits with status 1 otherwise. It needs PostgreSQL and "psycopg[binary]".

    python tests/acceptance/trickle.py postgresql+psycopg://postgres@127.0.0.1/test
"""

from __future__ import annotations

import logging
import socket
import sys
import tempfile
import threading
import time
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

from flask_profile import ProfileBlueprint, ProfileMixin
from postgresql import empty_schema

CLIENTS, ROUNDS = 30, 8
IMAGE = BytesIO()
Image.new("RGB", (64, 64)).save(IMAGE, "PNG")
NAME = "flask_profile_trickle"
BODIES = {
    ("PATCH", "/api/profile/"): b'{"first_name": "Jack"}'.ljust(200),
    ("PUT", "/api/profile/avatar/"): IMAGE.getvalue(),
}
Prepare = Callable[[JWTManager, SQLAlchemy, type[Any]], object]


def use_session(db: SQLAlchemy, model: type[Any]) -> Any:
    return db.session.get(model, 1)


# The callbacks of a host; each but the first opens a transaction while the token is verified.
CALLBACKS: dict[str, Prepare] = {
    "no callback": lambda _jwt, _db, _model: None,
    "a blocklist": lambda jwt, db, model: jwt.token_in_blocklist_loader(
        lambda *_: use_session(db, model) is None
    ),
    "a user loader": lambda jwt, db, model: jwt.user_lookup_loader(
        lambda *_: use_session(db, model)
    ),
    "a claims verification": lambda jwt, db, model: jwt.token_verification_loader(
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


def check(url: URL, name: str, method: str, path: str, body: bytes) -> None:
    """Let clients trickle a body, and exit with status 1 where one of them is in the way."""
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
        other = app.test_client()
        for number in range(ROUNDS):
            for client in clients:
                client.sendall(body[number : number + 1])
            time.sleep(0.1)
            idle = count_idle_transactions(url)
            status = other.post("/api/profile/", headers={"Authorization": f"Bearer {token}"})
            if idle or status.status_code != 200:
                sys.exit(f"{name}, {method}: {idle} idle in transaction, {status.status}")
        for client in clients:
            client.sendall(body[ROUNDS:])
        statuses = {client.recv(65_536).split(b" ")[1] for client in clients}
        if statuses != {b"200"}:
            sys.exit(f"{name}, {method}: {statuses}")
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()
    print(f"{name}, {method}: {CLIENTS} slow clients, 0 idle in transaction, all served")


def count_idle_transactions(url: URL) -> int:
    """Count the connections of the hosts that are in a transaction and wait for their client."""
    engine = create_engine(url)
    query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    with engine.connect() as connection:
        number: int = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return number


def main(database: str) -> None:
    with empty_schema(database, NAME) as url:
        for name in CALLBACKS:
            for (method, path), body in BODIES.items():
                check(url, name, method, path, body)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel("ERROR")
    main(sys.argv[1])
