"""Read the columns of a user that the schema sends, in one SQL statement."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from marshmallow.utils import get_value
from sqlalchemy import Column, bindparam, select
from sqlalchemy.orm import joinedload, lazyload, load_only

from .charsets import lacks_character
from .connections import StatementReader
from .discovery import find_identity_attribute, find_user_model, require_visible_columns
from .errors import UserNotFoundError
from .identities import identity_parser
from .inspection import AttributeTree, inspect_schema
from .mapping import map_attribute
from .mentions import add_mentioned
from .settings import Settings

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from marshmallow import Schema
    from sqlalchemy.engine import Dialect, Engine, Result
    from sqlalchemy.orm import DeclarativeBase, Mapper, Session
    from sqlalchemy.orm.strategy_options import _AbstractLoad  # pyright: ignore[reportPrivateUsage]

_OTHER_USER = (
    "The database has returned another user than the one of the token. Do several processes share "
    "one connection? After a fork, call db.engine.dispose(close=False) in each of them."
)


class ProfileQuery:
    """The statement that reads a user, created once for an app, its model and a schema.

    It selects only the columns that the schema names. If the schema needs more than columns, it
    selects the entity with only the attributes that the schema needs. Then ``columns`` is empty.

    Args:
        db: The host's SQLAlchemy.
        schema: The schema that dumps the user.
        settings: The settings of the profile.

    Raises:
        ConfigurationError: If the app cannot serve a profile with these.
    """

    def __init__(self, db: SQLAlchemy, schema: Schema, settings: Settings) -> None:
        model = settings.user_model or find_user_model(db)
        require_visible_columns(model)
        self.mapper: Mapper[Any] = cast("type[DeclarativeBase]", model).__mapper__
        self.key = find_identity_attribute(self.mapper, settings.identity_field)
        active = map_attribute(schema, "is_active", model) if settings.require_active else None
        self._tree, functions = inspect_schema(schema, model, active)
        self._tree.setdefault(self.key, {})
        has_only_columns = {*self._tree} <= {*self.mapper.column_attrs.keys()}
        is_of_columns = has_only_columns and not functions and not _has_load_listeners(self.mapper)
        self.columns = [*self._tree] if is_of_columns else []
        if not is_of_columns:
            add_mentioned(self._tree, functions, model)
        self._statement = self._select_columns() if is_of_columns else self.select_entity
        self._reader = StatementReader(
            db, self.mapper, self._statement, self._take, selects_columns=is_of_columns
        )
        self.execute_in = self._reader.execute_in
        self.dialect: Dialect = self._reader.dialect
        self.parse = identity_parser(getattr(model, self.key).type, self.dialect)

    def load(self, identity: object) -> Any:
        """Return the user as a dict of columns or as an entity, or raise UserNotFoundError."""
        key = self.parse(identity)
        try:
            user = self._reader.fetch({"identity": key})
        except Exception as error:
            if isinstance(key, str) and lacks_character(error, key):
                raise UserNotFoundError from error
            raise
        return self.require_same_key(user, identity)

    def find_lean_engine(self) -> Engine | None:
        """Return the engine of the users, if the request has no session and needs none to read."""
        return self._reader.find_lean_engine()

    def load_columns(self, session: Session, key: object, *, bind: Any) -> Any:
        """Return the columns of an existing user, as the transaction of a session sees them.

        Args:
            session: The session.
            key: The value of the identity attribute.
            bind: The engine or connection that the session uses for it.
        """
        return self._take(self.execute_in(session, self._statement, {"identity": key}, bind=bind))

    def require_same_key(self, user: Any, identity: object) -> Any:
        """Return a user if it has exactly this identity.

        Raises:
            UserNotFoundError: If there is no user, or the collation of the column has found
                "ALICE " for "alice".
            RuntimeError: If the user has another number. Where processes share a connection by
                mistake, its results are those of other requests.
        """
        if user is None:
            raise UserNotFoundError
        key = get_value(user, self.key)
        if isinstance(key, (str, uuid.UUID)) and str(key) != identity:
            raise UserNotFoundError
        if isinstance(key, int) and str(key) != str(identity):
            raise RuntimeError(_OTHER_USER)
        return user

    @cached_property
    def refreshed(self) -> set[str]:
        """The attributes that ``select_entity`` loads, and some that are not columns."""
        always = (*self.mapper.primary_key, self.mapper.polymorphic_on, self.mapper.version_id_col)
        columns = [column for column in always if isinstance(column, Column)]
        keys = {self.mapper.get_property_by_column(column).key for column in columns}
        return {_resolve(self.mapper, name) for name in self._tree} | keys

    @cached_property
    def select_entity(self) -> Any:
        """The SELECT of the entity with the attributes that the schema needs."""
        options = _loading_options(self.mapper, self._tree)
        return select(self.mapper.class_).options(*options).where(self._has_identity())

    def _select_columns(self) -> Any:
        model = self.mapper.class_
        columns: Any = select(*(getattr(model, name).label(name) for name in self.columns))
        return columns.where(self._has_identity())

    def _has_identity(self) -> Any:
        key = getattr(self.mapper.class_, self.key)
        return key == bindparam("identity", type_=key.type)

    def _take(self, result: Result[Any]) -> Any:
        if not self.columns:
            return result.unique().scalars().one_or_none()
        row = result.one_or_none()
        return row and dict(zip(self.columns, row, strict=True))


def _resolve(mapper: Mapper[Any], name: str) -> str:
    """Return the attribute that a synonym stands for, or the name itself."""
    return mapper.synonyms[name].name if name in mapper.synonyms else name


def _has_load_listeners(mapper: Mapper[Any]) -> bool:
    """Tell whether the host listens to the loading of entities, for example to decrypt columns."""
    events: Any = mapper.class_manager.dispatch
    return bool(events.load or events.refresh)


def _loading_options(mapper: Mapper[Any], tree: AttributeTree) -> Iterator[_AbstractLoad]:
    """Yield the options with which one statement loads a tree of attributes, and nothing else."""
    yield lazyload("*")
    entity = mapper.class_
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    names = {_resolve(mapper, name) for name in [*tree, *keys]}
    if tree:
        yield load_only(*(getattr(entity, name) for name in names if name in mapper.column_attrs))
    for related in mapper.relationships:
        if related.key in tree and related.lazy not in {"dynamic", "write_only"}:
            options: Any = _loading_options(related.mapper, tree[related.key])
            yield joinedload(getattr(entity, related.key)).options(*options)
