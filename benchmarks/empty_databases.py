"""A temporary database for one run of a benchmark or an acceptance script."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, create_engine, make_url, text


@contextmanager
def empty_database(database: str, name: str) -> Iterator[URL]:
    """Create an empty database, yield its URL, and drop it at the end.

    Args:
        database: ``"sqlite"`` for a file, or the URL of a database on a server. On PostgreSQL a
            schema is created in it, on MariaDB another database.
        name: The name of the schema or the database.
    """
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield make_url(f"sqlite:///{folder}/{name}.db")
        return
    engine = create_engine(database, isolation_level="AUTOCOMMIT")
    is_postgresql = engine.dialect.name == "postgresql"
    drop = f"DROP SCHEMA IF EXISTS {name}" + (" CASCADE" if is_postgresql else "")
    url = engine.url
    if is_postgresql:
        url = url.update_query_dict({"options": f"-csearch_path={name}"})
    else:
        url = url.set(database=name)
    with engine.connect() as connection:
        connection.execute(text(drop))
        connection.execute(text(f"CREATE SCHEMA {name}"))
        try:
            yield url
        finally:
            connection.execute(text(drop))
    engine.dispose()
