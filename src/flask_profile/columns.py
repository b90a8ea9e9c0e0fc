"""The limits of columns, and the validators that check them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError, fields, validate
from sqlalchemy import BigInteger, Column, Enum, Integer, SmallInteger, Uuid
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.types import TypeDecorator

from .fields import UtcDateTime
from .types import stores_time_zone

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.orm import Mapper
    from sqlalchemy.types import TypeEngine

# The message for a refused value that has no message of its own.
NOT_VALID = "Not a valid value."
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Tell whether databases can store a text. None can store NUL or lone surrogates."""
    return not _NOT_STORABLE.search(text)


def integer_limit(type_: TypeEngine[Any], dialect: Dialect) -> int:
    """Return the lowest positive integer that is too large for a column.

    SQLite stores all integers in the same size.
    """
    is_large = dialect.name == "sqlite" or isinstance(type_, BigInteger)
    bits = 63 if is_large else 15 if isinstance(type_, SmallInteger) else 31
    return 1 << (bits + bool(getattr(type_, "unsigned", False)))


def stored_type(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the database's own type of a column, without the types that decorate it."""
    stored = type_.dialect_impl(dialect)
    while isinstance(stored, TypeDecorator):
        stored = stored.impl_instance
    return stored


def is_hybrid(mapper: Mapper[Any], attribute: str) -> bool:
    """Tell whether an attribute of a model is a hybrid property."""
    return isinstance(mapper.all_orm_descriptors.get(attribute), hybrid_property)


def find_column(mapper: Mapper[Any], attribute: str) -> Any:
    """Return the column that an attribute of a model reads, or None.

    A synonym and a hybrid property may read one, too.
    """
    while attribute in mapper.synonyms:
        attribute = mapper.synonyms[attribute].name
    if not is_hybrid(mapper, attribute):
        return mapper.columns.get(attribute)
    with suppress(Exception):  # The code of the host may fail to build SQL.
        expression = getattr(mapper.class_, attribute).__clause_element__()
        return next(column for column in mapper.columns if column.shares_lineage(expression))
    return None


def accepts(type_: TypeEngine[Any], dialect: Dialect, value: object) -> bool:
    """Tell whether a type can bind a value. This may execute code of the host."""
    process = type_.dialect_impl(dialect).bind_processor(dialect)
    try:
        _ = process(value) if process else value
    except Exception:
        return False
    return True


def limit_to_column(field: fields.Field[Any], column: object, dialect: Dialect) -> None:
    """Make a field load only values that its column can hold.

    Args:
        field: The field, to which validators are added.
        column: The column or expression of the field in the mapper, or None.
        dialect: The dialect of the database that is written.
    """
    limits: list[validate.Validator] = [Storable()]
    type_ = getattr(column, "type", None)
    length = getattr(type_, "length", None)
    if length:
        limits.append(TextLength(max=length))
    if isinstance(type_, Integer):
        limit = integer_limit(type_, dialect)
        limits.append(IntegerRange(min=-limit, max=limit - 1))
    if isinstance(type_, Enum):
        limits.append(EnumName(type_.enums))
    if isinstance(type_, Uuid):
        limits.append(UuidText())
    if isinstance(field, UtcDateTime) and type_ is not None:
        field.loads_naive = not stores_time_zone(type_, dialect)
    if isinstance(column, Column):
        field.allow_none = field.allow_none and bool(column.nullable)
    field.validators = [*field.validators, *limits]


class Storable(validate.Validator):
    """Refuses text and numbers that no database can hold, inside lists and objects too."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise ValidationError."""
        for part in _parts(value):
            if isinstance(part, str) and not is_storable(part):
                raise ValidationError("Contains a character that cannot be stored.")
            if isinstance(part, float) and not isfinite(part):
                raise ValidationError(fields.Number.default_error_messages["too_large"])
        return value


class TextLength(validate.Length):
    """The length of a text in characters. Other values pass."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise ValidationError."""
        return super().__call__(value) if isinstance(value, str) else value


class IntegerRange(validate.Range):
    """The range of an integer. Other values pass."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise ValidationError."""
        return super().__call__(value) if type(value) is int else value


class EnumName(validate.OneOf):
    """The names of an enum, which SQLAlchemy would check only on a read. Other values pass."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise ValidationError."""
        return super().__call__(value) if isinstance(value, str) else value


class UuidText(validate.Validator):
    """Refuses a text that is not a UUID. Some drivers leave that check to the server."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise ValidationError."""
        try:
            _ = uuid.UUID(value) if isinstance(value, str) else value
        except ValueError:
            raise ValidationError(fields.UUID.default_error_messages["invalid_uuid"]) from None
        return value


def _parts(value: object) -> Iterator[object]:
    """Yield the values in a JSON value, including the names in its objects."""
    if isinstance(value, Mapping):
        value = [*value.items()]
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)
    else:
        yield value
