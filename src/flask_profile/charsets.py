"""Detect that a charset of the database lacks a character of a text."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError

from .error_codes import error_code

# The errors of MariaDB and MySQL when they compare a column with such a text.
_CODES_OF_MYSQL = {1267, 3988}


def lacks_character(error: Exception, text: str) -> bool:
    """Tell whether a statement has failed because a text cannot be compared with a column.

    The driver or the server raises this if the charset of the connection or the column lacks a
    character.

    Args:
        error: The exception that the execution of the statement raised.
        text: The only parameter of the statement.
    """
    if text.isascii():
        return False
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError) or error_code(error) in _CODES_OF_MYSQL
    return isinstance(error, UnicodeEncodeError)
