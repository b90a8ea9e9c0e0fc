"""From an identity to what the schema sends of its user, in one SQL statement."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import BigInteger, Engine, SmallInteger, Uuid, bindparam, false, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import joinedload, lazyload, load_only
from sqlalchemy.types import TypeDecorator

from .models import ProfileMixin
from .schemas import Tree, add_mentioned, attributes_read, value_of
from .settings import ConfigurationError, Settings

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from marshmallow import Schema
    from sqlalchemy.engine import Connection, Dialect, Result
    from sqlalchemy.orm import DeclarativeBase, Mapper, Session
    from sqlalchemy.orm.strategy_options import _AbstractLoad  # pyright: ignore[reportPrivateUsage]
    from sqlalchemy.types import TypeEngine

NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


class UserNotFoundError(Exception):
    """No user of the database has the identity."""


class ProfileQuery:
    """The one statement that reads a user, made once for an app, its model and a schema.

    It selects the columns that the schema names; where the schema has fields that no column
    answers, the entity with just the attributes that it needs (then ``columns`` is empty).
    """

    def __init__(self, db: SQLAlchemy, schema: Schema, settings: Settings) -> None:
        model = settings.user_model or _only_model(db)
        _refuse_hidden_columns(model)
        self._session = db.session
        self._unused = db.session.session_factory()
        self._finds_binds = type(self._unused).get_bind is not FlaskSession.get_bind
        self.mapper: Mapper[Any] = cast("type[DeclarativeBase]", model).__mapper__
        self.key = _key(self.mapper, settings.identity_field)
        tree, functions = attributes_read(schema, model, settings)
        tree.setdefault(self.key, {})
        of_columns = not functions and {*tree} <= {*self.mapper.column_attrs.keys()}
        self.columns = [*tree] if of_columns else []
        if not of_columns:
            add_mentioned(tree, functions, model)
        self._tree = tree
        key = getattr(model, self.key)
        self._is_named = key == bindparam("identity", type_=key.type)
        columns: Any = select(*(getattr(model, name).label(name) for name in self.columns))
        self._statement = columns.where(self._is_named) if of_columns else self._entity
        self.dialect = self._bind(self._present()).dialect
        self._parse = identity_parser(key.type, self.dialect)

    @cached_property
    def _entity(self) -> Any:
        options = _loading(self.mapper, self._tree)
        return select(self.mapper.class_).options(*options).where(self._is_named)

    @cached_property
    def _locking(self) -> Any:
        return self._entity.with_for_update(of=self.mapper.class_)

    @cached_property
    def _nothing(self) -> Any:
        """An UPDATE of no row: where it goes is where a change of a user will."""
        table: Any = self.mapper.local_table
        column = self.mapper.primary_key[0].name
        return update(table).where(false()).values({column: table.c[column]})

    def load(self, identity: object) -> Any:
        """Return the user, as a mapping of columns or as an entity, or raise UserNotFoundError."""
        return self._named(identity, self._read({"identity": self._parse(identity)}))

    def locked(self, session: Session, key: object) -> Any:
        """Return the user of a key as an entity, whose row no other transaction can change.

        Raises UserNotFoundError. It is read where it will be written, not from a replica.
        """
        arguments = self.writing(session)
        if self.dialect.name == "sqlite":  # It has no FOR UPDATE; to write takes its one lock.
            session.execute(self._nothing, bind_arguments=arguments)
        rows = session.execute(
            self._locking,
            {"identity": key},
            execution_options={"populate_existing": True},
            bind_arguments=arguments,
        )
        return self._named(str(key), rows.unique().scalars().one_or_none())

    def writing(self, session: Session) -> dict[str, Any]:
        """Return the bind arguments of what has to see, or to lock, what will be written."""
        return {"bind": session.get_bind(mapper=self.mapper, clause=self._nothing)}

    def _named(self, identity: object, user: Any) -> Any:
        key = value_of(user, self.key)
        # A collation may find more than it was asked for: "ALICE " where alice is meant.
        if user is None or (isinstance(key, (str, uuid.UUID)) and str(key) != identity):
            raise UserNotFoundError
        return user

    def _read(self, parameters: dict[str, object]) -> Any:
        untouched = not self._present().in_transaction()
        try:
            return self._execute(parameters)
        except DBAPIError as error:
            if not (untouched and error.connection_invalidated):
                raise
        # The connection died while it was idle in the pool, which is fresh now: ask once more.
        self._present().rollback()
        return self._execute(parameters)

    def _present(self) -> Session:
        """Return the request's session, or one that stands for any that it could make.

        To make one for each request would cost more than all that is asked of it. Where the
        host's sessions find their binds in a way of their own, each request has to.
        """
        exists = self._finds_binds or self._session.registry.has()
        return self._session() if exists else self._unused

    def _execute(self, parameters: dict[str, object]) -> Any:
        present = self._present()
        of_the_host = _is_the_hosts(present)
        if self.columns and not of_the_host:
            bind = self._bind(present)
            if isinstance(bind, Engine):
                with bind.connect() as connection:
                    _spare_round_trips(connection)
                    return self._one(connection.execute(self._statement, parameters))
        session = self._session()
        try:
            return self._one(session.execute(self._statement, parameters))
        finally:
            transaction = session.get_transaction()
            if transaction is not None and not of_the_host:
                transaction.close()  # Its connection may die before the host's teardown does it.

    def _one(self, rows: Result[Any]) -> Any:
        if not self.columns:
            return rows.unique().scalars().one_or_none()
        row = rows.one_or_none()
        return row and dict(zip(self.columns, row, strict=True))

    def _bind(self, session: Session) -> Any:
        return session.get_bind(mapper=self.mapper, clause=self._statement)


def _is_the_hosts(session: Session) -> bool:
    """Tell whether the session has to read itself, in a transaction that is the host's.

    It has to where it holds a connection (a second one could exhaust the pool, and would not
    see the transaction) and where the host listens to what it executes or begins.
    """
    events: Any = session.dispatch
    return bool(session.in_transaction() or events.do_orm_execute or events.after_begin)


def _spare_round_trips(connection: Connection) -> None:
    """Do without BEGIN and ROLLBACK, on PostgreSQL a round trip each, where nobody misses them."""
    engine = connection.engine
    if engine.dialect.name == "postgresql" and not engine.dispatch.begin:
        with suppress(engine.dialect.loaded_dbapi.Error):  # It is in one, or dead: executing tells.
            connection.execution_options(isolation_level="AUTOCOMMIT")


def _only_model(db: SQLAlchemy) -> type:
    models = [mapper.class_ for mapper in cast("type[DeclarativeBase]", db.Model).registry.mappers]
    users = [
        model
        for model in models
        if issubclass(model, ProfileMixin) and not any(base in models for base in model.__mro__[1:])
    ]
    if len(users) == 1:
        return users[0]
    names = sorted(f"{user.__module__}:{user.__qualname__}" for user in users)
    message = (
        f"Several models have the ProfileMixin: {', '.join(names)}. Name the one to serve:\n\n"
        f'    app.config["PROFILE_USER_MODEL"] = "{names[0]}"'
        if names
        else "No model of this app's SQLAlchemy has the ProfileMixin. Add it to your user model, "
        "in a module that is imported before the first request:\n\n"
        "    class User(ProfileMixin, db.Model): ..."
    )
    raise ConfigurationError(message)


def _refuse_hidden_columns(model: type) -> None:
    """Refuse a class before the mixin that hides a column: Flask-Login's calls all users active."""
    for name in ProfileMixin.__annotations__ if issubclass(model, ProfileMixin) else ():
        owner = next(base for base in model.__mro__ if name in vars(base))
        if not issubclass(owner, ProfileMixin):
            message = (
                f"{owner.__name__} hides the column {name!r} of {model.__name__}. Name the "
                "ProfileMixin first:\n\n"
                f"    class {model.__name__}(ProfileMixin, {owner.__name__}, db.Model): ..."
            )
            raise ConfigurationError(message)


