"""Convert the identity in a token to a value that the database can compare with its column."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Uuid

from .columns import integer_limit, is_storable, stored_type
from .errors import ConfigurationError, UserNotFoundError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

_Converter = Callable[[str], Any]


def identity_parser(declared: TypeEngine[Any], dialect: Dialect) -> Callable[[object], object]:
    """Return a function that converts an identity to the column's value.

    The function raises UserNotFoundError for an identity that no user can have. Tokens contain
    text for a column of any type, and a database may fail for a value of another type. So only
    the canonical text of a value may match a user: ``" 1"`` is not user 1.

    Args:
        declared: The type of the column.
        dialect: The dialect of the database that is read.

    Raises:
        ConfigurationError: If the type is neither integers, text nor UUIDs.
    """
    stored = stored_type(declared, dialect)
    convert = _converter(declared, stored)
    limit = integer_limit(stored, dialect)
    process = declared.dialect_impl(dialect).bind_processor(dialect)

    def parse(identity: object) -> object:
        text = str(identity) if convert is int and type(identity) is int else identity
        if not isinstance(text, str) or not is_storable(text):
            raise UserNotFoundError
        try:
            value = convert(text)
            parameter = process(value) if process else value  # A type of the host may refuse it.
        except (ValueError, TypeError, LookupError, ArithmeticError):
            raise UserNotFoundError from None
        is_in_range = not isinstance(parameter, int) or -limit <= parameter < limit
        if str(value) != text or not is_in_range:
            raise UserNotFoundError
        return value

    return parse


def _converter(declared: TypeEngine[Any], stored: TypeEngine[Any]) -> _Converter:
    supported: dict[Any, _Converter] = {int: int, str: str, uuid.UUID: uuid.UUID}
    if isinstance(stored, Uuid):
        supported[str] = _canonical_uuid
    for type_ in (declared, stored):
        python_type = _python_type(type_)
        if python_type in supported:
            return supported[python_type]
    message = (
        f"A column of the type {declared!r} cannot identify the user of a token. The column must "
        "have integers, text or UUIDs, or its type must have one of these as its python_type. To "
        'use another column:\n\n    app.config["PROFILE_IDENTITY_FIELD"] = "…"'
    )
    raise ConfigurationError(message)


def _python_type(type_: TypeEngine[Any]) -> Any:
    try:
        return type_.python_type
    except NotImplementedError:
        return None


def _canonical_uuid(text: str) -> str:
    return str(uuid.UUID(text))
