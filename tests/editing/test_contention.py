"""Edits that conflict with others: tried again where that is safe, else a 503 response."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from flask import g
from marshmallow import fields
from sqlalchemy import String, UniqueConstraint, event, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, synonym

from contract import (
    AVATAR_URL,
    INACTIVE,
    NOT_SAVED,
    NOT_VALID,
    TAKEN,
    UNACCEPTABLE_BODY,
    UNAVAILABLE,
    URL,
)
from editing.requests import parse, patch
from flask_profile import ProfileMixin, ProfileSchema, contention
from host_databases import kill_pooled_connection, read_users
from images import encode_solid
from schemas import WritableSchema


class DriverError(Exception):
    """An error of a driver, with its code in the attribute that the driver has for it."""

    def __init__(self, *args, **codes):
        super().__init__(*args)
        vars(self).update(codes)


CONFLICTS = {
    "a serialization failure of psycopg": DriverError("x", sqlstate="40001"),
    "a deadlock of psycopg2": DriverError("x", pgcode="40P01"),
    "a deadlock of pg8000": DriverError({"C": "40P01", "M": "deadlock detected"}),
    "a deadlock of MariaDB": DriverError(1213, "Deadlock found", sqlstate="40001"),
    "a snapshot conflict of MariaDB": DriverError(1020, "Record has changed"),
    "a snapshot conflict of SQLite": DriverError("database is locked", sqlite_errorcode=517),
}
TIMEOUTS = {
    "a lock timeout of psycopg": DriverError("x", sqlstate="55P03"),
    "a statement timeout of psycopg2": DriverError("x", pgcode="57014"),
    "a lock timeout of pg8000": DriverError({"C": "55P03"}),
    "a lock timeout of MariaDB": DriverError(1205, "Lock wait timeout exceeded", sqlstate="HY000"),
    "a lock timeout of SQLite": DriverError("database is locked", sqlite_errorcode=5),
    "a lock timeout of SQLite before Python 3.11": DriverError("database is locked"),
}
OTHERS = {
    "a full disk": DriverError("x", sqlstate="53100"),
    "a missing table of MariaDB": DriverError(1146, "Table doesn't exist"),
    "an error without a code": DriverError(),
}


@contextmanager
def failing(host, error, *, times=10**6, moment="before_cursor_execute", is_disconnect=False):
    """Let the statement that edits, or the commit, fail with an error of a driver."""
    calls = []

    def fail(*arguments):
        is_edit = moment == "commit" or "SET first_name" in arguments[2]
        if is_edit and len(calls) < times:
            calls.append(1)
            raise OperationalError("", {}, error, connection_invalidated=is_disconnect)

    with host.app.app_context():
        engine = host.db.engine
    event.listen(engine, moment, fail)
    yield calls
    event.remove(engine, moment, fail)


@pytest.fixture
def short_backoff(monkeypatch):
    """Let the attempts of an edit end sooner."""
    monkeypatch.setattr(contention, "_SECONDS", 0.05)


class TestRetries:
    @pytest.mark.parametrize("name", CONFLICTS)
    @pytest.mark.parametrize("moment", ["before_cursor_execute", "commit"])
    def test_a_conflict_is_tried_again(self, name, moment, editable_host, caplog):
        host = editable_host()
        with failing(host, CONFLICTS[name], times=3, moment=moment) as calls:
            assert patch(host, {"first_name": "Jack"}).status_code == 200
        assert len(calls) == 3
        assert read_users(host, "first_name") == ["Jack"]
        assert caplog.records == []

    @pytest.mark.parametrize("name", CONFLICTS)
    def test_conflicts_without_end_are_a_503(self, name, editable_host, short_backoff, caplog):
        host = editable_host(TESTING=True)
        with failing(host, CONFLICTS[name]) as calls:
            response = patch(host, {"first_name": "Jack"})
        assert parse(response) == (503, UNAVAILABLE)
        assert response.headers["Retry-After"] == "1"
        assert len(calls) > 1
        assert read_users(host, "first_name") == ["John"]
        assert [(r.levelname, r.exc_info) for r in caplog.records] == [("WARNING", None)]

    @pytest.mark.parametrize("name", TIMEOUTS)
    @pytest.mark.parametrize("moment", ["before_cursor_execute", "commit"])
    def test_a_timeout_is_a_503_at_once(self, name, moment, editable_host):
        host = editable_host()
        with failing(host, TIMEOUTS[name], moment=moment) as calls:
            assert parse(patch(host, {"first_name": "Jack"})) == (503, UNAVAILABLE)
        assert len(calls) == 1

    @pytest.mark.parametrize("name", OTHERS)
    @pytest.mark.parametrize("moment", ["before_cursor_execute", "commit"])
    def test_any_other_error_is_a_500_at_once(self, name, moment, editable_host):
        host = editable_host()
        with failing(host, OTHERS[name], moment=moment) as calls:
            assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
        assert len(calls) == 1

    def test_a_connection_that_dies_before_the_commit_is_replaced(self, editable_host):
        host = editable_host()
        with failing(host, OTHERS["a full disk"], times=1, is_disconnect=True) as calls:
            assert patch(host, {"first_name": "Jack"}).status_code == 200
        assert len(calls) == 1

    def test_a_connection_that_dies_during_the_commit_is_a_500(self, editable_host):
        host = editable_host()
        dying = failing(host, OTHERS["a full disk"], moment="commit", is_disconnect=True)
        with dying as calls:
            assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
        assert len(calls) == 1

    def test_a_dead_connection_in_the_pool_does_not_fail_a_request(self, concurrent_host):
        host = concurrent_host()
        for name in ("Jack", "Jim"):
            kill_pooled_connection(host)
            assert patch(host, {"first_name": name}).json["first_name"] == name

    @pytest.mark.parametrize("errors", [CONFLICTS, TIMEOUTS])
    def test_a_read_that_fails_so_is_a_503(self, errors, john):
        def fail(*_):
            raise OperationalError("", {}, remaining[0])

        remaining = [*errors.values()]
        with john.app.app_context():
            event.listen(john.db.engine, "before_cursor_execute", fail)
        while remaining:
            assert parse(john.post()) == (503, UNAVAILABLE)
            remaining.pop(0)


class TestVerification:
    def test_each_attempt_verifies_the_token_and_loads_the_user_again(self, editable_host):
        host, loaded = editable_host(), []

        @host.jwt.user_lookup_loader
        def load(_header, claims):
            loaded.append(claims["sub"])
            return host.db.session.get(host.User, 1)

        with failing(host, CONFLICTS["a deadlock of psycopg2"], times=2):
            assert patch(host, {"first_name": "Jack"}).status_code == 200
        assert loaded == ["1"] * 3

    def test_a_token_that_is_revoked_between_attempts_is_a_401(self, editable_host):
        host, asked = editable_host(), []

        @host.jwt.token_in_blocklist_loader
        def is_revoked(_header, _claims):
            asked.append(1)
            return len(asked) > 1

        with failing(host, CONFLICTS["a deadlock of psycopg2"]):
            assert parse(patch(host, {"first_name": "Jack"})) == (401, NOT_VALID)
        assert read_users(host, "first_name") == ["John"]

    def test_a_token_that_is_revoked_during_an_upload_is_a_401_and_leaves_no_file(
        self, editable_host
    ):
        host, asked = editable_host(PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE="memory:///"), []

        @host.jwt.token_in_blocklist_loader
        def is_revoked(_header, _claims):
            asked.append(1)
            return len(asked) > 1

        image = encode_solid(size=(1, 1))
        response = host.client.put(
            AVATAR_URL, data=image, content_type="image/png", headers=host.bearer()
        )
        assert parse(response) == (401, NOT_VALID)
        assert asked == [1, 1]
        assert read_users(host, "avatar") == ["avatars/profile.jpg"]

    def test_a_user_who_is_deactivated_during_the_request_is_a_401(self, editable_host):
        class Deactivating(WritableSchema):
            def load(self, *arguments, **options):
                with host.db.engine.begin() as connection:
                    connection.execute(update(host.User).values(is_active=False))
                return super().load(*arguments, **options)

        host = editable_host(PROFILE_SCHEMA=Deactivating)
        assert parse(patch(host, {"first_name": "Jack"})) == (401, INACTIVE)
        assert read_users(host, "first_name") == ["John"]


class TestHostTransaction:
    """A transaction that the host has opened before: what it did there would be lost."""

    @pytest.fixture
    def prepared_host(self, editable_host):
        host = editable_host(PROFILE_SCHEMA=WritableSchema)
        host.add(id=2, username="ann", email="ann@example.com", first_name="Ann")

        @host.app.before_request
        def prepare():
            host.db.session.execute(select(host.User.id))
            if host.db.engine.dialect.name == "postgresql":
                host.db.session.execute(text("SET LOCAL app.tenant = 'a'"))

        return host

    def test_nothing_is_tried_again(self, prepared_host):
        for error in (CONFLICTS["a deadlock of psycopg2"], TIMEOUTS["a lock timeout of MariaDB"]):
            with failing(prepared_host, error) as calls:
                assert parse(patch(prepared_host, {"first_name": "Jack"})) == (503, UNAVAILABLE)
            assert len(calls) == 1

    def test_a_taken_value_is_found_within_it(self, prepared_host):
        seen = []

        @prepared_host.app.teardown_request
        def look(_error):
            seen.append(1)

        with prepared_host.statements() as statements:
            response = patch(prepared_host, {"username": "ann"})
        assert parse(response) == (400, {"username": TAKEN})
        assert [s for s in statements if s.startswith(("SAVEPOINT", "ROLLBACK TO"))]
        assert read_users(prepared_host, "username") == ["john_doe", "ann"]

    def test_a_value_that_is_free_is_stored(self, prepared_host):
        with prepared_host.statements() as statements:
            assert patch(prepared_host, {"username": "jack"}).status_code == 200
        assert [s for s in statements if s.startswith("RELEASE SAVEPOINT")]
        assert read_users(prepared_host, "username") == ["jack", "ann"]

    def test_a_constraint_that_refuses_the_commit_is_a_400(self, prepared_host, listen):
        def refuse(_session):
            raise IntegrityError("COMMIT", {}, Exception("a deferred constraint"))

        listen(prepared_host.db.session, "before_commit", refuse)
        assert parse(patch(prepared_host, {"first_name": "Jack"})) == (400, UNACCEPTABLE_BODY)

    def test_a_patch_of_nothing_unique_needs_no_savepoint(self, prepared_host):
        with prepared_host.statements() as statements:
            assert patch(prepared_host, {"first_name": "Jack"}).status_code == 200
        assert not [s for s in statements if "SAVEPOINT" in s]

    def test_a_session_that_is_bound_to_a_transaction_is_one(self, editable_host):
        host = editable_host()
        with host.app.app_context(), host.db.engine.connect() as connection, connection.begin():
            engines = host.db.engines
            engine, engines[None] = engines[None], connection
            try:
                with failing_connection(connection) as calls:
                    assert parse(patch(host, {"first_name": "Jack"})) == (503, UNAVAILABLE)
            finally:
                host.db.session.remove()
                engines[None] = engine
        assert len(calls) == 1


@contextmanager
def failing_connection(connection):
    calls = []

    def fail(_connection, _cursor, statement, *_):
        if "SET first_name" in statement:
            calls.append(1)
            raise OperationalError("", {}, CONFLICTS["a deadlock of psycopg2"])

    event.listen(connection, "before_cursor_execute", fail)
    yield calls
    event.remove(connection, "before_cursor_execute", fail)


ISOLATION_LEVELS = {
    "sqlite": ["SERIALIZABLE"],
    "postgresql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
    "mysql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
}


@pytest.mark.parametrize("from_loader", [False, True], ids=["user by query", "user by loader"])
def test_no_update_is_lost_at_any_isolation_level(from_loader, concurrent_host, database):
    for level in ISOLATION_LEVELS[database.partition(":")[0].partition("+")[0]]:
        host = concurrent_host(SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": level, "pool_size": 8})
        if from_loader:
            host.jwt.user_lookup_loader(lambda *_, host=host: host.db.session.get(host.User, 1))
        statuses = count_up(host, clients=6, edits=5)
        assert {*statuses} <= {200, 412, 503}
        assert read_users(host, "first_name") == [str(statuses.count(200))]
        assert statuses.count(200) >= 5


@pytest.mark.parametrize("moment", ["in a loader", "before the request"])
def test_what_the_host_has_read_before_the_lock_is_read_again(moment, concurrent_host):
    def model(db):
        class User(ProfileMixin, db.Model):
            counter: Mapped[int] = mapped_column(default=0)

            @hybrid_property
            def added(self):
                return 0

            @added.inplace.setter
            def _add(self, number):
                self.counter = self.counter + number

        return User

    class Adding(ProfileSchema):
        added = fields.Integer(load_only=True)

    host = concurrent_host(model=model, PROFILE_SCHEMA=Adding)

    if moment == "in a loader":
        host.jwt.user_lookup_loader(lambda *_: host.db.session.get(host.User, 1))
    else:

        @host.app.before_request
        def read():
            g.user = host.db.session.get(host.User, 1)

    clients = 8
    barrier = threading.Barrier(clients)

    def add(_number):
        barrier.wait(30)
        return [patch(host, {"added": 1}).status_code for _ in range(3)]

    with ThreadPoolExecutor(clients) as pool:
        statuses = sum(pool.map(add, range(clients)), [])
    assert {*statuses} <= {200, 503}
    assert read_users(host, "counter") == [statuses.count(200)]


def test_the_first_look_at_a_user_of_sqlite_leaves_no_snapshot(editable_host, listen):
    """SQLAlchemy's recipe for SQLite executes BEGIN: then the first SELECT takes a snapshot."""
    host = editable_host(SQLALCHEMY_DATABASE_URI="sqlite:///wal.db")
    with host.app.app_context():
        engine = host.db.engine
        engine.dispose()
    other = sqlite3.connect(engine.url.database, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")

    def begin_explicitly(connection, _record):
        connection.isolation_level = None

    def edit_before_the_lock(_connection, _cursor, statement, *_):
        if "SET id=" in statement:
            locks.append(statement)
            other.execute("UPDATE user SET last_name = 'Roe'")

    locks = []
    listen(engine, "connect", begin_explicitly)
    listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    listen(engine, "before_cursor_execute", edit_before_the_lock)
    with closing(other):
        response = patch(host, {"first_name": "Jack"})
    assert (response.json["first_name"], response.json["last_name"]) == ("Jack", "Roe")
    assert len(locks) == 1


def count_up(host, *, clients, edits):
    """Let clients count up the first name at once by If-Match, and return the statuses."""
    assert patch(host, {"first_name": "0"}).status_code == 200
    barrier = threading.Barrier(clients)

    def count(_number):
        barrier.wait(30)
        statuses = []
        for _ in range(edits):
            read = host.client.get(URL, headers=host.bearer())
            body = {"first_name": str(int(read.json["first_name"]) + 1)}
            response = patch(host, body, headers={"If-Match": read.headers["ETag"]})
            statuses.append(response.status_code)
        return statuses

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(count, range(clients)), [])


