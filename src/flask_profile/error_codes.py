"""The error codes of databases, as each driver has them."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.exc import DBAPIError

_SQLITE_BUSY = 5


def error_code(error: BaseException) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL, or the number of MariaDB, MySQL or SQLite."""
    if not isinstance(error, DBAPIError):
        return None
    original = error.orig
    first: Any = next(iter(getattr(original, "args", ())), None)
    if isinstance(first, int):  # PyMySQL and others, which may have an SQLSTATE too.
        return first
    for name in ("sqlstate", "pgcode", "sqlite_errorcode"):  # psycopg, psycopg2, sqlite3.
        code: Any = getattr(original, name, None)
        if code is not None:
            return cast("str | int", code)
    if isinstance(first, dict):
        return cast("str | None", first.get("C"))  # pg8000.
    if first == "database is locked":  # Before Python 3.11, errors of sqlite3 have no code.
        return _SQLITE_BUSY
    return None
