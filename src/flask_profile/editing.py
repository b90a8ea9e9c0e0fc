"""A change of the profile: what a merge patch says (RFC 7396), committed whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, Response, request
from marshmallow import RAISE, Schema, ValidationError, missing
from sqlalchemy import Column, Integer, UniqueConstraint, bindparam, literal, or_, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, StatementError
from sqlalchemy.sql.visitors import replacement_traverse
from werkzeug.exceptions import RequestEntityTooLarge

from .errors import (
    PATCH_TYPES,
    InvalidError,
    MediaTypeError,
    RefusalError,
    TooLargeError,
    UnacceptableError,
    UnreadableError,
    require_match,
)
from .queries import NOT_STORABLE, ProfileQuery, integer_limit
from .schemas import value_of
from .settings import ConfigurationError
from .signals import send

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.orm import Mapper, Session

_NOT_IN_SESSION = (
    "The user that the user_lookup_loader returns cannot be edited: it is none of db.session. "
    "In the loader, write:\n\n    return db.session.get(User, identity)"
)
_TAKEN = "A user with this value already exists."
_ATTEMPTS = 3
_OF_VALUES = {(1292,), (4025,)}  # MariaDB's, a wrong value and a CHECK; to PyMySQL operational.

_T = TypeVar("_T")

Changes = dict[str, tuple[object, object]]


def whole_body(broken: type[RefusalError]) -> bytes:
    """Return the request's body, or raise TooLargeError or what it is to raise for a broken one."""
    limit = request.max_content_length
    if request.content_length is None and limit is not None:
        # Werkzeug would cut a body of unknown length at its limit, without a word.
        request.max_content_length = limit + 1
    body = reading(request.get_data, broken)
    if limit is not None and len(body) > limit:
        raise TooLargeError
    return body


def reading(read: Callable[[], _T], broken: type[RefusalError]) -> _T:
    """Return what is read of the body; a server raises what it likes for a broken one."""
    try:
        return read()
    except RequestEntityTooLarge as error:
        raise TooLargeError from error
    except Exception as error:
        raise broken from error


def require_attribute(model: type, name: str, schema: Schema) -> None:
    """Raise ConfigurationError where a schema loads an attribute that the model lacks."""
    if value_of(model, name) is missing:
        message = (
            f"{type(schema).__name__} loads {name!r}, an attribute that {model.__name__} lacks. "
            f"Add the column to the model, or in {type(schema).__name__} write:\n\n"
            f"    {name} = …(dump_only=True)"
        )
        raise ConfigurationError(message)


