"""Read profiles by every way in which hosts connect to PostgreSQL, directly and by PgBouncer.

This starts two PostgreSQL servers and PgBouncer in a temporary folder. For each host of
connections_hosts.py, each driver, and with and without PgBouncer, it requests a profile and the
host's own view by turns. It exits with status 1 if the two differ in one response, or if a
connection of the pool has other settings afterwards. Then it tries a database in LATIN1. At last,
it stops the first of two servers, promotes the second, and reads profiles from that.

It needs the programs of PostgreSQL, pgbouncer, "psycopg[binary]", psycopg2-binary, pg8000,
sentry-sdk, and OpenTelemetry for SQLAlchemy.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import insert

import connections_hosts
from connections_hosts import (
    CANNOT_WRITE,
    HOSTS,
    NOT_WITH_PG8000_AND_PGBOUNCER,
    TENANT_ROLE,
    Listen,
)
from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema
from postgres import PgBouncer, Postgres, temporary_postgres

DRIVERS = ("psycopg", "psycopg2", "pg8000")
REQUESTS = 20
URL = "/api/profile/"
TAKEN = "A user with this value already exists."
SETTINGS = (
    *("autocommit", "isolation_level", "deferrable", "read_only", "readonly"),
    "prepare_threshold",
)

SET_UP = f"""
CREATE ROLE {TENANT_ROLE} LOGIN;
CREATE SCHEMA tenant;
CREATE TABLE tenant."user" (LIKE public."user" INCLUDING ALL);
INSERT INTO tenant."user" SELECT * FROM public."user";
UPDATE tenant."user" SET first_name = 'Tenant';
GRANT SELECT, UPDATE ON public."user" TO {TENANT_ROLE};
ALTER TABLE public."user" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public."user" TO {TENANT_ROLE}
    USING (current_setting('app.tenant', true) = 'one');
"""


class EditableProfile(ProfileSchema):
    username = fields.String()


def make_app(url: str, prepare: Callable[[Flask], Listen | None]) -> tuple[Flask, SQLAlchemy]:
    """Make a host with the profile and a view of its own."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    app.config["PROFILE_METHODS"] = ("GET", "POST", "PATCH")
    app.config["PROFILE_SCHEMA"] = EditableProfile
    listen = prepare(app)
    db = SQLAlchemy(app)
    JWTManager(app)

    class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
        pass

    @app.get("/own/")
    def own() -> dict[str, Any]:
        user = db.session.get(User, 1)
        return {"first_name": user.first_name, "number_phone": user.number_phone} if user else {}

    app.register_blueprint(ProfileBlueprint())
    if listen is not None:
        with app.app_context():
            listen(db, db.engine)
    return app, db


def make_client(app: Flask, identity: str = "1") -> FlaskClient:
    """Return a client that sends an access token of a user, by default of the id 1."""
    client = app.test_client()
    with app.app_context():
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {create_access_token(identity)}"
    return client


def add_john(db: SQLAlchemy) -> None:
    db.create_all()
    john = {"username": "john_doe", "email": "john@example.com", "first_name": "John"}
    for user in (john, {"username": "ann", "email": "ann@example.com"}):
        db.session.execute(insert(db.metadata.tables["user"]).values(**user))
    db.session.commit()


def set_up(server: Postgres) -> None:
    app, db = make_app(server.url(), connections_hosts.plain)
    with app.app_context():
        add_john(db)
        db.engine.dispose()
    with server.connect() as connection:
        connection.execute(SET_UP)


