"""Checks of the database: the tables of the users, and an index for the identity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import UniqueConstraint, inspect
from sqlalchemy.exc import SQLAlchemyError

from ...connections import current_session
from ...locking import LockingQuery
from ..failures import describe_failure
from .problem import Problem

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy import Table
    from sqlalchemy.engine import Inspector

    from ...queries import ProfileQuery

_MIGRATE = "flask db upgrade"
_CREATE = "with app.app_context():\n        db.create_all()"


def check_tables(app: Flask, query: ProfileQuery) -> Iterator[Problem]:
    """Yield each table that is missing or lacks columns, in the database where users are written.

    Args:
        app: The app.
        query: The query that reads its users.
    """
    bind = LockingQuery(query).bind(current_session(app.extensions["sqlalchemy"]))
    create = _MIGRATE if "migrate" in app.extensions else _CREATE
    try:
        inspector = inspect(bind)
        for table in cast("list[Table]", query.mapper.tables):
            yield from _check_table(inspector, table, create=create)
    except SQLAlchemyError as error:
        url = bind.engine.url.render_as_string()
        message = f"The database {url} cannot be read: {describe_failure(error)}"
        yield Problem("database", message)


def _check_table(inspector: Inspector, table: Table, *, create: str) -> Iterator[Problem]:
    if not inspector.has_table(table.name, table.schema):
        message = f"The database has no table {table.fullname!r}. Create it:\n\n    {create}"
        yield Problem("missing_table", message)
        return
    present = {column["name"] for column in inspector.get_columns(table.name, table.schema)}
    missing = [column.name for column in table.columns if column.name not in present]
    if missing:
        yield Problem(
            "missing_column",
            f"The table {table.fullname!r} lacks {', '.join(missing)}. Run the migration that adds "
            f"them, for example with:\n\n    {_MIGRATE}",
        )


def check_index(query: ProfileQuery) -> Iterator[Problem]:
    """Yield a problem if there is no index to find the user of an identity.

    Args:
        query: The query that reads the users.
    """
    if not _is_indexed(query.mapper.columns[query.key]):
        yield Problem(
            "no_index",
            f"{query.mapper.class_.__name__}.{query.key} has no index, so each request reads the "
            "whole table. In the model, and in a migration, write:\n\n"
            f"    {query.key} = mapped_column(unique=True)",
            level="warning",
        )


def _is_indexed(column: Any) -> bool:
    """Tell whether a column is the first one of a primary key, an index or a unique constraint."""
    table = column.table
    groups = [table.primary_key.columns, *(index.expressions for index in table.indexes)]
    groups += [c.columns for c in table.constraints if isinstance(c, UniqueConstraint)]
    return any(next(iter(group), None) is column for group in groups)
