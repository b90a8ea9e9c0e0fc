"""The databases of hosts: what is in them, what is written, and how they are connected to."""

from __future__ import annotations

import re

from sqlalchemy import create_engine, select, text


def shared_database_config(database):
    """Return the config with which all connections of an app use the same database.

    SQLite in memory has another database for each connection.
    """
    if database == "sqlite://":
        return {"SQLALCHEMY_DATABASE_URI": "sqlite:///shared.db"}
    return {}


def read_users(host, column=None):
    """Return all users in the database as dicts, or only the values of one column."""
    with host.app.app_context():
        table = host.User.__table__
        rows = host.db.session.execute(select(table).order_by(table.c.id)).mappings().all()
    return [row[column] for row in rows] if column else [dict(row) for row in rows]


def find_written_columns(statements):
    """Return the columns that each UPDATE sets.

    An UPDATE that sets only ``id`` is left out: it takes the write lock of SQLite.
    """
    updates = [s for s in statements if s.startswith("UPDATE") and "SET id=" not in s]
    assigned = [re.search(r" SET (.*) WHERE ", statement)[1] for statement in updates]
    return [[part.split("=")[0].strip() for part in columns.split(",")] for columns in assigned]


def close_pooled_connection(host):
    """Close a connection of the host's pool without the pool's knowledge."""
    with host.app.app_context():
        pooled = host.db.engine.raw_connection()
    driver = pooled.driver_connection
    pooled.close()
    driver.close()


def kill_pooled_connection(host):
    """Let the server end a connection of the host's pool; SQLite has no server."""
    with host.app.app_context():
        engine = host.db.engine
    find, kill = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mysql": ("SELECT connection_id()", "KILL {}"),
        "sqlite": ("SELECT 1", None),
    }[engine.dialect.name]
    with engine.connect() as connection:
        number = connection.scalar(text(find))
    if kill is None:
        close_pooled_connection(host)
        return
    other = create_engine(engine.url)
    with other.connect() as connection:
        connection.execute(text(kill.format(number)))
    other.dispose()