def open_server_connections(port: int) -> None:
    """Let PgBouncer open all its connections to the server, so that it uses them in turn."""

    def sleep() -> None:
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres") as connection:
            connection.execute("SELECT pg_sleep(0.3)")

    threads = [threading.Thread(target=sleep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_settings(db: SQLAlchemy) -> list[object]:
    """Return what a pooled connection of the driver does about transactions."""
    pooled = db.engine.raw_connection()
    settings = [getattr(pooled.driver_connection, name, None) for name in SETTINGS]
    pooled.close()
    return settings


def check_host(url: str, prepare: Callable[[Flask], Listen | None]) -> list[str]:
    """Request a profile and the host's own view by turns, and return what is wrong."""
    app, db = make_app(url, prepare)
    name = "Tenant" if prepare.__name__.startswith("schema") else "John"
    client = make_client(app)
    wrong: list[str] = []
    client.get("/own/")
    with app.app_context():
        before = read_settings(db)
    for number in range(REQUESTS):
        if number % 5 == 4 and prepare not in CANNOT_WRITE:
            response = client.patch(URL, json={"number_phone": str(number)})
            if f'"number_phone": "{number}"' not in response.text:
                wrong.append(f"PATCH: {response.status_code} {response.text.strip()}")
        own, profile = client.get("/own/").get_json(), client.post(URL).get_json()
        read = {key: profile.get(key) for key in ("first_name", "number_phone")}
        if read != own or read["first_name"] != name:
            wrong.append(f"{profile}, own view: {own}")
    if prepare not in CANNOT_WRITE:
        response = client.patch(URL, json={"username": "ann"})
        if (response.status_code, response.json) != (400, {"username": [TAKEN]}):
            wrong.append(f"A taken name: {response.status_code} {response.text}")
    with app.app_context():
        if read_settings(db) != before:
            wrong.append(f"The driver has {read_settings(db)}, and before had {before}")
        db.engine.dispose()
    return wrong


def check_failover(folder: Path) -> None:
    """Read and edit profiles before and after the second server in the URL replaces the first."""
    primary = Postgres(folder / "primary")
    primary.start()
    set_up(primary)
    standby = Postgres(folder / "standby", primary=primary)
    standby.start()
    hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (primary, standby))
    query = f"{hosts}&target_session_attrs=read-write"
    clients = {
        driver: make_client(
            make_app(f"postgresql+{driver}://postgres@/postgres?{query}", connections_hosts.plain)[
                0
            ]
        )
        for driver in ("psycopg", "psycopg2")
    }
    try:
        check_edits(clients, "before the failover")
        primary.stop("immediate")
        standby.promote()
        check_edits(clients, "after the failover")
    finally:
        standby.stop("immediate")
    print("A failover: all profiles are read and edited before and after it.")


def check_latin1(server: Postgres) -> None:
    """Ask for users, and write texts, with characters that a database in LATIN1 lacks."""
    with server.connect() as connection:
        connection.execute("CREATE DATABASE latin1 TEMPLATE template0 ENCODING latin1 LOCALE 'C'")
    for driver in DRIVERS:
        url = server.url(driver).removesuffix("postgres") + "latin1"
        app, db = make_app(url, connections_hosts.users_by_name)
        with app.app_context():
            db.drop_all()
            add_john(db)
        statuses = [
            [
                make_client(app, name).post(URL).status_code,
                make_client(app, "john_doe").patch(URL, json={"first_name": name}).status_code,
                make_client(app, "john_doe").post(URL).status_code,
            ]
            for name in ("Ж", "naïve €", "😀")
        ]
        with app.app_context():
            db.engine.dispose()
        if statuses != [[404, 400, 200]] * 3:
            sys.exit(f"{driver}, a database in LATIN1: {statuses}")
    print("A database in LATIN1: a character that it lacks returns 404 and 400.")


def check_edits(clients: dict[str, FlaskClient], moment: str) -> None:
    for driver, client in clients.items():
        for number in range(REQUESTS):
            phone = f"{number} {len(moment)}"
            profile = client.post(URL)
            edited = client.patch(URL, json={"number_phone": phone})
            if profile.status_code != 200 or f'"number_phone": "{phone}"' not in edited.text:
                sys.exit(f"{driver}, {moment}: {profile.text} {edited.status} {edited.text}")


def main() -> None:
    with temporary_postgres() as (folder, server), ExitStack() as stack:
        set_up(server)
        bouncer = PgBouncer(folder, server, users=("postgres", TENANT_ROLE))
        stack.callback(bouncer.stop)
        open_server_connections(bouncer.port)
        places: tuple[Postgres | PgBouncer, ...] = (server, bouncer)
        hosts = [
            (place, driver, prepare)
            for place, driver, prepare in product(places, DRIVERS, HOSTS)
            if (place, driver) != (bouncer, "pg8000")
            or prepare not in NOT_WITH_PG8000_AND_PGBOUNCER
        ]
        failures = 0
        for place, driver, prepare in hosts:
            is_tenant = prepare.__name__.startswith("tenant")
            wrong = check_host(place.url(driver, TENANT_ROLE if is_tenant else "postgres"), prepare)
            if wrong:
                failures += 1
                name = f"{type(place).__name__}, {driver}, {prepare.__name__}"
                print(f"{name}: {len(wrong)} wrong, the first: {wrong[0]}")
        check_latin1(server)
        check_failover(folder)
    if failures:
        sys.exit(f"{failures} of {len(hosts)} hosts are not served as their own view is.")
    print(f"{len(hosts)} hosts: {REQUESTS * len(hosts)} profiles like the host's own view.")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "DB-API extension")  # OpenTelemetry causes it in pg8000.
    main()
