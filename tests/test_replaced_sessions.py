"""The fixtures of host test suites, which make the app once and replace db.session in each test."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from conftest import JOHN
from contract import NOT_FOUND
from host_databases import shared_database_config


@contextmanager
def outer_transaction(host):
    """Begin a transaction on one connection, and roll it back at the end."""
    with host.db.engine.connect() as connection, connection.begin() as transaction:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # Its driver does not send it before a savepoint.
        yield connection
        transaction.rollback()


@contextmanager
def session_in_place(host, session):
    """Put a session in the place of ``db.session``."""
    original = host.db.session
    host.db.session = session
    try:
        yield
    finally:
        host.db.session = original
        session.remove()


@contextmanager
def scoped_session_on_one_connection(host):
    factory = sessionmaker()
    with outer_transaction(host) as connection, session_in_place(host, scoped_session(factory)):
        factory.configure(bind=connection)
        yield


@contextmanager
def session_with_savepoints(host):
    """The same, but each commit and rollback is that of a savepoint."""
    factory = sessionmaker(join_transaction_mode="create_savepoint")
    with outer_transaction(host) as connection, session_in_place(host, scoped_session(factory)):
        factory.configure(bind=connection)
        yield


@contextmanager
def session_in_a_savepoint(host):
    """What pytest-flask-sqlalchemy does: a savepoint that begins again at each commit."""
    with outer_transaction(host) as connection:
        sessions = scoped_session(sessionmaker(bind=connection))
        sessions.begin_nested()

        @event.listens_for(sessions, "after_transaction_end")
        def begin_again(session, transaction):
            if transaction.nested and not transaction.parent.nested:
                session.expire_all()
                session.begin_nested()

        with session_in_place(host, sessions):
            yield
        event.remove(sessions, "after_transaction_end", begin_again)


@contextmanager
def session_of_the_host_class(host):
    """A session that finds the connection of the test by the host's own class."""
    with outer_transaction(host) as connection:

        class TestSession(FlaskSession):
            def get_bind(self, *_args, **_options):
                return connection

        factory = sessionmaker(class_=TestSession, db=host.db)
        with session_in_place(host, scoped_session(factory)):
            yield


@contextmanager
def session_without_scope(host):
    """A session itself, with the method that Flask-SQLAlchemy calls after a request."""
    with outer_transaction(host) as connection:
        session = Session(bind=connection)
        session.remove = session.close
        with session_in_place(host, session):
            yield


@contextmanager
def engine_replaced_by_a_connection(host):
    """What the maintainers of Flask-SQLAlchemy 3 propose."""
    engines = host.db.engines
    engine = engines[None]
    with outer_transaction(host) as connection:
        engines[None] = connection
        try:
            yield
        finally:
            host.db.session.remove()
            engines[None] = engine


@contextmanager
def database_in_memory(host):
    engine = create_engine("sqlite://", poolclass=StaticPool)
    host.db.metadata.create_all(engine)
    with session_in_place(host, scoped_session(sessionmaker(bind=engine))):
        yield
    engine.dispose()


FIXTURES = [
    scoped_session_on_one_connection,
    session_with_savepoints,
    session_in_a_savepoint,
    session_of_the_host_class,
    session_without_scope,
    engine_replaced_by_a_connection,
    database_in_memory,
]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.__name__)
class TestReplacedSession:
    """Each test makes several "tests" of a host, all with the same app."""

    @pytest.fixture
    def suite(self, host, database):
        """A host with tables, as the fixture of a session makes it."""
        suite = host(PROFILE_METHODS=("GET", "POST", "PATCH"), **shared_database_config(database))
        with suite.app.app_context():
            suite.db.create_all()
        return suite

    def add_user(self, suite, **values):
        suite.db.session.add(suite.User(**(JOHN | values)))
        suite.db.session.commit()

    def test_each_test_reads_only_its_own_users(self, fixture, suite):
        for name in ("Ada", "Eve", "Joe"):
            with suite.app.app_context(), fixture(suite):
                assert suite.post().json == NOT_FOUND
                self.add_user(suite, first_name=name)
                assert [suite.post().json["first_name"] for _ in range(2)] == [name, name]

    def test_each_test_edits_its_own_user(self, fixture, suite):
        for name in ("Ada", "Eve"):
            with suite.app.app_context(), fixture(suite):
                self.add_user(suite)
                request = {"json": {"first_name": name}, "headers": suite.bearer()}
                response = suite.client.patch("/api/profile/", **request)
                assert response.json["first_name"] == name
                assert suite.post().json["first_name"] == name
                assert suite.db.session.get(suite.User, 1).first_name == name

    def test_the_app_reads_its_own_database_before_and_after(self, fixture, suite):
        with suite.app.app_context():
            self.add_user(suite, first_name="Own")
        for _ in range(2):
            assert suite.post().json["first_name"] == "Own"
            with suite.app.app_context(), fixture(suite):
                assert suite.post().status_code == (404 if fixture is database_in_memory else 200)
