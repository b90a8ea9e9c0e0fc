"""The hosts of connections.py: each connects to PostgreSQL in a way of its own.

Each is a function that prepares an app: it changes its config before the app has an engine, and may
return a function that adds listeners to the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sentry_sdk
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import Engine, NullPool, event, text

from flask_profile import ProfileSchema

# Sees only the user of its tenant; see SET_UP in connections.py.
TENANT_ROLE = "tenants"
SET_TENANT = "SELECT set_config('app.tenant', 'one', true)"

Listen = Callable[[SQLAlchemy, Engine], None]


def plain(_app: Flask) -> None:
    """What most apps do."""


def pre_ping(app: Flask) -> None:
    _set_options(app, pool_pre_ping=True, connect_args=_without_prepared_statements(app))


def null_pool(app: Flask) -> None:
    _set_options(app, poolclass=NullPool)


def serializable_engine(app: Flask) -> None:
    _set_options(app, isolation_level="SERIALIZABLE")


def autocommit_engine(app: Flask) -> None:
    _set_options(app, isolation_level="AUTOCOMMIT", connect_args=_without_prepared_statements(app))


def read_only_engine(app: Flask) -> None:
    _set_options(app, execution_options={"postgresql_readonly": True})


def serializable_option(app: Flask) -> None:
    _set_options(app, execution_options={"isolation_level": "SERIALIZABLE"})


def streamed_results(app: Flask) -> None:
    _set_options(app, execution_options={"stream_results": True})


def serializable_driver(_app: Flask) -> Listen:
    return _set_level_on_connect("SERIALIZABLE")


def autocommit_driver(app: Flask) -> Listen:
    _set_options(app, connect_args=_without_prepared_statements(app))
    return _set_level_on_connect("AUTOCOMMIT")


def legacy_ping(_app: Flask) -> Listen:
    """The recipe of SQLAlchemy before ``pool_pre_ping``, found in many repositories."""

    def listen(_db: SQLAlchemy, engine: Engine) -> None:
        event.listen(
            engine, "engine_connect", lambda connection: connection.scalar(text("SELECT 1"))
        )

    return listen


def tenant_before_execute(_app: Flask) -> Listen:
    return _listen("before_execute", lambda connection, *_: _set_tenant(connection.connection))


def tenant_before_cursor_execute(_app: Flask) -> Listen:
    return _listen("before_cursor_execute", lambda _, cursor, *__: cursor.execute(SET_TENANT))


def tenant_on_checkout(_app: Flask) -> Listen:
    return _listen("checkout", lambda connection, *_: _set_tenant(connection))


def tenant_on_engine_connect(_app: Flask) -> Listen:
    return _listen("engine_connect", lambda connection: connection.exec_driver_sql(SET_TENANT))


def tenant_on_begin(_app: Flask) -> Listen:
    return _listen("begin", lambda connection: _set_tenant(connection.connection))


def tenant_after_begin(_app: Flask) -> Listen:
    def listen(db: SQLAlchemy, _engine: Engine) -> None:
        @event.listens_for(db.session, "after_begin")
        def set_tenant(_session: Any, _transaction: Any, connection: Any) -> None:
            connection.exec_driver_sql(SET_TENANT)

    return listen


def tenant_before_request(app: Flask) -> Listen:
    def listen(db: SQLAlchemy, _engine: Engine) -> None:
        @app.before_request
        def set_tenant() -> None:
            db.session.execute(text("SET LOCAL app.tenant = 'one'"))

    return listen


def tenant_in_the_blocklist_loader(app: Flask) -> Listen:
    """The callback of Flask-JWT-Extended prepares the transaction."""

    def listen(db: SQLAlchemy, _engine: Engine) -> None:
        def set_tenant(_header: object, _claims: object) -> bool:
            db.session.execute(text(SET_TENANT))
            return False

        app.extensions["flask-jwt-extended"].token_in_blocklist_loader(set_tenant)
        # The host's own view has no token, and so prepares its transaction itself.
        app.view_functions["own"] = prepare_before(db, app.view_functions["own"])

    return listen


def prepare_before(db: SQLAlchemy, view: Callable[[], Any]) -> Callable[[], Any]:
    def prepared() -> Any:
        db.session.execute(text(SET_TENANT))
        return view()

    return prepared


def schema_of_the_engine(app: Flask) -> None:
    _set_options(app, execution_options={"schema_translate_map": {None: "tenant"}})


def schema_of_the_request(app: Flask) -> Listen:
    def listen(db: SQLAlchemy, _engine: Engine) -> None:
        @app.before_request
        def choose_schema() -> None:
            options = {"schema_translate_map": {None: "tenant"}}
            db.session.connection(execution_options=options)

    return listen


def open_telemetry(_app: Flask) -> Listen:
    def listen(_db: SQLAlchemy, engine: Engine) -> None:
        instrumentor = SQLAlchemyInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()  # It does not instrument a second engine.
        instrumentor.instrument(
            engine=engine,
            enable_commenter=True,
            tracer_provider=TracerProvider(),
            skip_dep_check=True,  # It does not know SQLAlchemy 2.1 yet.
        )

    return listen


def sentry(_app: Flask) -> None:
    sentry_sdk.init(
        "http://key@127.0.0.1/1", traces_sample_rate=1.0, transport=lambda _envelope: None
    )


def users_by_name(app: Flask) -> None:
    """For the database in LATIN1, not one of HOSTS."""
    app.config.update(PROFILE_IDENTITY_FIELD="username", PROFILE_SCHEMA=ProfileSchema)


# With these, SQLAlchemy itself cannot write.
CANNOT_WRITE = (read_only_engine, streamed_results)
# pg8000 sends a statement and its parameters apart, and sets isolation levels for a whole session.
# Behind PgBouncer, each of them may reach another server, so that no view of these hosts works.
NOT_WITH_PG8000_AND_PGBOUNCER = (
    autocommit_engine,
    autocommit_driver,
    serializable_engine,
    serializable_option,
    serializable_driver,
    read_only_engine,
)
HOSTS: list[Callable[[Flask], Listen | None]] = [
    plain,
    pre_ping,
    null_pool,
    serializable_engine,
    serializable_option,
    autocommit_engine,
    read_only_engine,
    streamed_results,
    serializable_driver,
    autocommit_driver,
    legacy_ping,
    tenant_before_execute,
    tenant_before_cursor_execute,
    tenant_on_checkout,
    tenant_on_engine_connect,
    tenant_on_begin,
    tenant_after_begin,
    tenant_before_request,
    tenant_in_the_blocklist_loader,
    schema_of_the_engine,
    schema_of_the_request,
    open_telemetry,
    sentry,
]


def _set_options(app: Flask, **options: object) -> None:
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options


def _without_prepared_statements(app: Flask) -> dict[str, object]:
    """Return what psycopg needs behind PgBouncer where a host uses autocommit, as a ping does."""
    is_psycopg = app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql+psycopg:")
    return {"prepare_threshold": None} if is_psycopg else {}


def _set_tenant(connection: Any) -> None:
    connection.cursor().execute(SET_TENANT)


def _listen(name: str, listener: Callable[..., object]) -> Listen:
    return lambda _db, engine: event.listen(engine, name, lambda *a: listener(*a) and None)


def _set_level_on_connect(level: str) -> Listen:
    def listen(_db: SQLAlchemy, engine: Engine) -> None:
        @event.listens_for(engine, "connect")
        def set_level(connection: Any, _record: Any) -> None:
            engine.dialect.set_isolation_level(connection, level)  # type: ignore[arg-type]

    return listen