class Editor:
    """Changes the rows of users through the host's session, as the schema admits."""

    def __init__(self, app: Flask, query: ProfileQuery, schema: Schema) -> None:
        self._app = app
        self._session: Callable[[], Session] = app.extensions["sqlalchemy"].session
        self._query = query
        self.schema = schema = type(schema)()  # Of its own, since it is given more validators.
        self._names = {f.attribute or n: f.data_key or n for n, f in schema.load_fields.items()}
        written = {*self._names.values()}
        shown = {field.data_key or name for name, field in schema.dump_fields.items()}
        related = {self._names.get(r.key, r.key) for r in query.mapper.relationships}
        self.read_only = (shown - written) | related
        for name, field in schema.load_fields.items():
            column = query.mapper.columns.get(field.attribute or name)
            field.validators = [*field.validators, self._storable(column)]
            if isinstance(column, Column):
                field.allow_none = field.allow_none and bool(column.nullable)

    def values(self) -> dict[str, object]:
        """Return the attributes that the request's body sets, or raise a RefusalError."""
        if request.mimetype not in PATCH_TYPES:
            raise MediaTypeError
        body = whole_body(UnreadableError)
        patch = reading(lambda: _loads(body), UnreadableError)
        if not isinstance(patch, dict):
            raise UnreadableError
        if "json" in self._app.config["JWT_TOKEN_LOCATION"]:
            patch.pop(self._app.config["JWT_JSON_KEY"], None)  # The token, not a field.
        messages: dict[str, Any] = {
            name: ["Read-only field."] for name in patch if name in self.read_only
        }
        writable = {name: value for name, value in patch.items() if name not in messages}
        values: dict[str, object] = {}
        try:
            values = cast("Any", self.schema.load(writable, partial=True, unknown=RAISE))
        except ValidationError as error:
            messages |= cast("Any", error).normalized_messages()
        if messages:
            raise InvalidError(messages)
        return values

    def change(
        self,
        identity: object,
        user: Any,
        values: Mapping[str, object],
        render: Callable[[Any], Response],
        undo: Callable[[], None] = lambda: None,
    ) -> tuple[Response, Changes]:
        """Set attributes of a user, commit, and return the new profile and what has changed.

        Raises a RefusalError or UserNotFoundError. ``undo`` is called before that and before any
        failure, but for one of the commit itself: nobody knows whether that was made.
        """
        session = self._session()
        try:
            response, changes = self._flushed(session, user, values, render)
        except Exception:
            session.rollback()
            undo()
            raise
        try:
            session.commit()
        except Exception:
            session.rollback()  # Or the connection would go back with what was not committed.
            raise
        if changes:
            send(self._app, identity, changes)
        return response, changes

    def _flushed(
        self, session: Session, user: Any, values: Mapping[str, object], render: Any
    ) -> tuple[Response, Changes]:
        key = value_of(user, self._query.key)
        is_entity = isinstance(user, self._query.mapper.class_)
        attempts = 1 if session.in_transaction() else _ATTEMPTS
        while True:
            attempts -= 1
            try:
                entity = self._query.locked(session, key)
                if is_entity and entity is not user:
                    raise ConfigurationError(_NOT_IN_SESSION)
                return self._applied(session, entity, values, render)
            except StatementError as error:
                session.rollback()
                if isinstance(error, IntegrityError):
                    messages = self._taken(session, key, values)
                    raise (InvalidError(messages) if messages else UnacceptableError()) from error
                if _refuses_values(error):
                    raise UnacceptableError from error
                if not (attempts and isinstance(error, OperationalError)):
                    raise
                # Else a deadlock, a lock that was not got or a connection that died: once more.

    def _applied(
        self, session: Session, user: Any, values: Mapping[str, object], render: Any
    ) -> tuple[Response, Changes]:
        response = render(user)
        require_match(response)
        before = {name: value_of(user, name) for name in values}  # Missing where none may be read.
        for name, value in values.items():
            require_attribute(type(user), name, self.schema)
            if before[name] is missing or before[name] != value:
                setattr(user, name, value)
        session.flush()
        # What the database has made of the values is what the next request will read.
        user = self._query.locked(session, value_of(user, self._query.key))
        after = {name: value_of(user, name) for name in values}
        changes: Changes = {
            n: (None, None) if before[n] is missing else (before[n], after[n])
            for n in values
            if before[n] is missing or before[n] != after[n]
        }
        return (render(user) if changes else response), changes

    def _storable(self, column: ColumnElement[Any] | None) -> Callable[[object], None]:
        """Return a validator for what the column can hold, in characters for text."""
        declared = None if column is None else column.type
        length = getattr(declared, "length", None)
        limit = 0
        if isinstance(declared, Integer):
            limit = integer_limit(declared, self._query.dialect)

        def validate(value: object) -> None:
            for part in _parts(value):
                if isinstance(part, str) and NOT_STORABLE.search(part):
                    raise ValidationError("Contains a character that cannot be stored.")
                if isinstance(part, float) and not isfinite(part):
                    raise ValidationError("Number too large.")
            if isinstance(value, str) and length and len(value) > length:
                raise ValidationError(f"Longer than maximum length {length}.")
            if limit and type(value) is int and not -limit <= value < limit:
                raise ValidationError("Number is out of range.")

        return validate

    def _taken(
        self, session: Session, key: object, values: Mapping[str, object]
    ) -> dict[str, list[str]]:
        """Return the fields whose new values another row has, where these have to be unique."""
        user = self._query.locked(session, key)
        mapper = self._query.mapper

        def valued(expression: Any, names: set[str]) -> Any:
            def replace(part: Any, **_: object) -> Any:
                if not isinstance(part, Column):
                    return None
                name = mapper.get_property_by_column(part).key
                names.add(name)
                value = values[name] if name in values else value_of(user, name)
                return bindparam(None, value, part.type)

            return cast("Any", replacement_traverse)(expression, {}, replace)

        connection = session.connection(self._query.writing(session))
        taken: dict[str, list[str]] = {}
        for table, expressions in _unique(mapper):
            names: set[str] = set()
            same = [expression == valued(expression, names) for expression in expressions]
            other = or_(*(column != valued(column, set()) for column in table.primary_key))
            found = select(literal(1)).select_from(table).where(*same, other).limit(1)
            if names & values.keys() and connection.scalar(found):
                taken |= {self._names.get(n, n): [_TAKEN] for n in values if n in names}
        return taken


def _refuses_values(error: StatementError) -> bool:
    """Tell whether the database, or the type of a column, does not take a value."""
    of_mariadb = getattr(error.orig, "args", ())[:1] in _OF_VALUES
    return of_mariadb or isinstance(error, DataError) or not isinstance(error, DBAPIError)


def _unique(mapper: Mapper[Any]) -> Iterator[tuple[Table, list[Any]]]:
    for table in cast("list[Table]", mapper.tables):
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                yield table, [*constraint.columns]
        for index in table.indexes:
            if index.unique:
                yield table, [*index.expressions]


def _parts(value: object) -> Iterator[object]:
    """Yield what a value of JSON is made of, the names in it too."""
    if isinstance(value, Mapping):
        value = [*value.items()]
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)
    else:
        yield value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of pairs; of two with one name nobody could say which is meant."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(pairs)
    return made


def _loads(body: bytes) -> object:
    return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)


def _no_number(constant: str) -> object:
    raise ValueError(constant)  # NaN and Infinity, which RFC 8259 does not have.
