"""Find the new values of a user that must be unique, but that another row already has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from marshmallow.utils import get_value
from sqlalchemy import Column, UniqueConstraint, bindparam, literal, or_, select
from sqlalchemy.sql.visitors import iterate, replacement_traverse

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Mapper


def find_taken(
    connection: Connection, mapper: Mapper[Any], user: Any, values: Mapping[str, object]
) -> list[str]:
    """Return the attributes whose new values must be unique, but that another row already has.

    Args:
        connection: The connection on which users are written.
        mapper: The mapper of the users.
        user: The user as stored.
        values: The attributes that an edit sets, with their new values.
    """
    taken: list[str] = []
    for table, expressions in _unique_expressions(mapper):
        names: set[str] = set()
        same = [e == _with_values(e, mapper, user, values, names) for e in expressions]
        other_row = or_(
            *(c != _with_values(c, mapper, user, values, set()) for c in table.primary_key)
        )
        found = select(literal(1)).select_from(table).where(*same, other_row).limit(1)
        if names & values.keys() and connection.scalar(found):
            taken += [name for name in values if name in names]
    return taken


def unique_attributes(mapper: Mapper[Any]) -> set[str]:
    """Return the attributes that belong to a unique constraint or a unique index."""
    return {
        mapper.get_property_by_column(part).key
        for _, expressions in _unique_expressions(mapper)
        for expression in expressions
        for part in iterate(expression)
        if isinstance(part, Column)
    }


def _unique_expressions(mapper: Mapper[Any]) -> Iterator[tuple[Table, list[Any]]]:
    """Yield the columns or expressions of each unique constraint and unique index."""
    for table in cast("list[Table]", mapper.tables):
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                yield table, [*constraint.columns]
        for index in table.indexes:
            if index.unique:
                yield table, [*index.expressions]


def _with_values(
    expression: Any, mapper: Mapper[Any], user: Any, values: Mapping[str, object], names: set[str]
) -> Any:
    """Replace the columns of an expression by the user's values, and add their names to a set."""

    def replace(part: Any, **_: object) -> Any:
        if not isinstance(part, Column):
            return None
        name = mapper.get_property_by_column(part).key
        names.add(name)
        value = values[name] if name in values else get_value(user, name)
        return bindparam(None, value, part.type)

    return cast("Any", replacement_traverse)(expression, {}, replace)
