"""How the statement reaches the database: the session, the pool, the bind."""

from __future__ import annotations

from contextlib import closing

import pytest
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from marshmallow import post_dump
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import scoped_session, with_loader_criteria
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.pool import QueuePool

from conftest import JOHN, JOHN_AS_JSON
from contract import JOHN_PROFILE, NOT_FOUND
from flask_profile import ProfileMixin, ProfileSchema
from host_databases import close_pooled_connection, kill_pooled_connection
from schemas import Initials


class TestSession:
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

    @pytest.mark.parametrize(
        "name", ["after_begin", "after_transaction_create", "after_transaction_end"]
    )
    def test_a_listener_to_the_transactions_of_the_session_is_honoured(self, name, john, listen):
        calls = []
        listen(john.db.session, name, lambda *_: calls.append(name))
        assert john.post().status_code == 200
        assert calls == [name]

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
        for end_connection in (close_pooled_connection, kill_pooled_connection) * 2:
            end_connection(host_app)
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

    def test_execute_of_a_custom_session_class_is_used(self, host):
        executed = []

        class RecordingSession(Session):
            def execute(self, statement, *arguments, **options):
                executed.append(statement)
                return super().execute(statement, *arguments, **options)

        host_app = host(db=SQLAlchemy(session_options={"class_": RecordingSession})).add()
        executed.clear()
        assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
        assert len(executed) == 1

    @pytest.mark.skipif(
        not hasattr(Session, "execution_options"), reason="SQLAlchemy 2.0 has no such options"
    )
    def test_execution_options_of_the_session_are_honoured(self, host):
        options = {"schema_translate_map": {None: "missing"}}
        host_app = host(db=SQLAlchemy(session_options={"execution_options": options}))
        with host_app.app.app_context():
            host_app.db.create_all()
        assert host_app.post().status_code == 500

    def test_a_schema_translate_map_of_the_request_is_honoured(self, john):
        @john.app.before_request
        def choose_schema():
            options = {"schema_translate_map": {None: "missing"}}
            john.db.session.connection(execution_options=options)

        assert john.post().status_code == 500

    def test_a_session_factory_of_the_host_is_used(self, host):
        made = []

        def make_session(**options):
            made.append(options)
            return Session(host_app.db, **options)

        host_app = host(db=SQLAlchemy()).add()
        host_app.db.session = scoped_session(make_session)
        assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
        assert made == [{}]

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


class TestDriverSettings:
    """A connection goes back to the pool as it came from it."""

    def pooled_isolation_level(self, host):
        with host.app.app_context():
            engine = host.db.engine
        with engine.connect() as connection:
            return connection.get_isolation_level()

    def test_the_isolation_level_of_the_engine_stays(self, host):
        host_app = host(SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": "SERIALIZABLE"}).add()
        for _ in range(2):
            assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
            assert self.pooled_isolation_level(host_app) == "SERIALIZABLE"

    @pytest.mark.parametrize("level", ["SERIALIZABLE", "AUTOCOMMIT"])
    def test_an_isolation_level_that_a_connect_listener_sets_stays(self, level, john):
        with john.app.app_context():
            engine = john.db.engine

        @event.listens_for(engine, "connect")
        def set_level(connection, _record):
            engine.dialect.set_isolation_level(connection, level)

        if engine.dialect.name != "sqlite":  # Its database would be gone with its connection.
            engine.dispose()
        before = self.pooled_isolation_level(john)
        for _ in range(2):
            assert john.post().get_data(as_text=True) == JOHN_AS_JSON
            assert self.pooled_isolation_level(john) == before

    @pytest.mark.parametrize("pool_options", [{}, {"pool_pre_ping": True}])
    @pytest.mark.parametrize("execution_options", [{}, {"stream_results": True}])
    def test_what_the_driver_knows_of_transactions_stays(
        self, pool_options, execution_options, host, persistent_config
    ):
        host_app = host(SQLALCHEMY_ENGINE_OPTIONS=pool_options, **persistent_config).add()
        with host_app.app.app_context():
            host_app.db.engine.update_execution_options(**execution_options)
        before = self.read_settings(host_app)
        for _ in range(10):
            assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
        assert self.read_settings(host_app) == before

    def read_settings(self, host):
        """Return the attributes of a pooled connection of the driver that a transaction is of."""
        names = ("autocommit", "deferrable", "isolation_level", "prepare_threshold", "read_only")
        with host.app.app_context():
            pooled = host.db.engine.raw_connection()
        settings = {n: repr(getattr(pooled.driver_connection, n, None)) for n in names}
        pooled.close()
        return settings


class TestLoadListeners:
    def test_a_load_listener_of_the_model_is_honoured(self, host):
        host_app = host(db=SQLAlchemy())

        @event.listens_for(host_app.User, "load")
        def decrypt(user, _context):
            set_committed_value(user, "first_name", user.first_name[::-1])

        with host_app.add().statements() as statements:
            assert host_app.post().json["first_name"] == JOHN["first_name"][::-1]
        assert len(statements) == 1