def _key(mapper: Mapper[Any], identity_field: str | None) -> str:
    model = mapper.class_.__name__
    if identity_field is None and len(mapper.primary_key) == 1:
        return mapper.get_property_by_column(mapper.primary_key[0]).key
    if identity_field is not None and identity_field in mapper.column_attrs:
        return identity_field
    message = (
        f"The primary key of {model} has several columns."
        if identity_field is None
        else f"PROFILE_IDENTITY_FIELD is {identity_field!r}, which is no column of {model}."
    )
    columns = ", ".join(mapper.column_attrs.keys())
    message += (
        f" Name the column that identifies a user, one of {columns}:\n\n"
        '    app.config["PROFILE_IDENTITY_FIELD"] = "…"'
    )
    raise ConfigurationError(message)


def _loading(mapper: Mapper[Any], tree: Tree) -> Iterator[_AbstractLoad]:
    """Yield the options by which one statement loads the tree, and nothing of the rest."""
    yield lazyload("*")
    entity = mapper.class_
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    names = {mapper.synonyms[n].name if n in mapper.synonyms else n for n in [*tree, *keys]}
    if tree:
        yield load_only(*(getattr(entity, name) for name in names if name in mapper.column_attrs))
    for related in mapper.relationships:
        if related.key in tree and related.lazy not in {"dynamic", "write_only"}:
            options: Any = _loading(related.mapper, tree[related.key])
            yield joinedload(getattr(entity, related.key)).options(*options)


