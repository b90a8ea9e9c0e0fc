"""Fixtures that build a host app in one line and send requests to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cache
from itertools import count
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from hypothesis import settings
from sqlalchemy import Engine, String, create_engine, event, make_url, text
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.test import TestResponse

from flask_profile import ProfileBlueprint, ProfileMixin
from host_databases import shared_database_config

SECRET = "a secret of more than thirty-two bytes"
JOHN = {
    "id": 1,
    "username": "john_doe",
    "email": "john@example.com",
    "first_name": "John",
    "last_name": "Doe",
    "number_phone": "1234567890",
    "avatar": "avatars/profile.jpg",
    "date_joined": datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc),
    "last_login": datetime(2024, 3, 10, 14, 20, tzinfo=timezone.utc),
}
JOHN_AS_JSON = (
    '{"id": 1, "username": "john_doe", "email": "john@example.com", "first_name": "John", '
    '"last_name": "Doe", "number_phone": "1234567890", "avatar": "/media/avatars/profile.jpg", '
    '"date_joined": "2024-01-15T10:30:00Z", "last_login": "2024-03-10T14:20:00Z", '
    '"is_active": true, "is_staff": false, "is_superuser": false}'
)


def make_user_model(db: SQLAlchemy) -> type[Any]:
    """Make the user model of an ordinary host, with an additional password hash."""

    class User(ProfileMixin, db.Model):  # type: ignore[name-defined]
        password_hash: Mapped[str | None] = mapped_column(String(255))

    return User


def model_with_id(type_: Any) -> Callable[[SQLAlchemy], type[Any]]:
    """Return a function that makes a user model with a primary key of this type."""

    def make_model(db: SQLAlchemy) -> type[Any]:
        class User(ProfileMixin, db.Model):  # type: ignore[name-defined]
            id = mapped_column(type_, primary_key=True)

        return User

    return make_model


class Host:
    """A host app with its database and user model."""

    def __init__(self, app: Flask, db: SQLAlchemy, user: type[Any] | None) -> None:
        self.app = app
        self.db = db
        self.User = user
        self.jwt: JWTManager = app.extensions.get("flask-jwt-extended")
        self._has_tables = False

    @property
    def client(self) -> FlaskClient:
        """A client without a cookie jar, which sends only the headers that it is given."""
        return self.app.test_client(use_cookies=False)

    def add(self, **values: Any) -> Host:
        """Create the tables and add a user with the values of John, or those given."""
        with self.app.app_context():
            if not self._has_tables:
                self.db.create_all()
                self._has_tables = True
            self.db.session.add(self.User(**(JOHN | values)))
            self.db.session.commit()
        return self

    def token(self, identity: Any = "1", **options: Any) -> str:
        with self.app.app_context():
            return create_access_token(identity, **options)

    def bearer(self, identity: Any = "1", **options: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(identity, **options)}"}

    def post(self, identity: Any = "1", url: str = "/api/profile/", **options: Any) -> TestResponse:
        """Request a profile with an access token for this identity."""
        headers = {**self.bearer(identity), **options.pop("headers", {})}
        return self.client.post(url, headers=headers, **options)

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect the SQL statements that run in the ``with`` block."""
        executed: list[str] = []

        def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            executed.append(statement)

        with self.app.app_context():
            engines = list(self.db.engines.values())
        for engine in engines:
            event.listen(engine, "before_cursor_execute", record)
        yield executed
        for engine in engines:
            event.remove(engine, "before_cursor_execute", record)