def test_a_value_that_a_deferred_constraint_refuses_is_a_400_of_its_field(concurrent_host):
    """On PostgreSQL it is refused at the commit, on the other databases at once."""

    def model(db):
        class User(ProfileMixin, db.Model):
            username = mapped_column(String(150))
            __table_args__ = (UniqueConstraint("username", deferrable=True, initially="DEFERRED"),)

        constraint = next(
            c
            for c in User.__table__.constraints
            if isinstance(c, UniqueConstraint) and c.deferrable
        )

        @event.listens_for(User.__table__, "before_create")
        def choose(_table, connection, **_options):
            if connection.dialect.name != "postgresql":  # They have no such constraints.
                constraint.deferrable = constraint.initially = None

        return User

    host = concurrent_host(model=model, PROFILE_SCHEMA=WritableSchema)
    host.add(id=2, username="ann", email="ann@example.com")
    assert parse(patch(host, {"username": "ann"})) == (400, {"username": TAKEN})
    assert read_users(host, "username") == ["john_doe", "ann"]
    assert patch(host, {"username": "jack"}).status_code == 200


def test_a_taken_name_by_a_synonym_is_a_400_of_the_synonym(concurrent_host):
    def model(db):
        class User(ProfileMixin, db.Model):
            login = synonym("username")

        return User

    class Login(ProfileSchema):
        login = fields.String()

    host = concurrent_host(model=model, PROFILE_SCHEMA=Login)
    host.add(id=2, username="ann", email="ann@example.com")
    assert parse(patch(host, {"login": "ann"})) == (400, {"login": TAKEN})
