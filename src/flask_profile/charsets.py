"""Whether a database fails since its charset, or that of a column, lacks a character."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError

from .error_codes import error_code

# What MariaDB and MySQL raise where they compare a column with such a text.
_CODES_OF_MYSQL = {1267, 3988}


def lacks_character(error: Exception, text: str) -> bool:
    """Tell whether a statement has failed since a text cannot be compared with a column.

    The driver or the server raises this, by the charset of the connection or the column.

    Args:
        error: What the execution of the statement raised.
        text: The only parameter of the statement.
    """
    if text.isascii():
        return False
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError) or error_code(error) in _CODES_OF_MYSQL
    return isinstance(error, UnicodeEncodeError)
