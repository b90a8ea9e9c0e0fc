"""A temporary PostgreSQL schema for one run of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, create_engine, text


@contextmanager
def empty_schema(database: str, name: str) -> Iterator[URL]:
    """Create a schema, yield a URL whose connections use it, and drop it at the end."""
    engine = create_engine(database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {name} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {name}"))
        try:
            yield engine.url.update_query_dict({"options": f"-csearch_path={name}"})
        finally:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()