def identity_parser(declared: TypeEngine[Any], dialect: Dialect) -> Callable[[object], object]:
    """Return what turns an identity into a value that the database can compare with a key.

    Tokens carry text whatever the key's type is, and a database may raise an error for a value
    that is not of its type: whatever is not the canonical text of such a value is no user.
    """
    actual = declared.dialect_impl(dialect)
    stored = actual
    while isinstance(stored, TypeDecorator):
        stored = stored.impl_instance
    kinds = (_python_type(declared), _python_type(stored))
    convert: Any = next((kind for kind in kinds if kind in {int, str, uuid.UUID}), None)
    if convert is str and isinstance(stored, Uuid):
        convert = _uuid_text
    if convert is None:
        message = (
            f"Identities cannot be read as {declared!r}: PROFILE_IDENTITY_FIELD must name a column "
            "of integers, text or UUIDs, or the type must have a python_type of these."
        )
        raise ConfigurationError(message)
    limit = integer_limit(stored, dialect)
    process = actual.bind_processor(dialect)

    def parse(identity: object) -> object:
        text = str(identity) if convert is int and type(identity) is int else identity
        if not isinstance(text, str) or NOT_STORABLE.search(text):
            raise UserNotFoundError
        try:
            value: Any = convert(text)
            bound = process(value) if process else value  # Which the host's own type may refuse.
        except (ValueError, TypeError, LookupError, ArithmeticError):
            raise UserNotFoundError from None
        if str(value) != text or (isinstance(bound, int) and not -limit <= bound < limit):
            raise UserNotFoundError
        return value

    return parse


def _python_type(type_: TypeEngine[Any]) -> type | None:
    try:
        return type_.python_type
    except NotImplementedError:
        return None


def _uuid_text(text: str) -> str:
    return str(uuid.UUID(text))


def integer_limit(stored: TypeEngine[Any], dialect: Dialect) -> int:
    """Return the first integer beyond the column's range; SQLite has one range for all."""
    large = dialect.name == "sqlite" or isinstance(stored, BigInteger)
    bits = 63 if large else 15 if isinstance(stored, SmallInteger) else 31
    return 1 << (bits + bool(getattr(stored, "unsigned", False)))