def pytest_configure(config: pytest.Config) -> None:
    """Set the number of random requests of a test."""
    number = 250 if config.getoption("--thorough") else 50
    settings.register_profile("requests", deadline=None, max_examples=number)
    settings.load_profile("requests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a database once for each --database option."""
    if "database" in metafunc.fixturenames:
        urls = metafunc.config.getoption("--database") or ["sqlite://"]
        metafunc.parametrize("database", urls, scope="session", ids=lambda url: url.split(":")[0])


@pytest.fixture(scope="session")
def server(database: str) -> Iterator[Engine | None]:
    """An engine for the server of the tested database, or None for SQLite."""
    if database.startswith("sqlite"):
        yield None
        return
    engine = create_engine(database, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def create_database(database: str, server: Engine | None) -> Iterator[Callable[[], dict[str, Any]]]:
    """Return a function that creates an empty database and returns the app config for it."""
    names: list[str] = []
    cascade = " CASCADE" if database.startswith("postgresql") else ""

    def make() -> dict[str, Any]:
        name = f"flask_profile_{os.getpid()}_{len(names)}"
        names.append(name)
        if server is None:
            return {"SQLALCHEMY_DATABASE_URI": database.replace("///", f"///{name}_")}
        run(f"DROP SCHEMA IF EXISTS {name}{cascade}", f"CREATE SCHEMA {name}")
        if server.dialect.name == "postgresql":
            url = make_url(database).update_query_dict({"options": f"-csearch_path={name}"})
        else:
            url = make_url(database).set(database=name)
        return {"SQLALCHEMY_DATABASE_URI": url.render_as_string(hide_password=False)}

    def run(*statements: str) -> None:
        with server.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    yield make
    if server is not None:
        run(*(f"DROP SCHEMA {name}{cascade}" for name in names))


@cache
def _define_once(model: Callable[[SQLAlchemy], type[Any]]) -> tuple[SQLAlchemy, type[Any]]:
    db = SQLAlchemy()
    return db, model(db)


def define(model: Callable[[SQLAlchemy], type[Any]] | None) -> tuple[SQLAlchemy, Any]:
    """Return a SQLAlchemy and its model, the same for all hosts with the model of one function.

    To map a model takes as long as all else that a host needs, and one SQLAlchemy can serve many
    apps. A test that listens to events of the session or the model uses ``listen``, and a test that
    changes the model gives its host a SQLAlchemy of its own.
    """
    if model is None:
        return SQLAlchemy(), None
    if "<locals>" not in model.__qualname__:
        return _define_once(model)
    db = SQLAlchemy()
    return db, model(db)


@pytest.fixture
def listen() -> Iterator[Callable[..., None]]:
    """Return ``event.listen`` of SQLAlchemy, for the time of a test."""
    listeners: list[tuple[Any, ...]] = []

    def listen(*listener: Any) -> None:
        event.listen(*listener)
        listeners.append(listener)

    yield listen
    for listener in listeners:
        event.remove(*listener)


@pytest.fixture(scope="session")
def instance_paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield paths for the instance folders of apps, which only those that need them create."""
    folder = tmp_path_factory.mktemp("instances")
    return (str(folder / str(number)) for number in count())


@pytest.fixture
def host(
    instance_paths: Iterator[str], create_database: Callable[[], dict[str, Any]]
) -> Iterator[Callable[..., Host]]:
    """Return a function that makes a host. Keywords in uppercase are the config of its app."""
    hosts: list[Host] = []

    def make(
        *,
        model: Callable[[SQLAlchemy], type[Any]] | None = make_user_model,
        db: SQLAlchemy | None = None,
        blueprint: ProfileBlueprint | None = None,
        with_jwt: bool = True,
        with_db: bool = True,
        **config: Any,
    ) -> Host:
        app = Flask("host", instance_path=next(instance_paths))
        app.config.update(
            {"JWT_SECRET_KEY": SECRET} | (create_database() if with_db else {}) | config
        )
        if db is None:
            db, user = define(model)
        else:
            user = model(db) if model else None
        if with_db:
            db.init_app(app)
        if with_jwt:
            JWTManager(app)
        host = Host(app, db, user)
        if with_db:
            hosts.append(host)
        app.register_blueprint(blueprint or ProfileBlueprint())
        return host

    yield make
    for host in hosts:
        with host.app.app_context():
            for engine in host.db.engines.values():
                engine.dispose()


@pytest.fixture
def persistent_config(database: str) -> dict[str, Any]:
    """The config of a database that still exists when its connections are closed."""
    return shared_database_config(database)


@pytest.fixture
def john(host: Callable[..., Host]) -> Host:
    """A host with the default settings, and with John in its database."""
    return host().add()
