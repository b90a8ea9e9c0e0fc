"""How the statement reaches the database: the session, the pool, the bind."""

from __future__ import annotations

from contextlib import closing

import pytest
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from marshmallow import post_dump
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.pool import QueuePool

from conftest import JOHN_AS_JSON
from contract import JOHN_PROFILE, NOT_FOUND
from flask_profile import ProfileMixin, ProfileSchema
from host_databases import close_pooled_connection, shared_database_config
from schemas import Initials


class TestSession:
    @pytest.fixture
    def persistent_config(self, database):
        """The config of a database that still exists when its connections are closed."""
        return shared_database_config(database)

    @pytest.fixture
    def single_connection_host(self, host, persistent_config):
        """A host whose pool has a single connection and does not wait for a second one."""
        pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
        return host(SQLALCHEMY_ENGINE_OPTIONS=pool, **persistent_config).add()

    def test_no_second_connection_is_used_while_the_session_holds_one(self, single_connection_host):
        @single_connection_host.app.before_request
        def use_session():
            single_connection_host.db.session.execute(select(single_connection_host.User.id))

        for _ in range(3):
            assert single_connection_host.post().status_code == 200

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_the_connection_is_returned_to_the_pool_before_the_schema_dumps(
        self, schema, host, persistent_config
    ):
        checked_out = []

        class RecordingSchema(schema):
            @post_dump
            def record(self, data, **_options):
                checked_out.append(host_app.db.engine.pool.checkedout())
                return data

        pool = {"poolclass": QueuePool}
        host_app = host(
            SQLALCHEMY_ENGINE_OPTIONS=pool, PROFILE_SCHEMA=RecordingSchema, **persistent_config
        ).add()
        assert host_app.post().status_code == 200
        assert checked_out == [0]

    def test_pending_changes_of_the_session_are_in_the_profile(self, john):
        @john.app.before_request
        def rename():
            john.db.session.get(john.User, 1).first_name = "Johnny"

        assert john.post().json["first_name"] == "Johnny"

    def test_a_do_orm_execute_listener_of_the_session_is_honoured(self, john, listen):
        def only_staff(state):
            state.statement = state.statement.options(
                with_loader_criteria(john.User, john.User.is_staff.is_(True))
            )

        with john.app.app_context():
            listen(john.db.session, "do_orm_execute", only_staff)
        assert john.post().json == NOT_FOUND

    def test_an_after_begin_listener_of_the_session_is_honoured(self, john, listen):
        begun = []
        listen(john.db.session, "after_begin", lambda *_: begun.append(True))
        assert john.post().status_code == 200
        assert begun == [True]

    def test_a_listener_added_after_the_first_request_is_honoured(self, john, listen):
        assert john.post().status_code == 200
        begun = []
        listen(john.db.session, "after_begin", lambda *_: begun.append(True))
        assert john.post().status_code == 200
        assert begun == [True]

    def test_no_session_is_created_if_the_request_has_none(self, john):
        for _ in range(2):
            with john.app.app_context():  # The request uses this app context.
                assert john.post().status_code == 200
                assert not john.db.session.registry.has()

    def test_a_begin_listener_of_the_engine_is_honoured(self, john):
        recorded_options = []

        def record(connection):
            recorded_options.append(connection.get_execution_options())

        with john.app.app_context():
            event.listen(john.db.engine, "begin", record)
        assert john.post().get_data(as_text=True) == JOHN_AS_JSON
        assert [options.get("isolation_level") for options in recorded_options] == [None]

    def test_a_checkout_listener_that_begins_a_transaction_is_honoured(self, john):
        def begin(connection, _record, _proxy):
            with closing(connection.cursor()) as cursor:
                cursor.execute("SELECT 1")

        with john.app.app_context():
            event.listen(john.db.engine, "checkout", begin)
        for _ in range(2):
            assert john.post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_a_dead_connection_in_the_pool_is_replaced(self, schema, host, persistent_config):
        host_app = host(PROFILE_SCHEMA=schema, **persistent_config).add()
        for _ in range(2):
            close_pooled_connection(host_app)
            assert host_app.post().json.items() >= JOHN_PROFILE.items()

    @pytest.mark.parametrize(
        ("is_dead", "session_is_used", "attempts"),
        [(True, False, 2), (True, True, 1), (False, False, 1)],
    )
    def test_a_read_is_retried_once_and_only_if_its_own_connection_is_dead(
        self, is_dead, session_is_used, attempts, john
    ):
        calls = []

        def fail(*_):
            calls.append(1)
            raise OperationalError("SELECT", {}, Exception("gone"), connection_invalidated=is_dead)

        @john.app.before_request
        def use_session():
            if session_is_used:
                john.db.session.execute(select(john.User.id))
            event.listen(john.db.engine, "before_cursor_execute", fail)

        assert john.post().status_code == 500
        assert len(calls) == attempts
        with john.app.app_context():
            event.remove(john.db.engine, "before_cursor_execute", fail)

    def test_the_bind_of_the_model_is_used(self, host, create_database):
        def model(db):
            class User(ProfileMixin, db.Model):
                __bind_key__ = "users"

            return User

        url = create_database()["SQLALCHEMY_DATABASE_URI"]
        host_app = host(model=model, SQLALCHEMY_BINDS={"users": url}).add()
        with host_app.app.app_context():
            assert host_app.db.engines["users"] is not host_app.db.engine
        assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_get_bind_of_a_custom_session_class_is_used(self, host, create_database):
        class RoutingSession(Session):
            def get_bind(self, mapper=None, clause=None, **options):
                if clause is not None and clause.is_select:
                    return self._db.engines["replica"]
                return super().get_bind(mapper=mapper, clause=clause, **options)

        host_app = host(
            db=SQLAlchemy(session_options={"class_": RoutingSession}),
            SQLALCHEMY_BINDS={"replica": create_database()["SQLALCHEMY_DATABASE_URI"]},
        ).add()
        assert host_app.post().status_code == 500  # The replica has no tables yet.
        with host_app.app.app_context():
            host_app.db.metadata.create_all(host_app.db.engines["replica"])
        assert host_app.post().json == NOT_FOUND

    def test_a_session_bound_to_one_connection_uses_it(self, host):
        class SingleConnectionSession(Session):
            def get_bind(self, *_args, **_options):
                return connection

        host_app = host(db=SQLAlchemy(session_options={"class_": SingleConnectionSession}))
        with host_app.app.app_context():
            connection = host_app.db.engine.connect()
        host_app.add()
        with host_app.statements() as statements:
            assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
        assert len(statements) == 1
        connection.close()
