"""Check what docs/deployment.md says of gunicorn's workers and of the database."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from sqlalchemy import URL, Connection, create_engine, text

from deployment_client import AVATAR, PROFILE, Client, expect, finish_patch
from deployment_setup import DATABASE
from processes import children_of, free_port, wait_until
from web_servers import run_gunicorn


def check_sync_worker(folder: Path, token: str) -> None:
    """Check that a slow client blocks a sync worker, and that one connection is enough for it."""
    options = json.dumps({"pool_size": 1, "max_overflow": 0, "pool_timeout": 1})
    environment = {**os.environ, "FLASK_SQLALCHEMY_ENGINE_OPTIONS": options}
    client = Client(free_port(), token)
    arguments = ["--worker-class=sync", "--threads=1", "--workers=1"]
    with (
        (folder / "sync.log").open("w") as log,
        run_gunicorn(arguments, client.port, cwd=folder, env=environment, stdout=log, stderr=log),
    ):
        client.send("GET", "/healthz")
        slow = client.begin_patch()
        try:
            response = Client(client.port, token, timeout=1).send("POST", PROFILE)
        except TimeoutError:
            finish_patch(slow)
        else:
            expect(False, "a slow client blocks a sync worker", response)
        image = BytesIO()
        Image.new("RGB", (64, 64)).save(image, "PNG")
        statuses = [
            client.send("GET", PROFILE).status,
            client.patch().status,
            client.send("PUT", AVATAR, image.getvalue()).status,
            client.send("DELETE", AVATAR).status,
        ]
        expect(statuses == [200, 200, 200, 204], "a pool of one connection", statuses)


def check_reload(client: Client, pid: int) -> None:
    """Reload gunicorn while requests are sent."""
    results: list[object] = []
    is_over = threading.Event()

    def request() -> None:
        while not is_over.is_set():
            try:
                results.append(client.send("POST", PROFILE).status)
            except (OSError, http.client.HTTPException) as error:
                results.append(repr(error))

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    old = {*children_of(pid)}
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: len({*children_of(pid)}) == len(old) and old.isdisjoint(children_of(pid)))
    is_over.set()
    for thread in threads:
        thread.join()
    expect({*results} == {200}, f"{len(results)} requests during a reload", {*results})


def check_timeouts(client: Client, url: URL) -> None:
    """Lock the row of the user."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text('SELECT 1 FROM "user" WHERE id = 1 FOR UPDATE'))
        started = time.monotonic()
        response = client.patch()
        seconds = time.monotonic() - started
        retry_after = response.headers["Retry-After"]
        expect((response.status, retry_after) == (503, "1"), "a locked row", response)
        expect(2 <= seconds < 5, "the lock_timeout", seconds)
        expect(client.send("GET", PROFILE).status == 200, "a locked row can be read")
    engine.dispose()


def check_database_outage(client: Client, connection: Connection) -> None:
    """Let no process connect to the database for a while."""
    terminate = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {where_ours()}")
    connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"))
    connection.execute(terminate)
    requests = [("GET", "/healthz"), ("GET", "/readyz"), ("POST", PROFILE)]
    statuses = [client.send(method, path).status for method, path in requests]
    expect(statuses == [204, 503, 500], "the database is away", statuses)
    anonymous = client.send("POST", PROFILE, Authorization="")
    expect(anonymous.status == 401, "no token while the database is away", anonymous)
    connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"))
    connection.execute(terminate)
    statuses = [client.send("POST", PROFILE).status for _ in range(20)]
    expect({*statuses} == {200}, "dead connections", statuses)
    statuses = [client.send("GET", "/readyz").status for _ in range(20)]
    expect(statuses[-1] == 204, "the database is back", statuses)


def where_ours() -> str:
    return f"WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid()"


def count_connections(connection: Connection) -> int:
    statement = text(f"SELECT count(*) FROM pg_stat_activity {where_ours()}")
    number: int = connection.execute(statement).scalar_one()
    return number


def check_preload(folder: Path, tokens: list[str]) -> None:
    """Check that workers do not share a connection that was opened before the fork."""
    port = free_port()
    arguments = ["--config=preload.conf.py", "connected:app"]
    with (
        (folder / "preload.log").open("w") as log,
        run_gunicorn(arguments, port, cwd=folder, stdout=log, stderr=log),
    ):
        check_users(port, tokens)


def check_users(port: int, tokens: list[str]) -> None:
    """Check that users who read at the same time get their own profiles."""
    names: list[list[str]] = [[] for _ in tokens]

    def read(client: Client, found: list[str]) -> None:
        for _ in range(20):
            found.append(json.loads(client.send("POST", PROFILE).body)["username"])

    threads = [
        threading.Thread(target=read, args=[Client(port, token), found])
        for token, found in zip(tokens, names, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [[f"u{number}"] * 20 for number in range(len(tokens))]
    expect(names == expected, "the profiles that users read", names)
