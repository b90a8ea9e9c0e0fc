"""Find the user that a developer names by identity, username or email."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from flask import current_app
from marshmallow.utils import get_value
from sqlalchemy import or_, select

from ..auth import has_user_loader
from ..charsets import lacks_character
from ..columns import is_storable
from ..connections import current_session
from ..errors import ConfigurationError, UserNotFoundError
from ..mapping import has_column, map_attribute

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ..queries import ProfileQuery
    from ..resource import Resource

_NAMES = ("username", "email")  # The fields that a developer may name a user by.


@dataclass(frozen=True)
class FoundUser:
    """A user that a token can be created for.

    Args:
        name: What the developer named the user by.
        identity: The identity, as in tokens.
        load: Returns the user as an instance of the model, or the identity if there is no model.
        is_searched: Whether the user was found in the database, or only assumed.
    """

    name: str
    identity: str
    load: Callable[[], object]
    is_searched: bool = True


def find_user(resource: Resource, name: str) -> FoundUser:
    """Return the user with an identity, or else the only user with a username or email.

    Args:
        resource: The profile whose users are searched.
        name: The identity, username or email.

    Raises:
        click.ClickException: If no user or several users are found.
        ConfigurationError: If the app has neither users that can be queried nor a
            ``user_lookup_loader``.
    """
    try:
        query = resource.query
    except ConfigurationError:
        if not has_user_loader():
            raise
        # Only the app itself can look for its users.
        return FoundUser(name, name, lambda: name, is_searched=False)
    columns = [map_attribute(resource.schema, c, query.mapper.class_) for c in _NAMES]
    key = _find_key(query, [c for c in columns if has_column(query.mapper, c)], name)
    return FoundUser(name, str(key), lambda: _load_entity(query, key))


def find_any_user(query: ProfileQuery) -> FoundUser | None:
    """Return a user of the database, if there is one with an identity.

    Args:
        query: The query that reads the users.
    """
    column = getattr(query.mapper.class_, query.key)
    key = _session().scalars(select(column).where(column.is_not(None)).limit(1)).first()
    _session().close()  # A request needs the connection, too.
    if key is None:
        return None
    return FoundUser(str(key), str(key), lambda: _load_entity(query, key))


def _find_key(query: ProfileQuery, columns: list[str], name: str) -> object:
    """Return the identity of the user who has a name as identity or in one of the columns."""
    with suppress(UserNotFoundError):
        return get_value(query.load(name), query.key)
    keys = _find_keys_by_columns(query, columns, name)
    if len(keys) == 1:
        return keys[0]
    owner = "Several users have" if keys else "No user has"
    raise click.ClickException(f"{owner} {name!r} as {', '.join(['identity', *columns])}.")


def _find_keys_by_columns(query: ProfileQuery, columns: list[str], text: str) -> Sequence[object]:
    if not columns or not is_storable(text):
        return []
    model = query.mapper.class_
    is_named = or_(*(getattr(model, column) == text for column in columns))
    keys = select(getattr(model, query.key)).where(is_named)
    try:
        return _session().scalars(keys).all()
    except Exception as error:
        if not lacks_character(error, text):
            raise
        _session().invalidate()
        return []


def _load_entity(query: ProfileQuery, key: object) -> object:
    model = query.mapper.class_
    users = select(model).where(getattr(model, query.key) == key)
    return _session().scalars(users).unique().one()


def _session() -> Session:
    return current_session(current_app.extensions["sqlalchemy"])
