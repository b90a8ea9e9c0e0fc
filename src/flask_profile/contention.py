"""Errors that other transactions cause, and how long an edit tries again after them."""

from __future__ import annotations

import random
import time

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from .error_codes import error_code

# The codes of PostgreSQL (SQLSTATE), of MariaDB and MySQL, and of SQLite.
_CONFLICTS = {
    *("40001", "40P01"),  # Serialization failure, deadlock.
    *(1213, 1020),  # Deadlock, snapshot conflict.
    517,  # Snapshot conflict (SQLITE_BUSY_SNAPSHOT).
}
_TIMEOUTS = {
    *("55P03", "57014"),  # Lock timeout, statement timeout.
    1205,  # Lock timeout.
    *(5, 6, 261, 773),  # "database is locked" (SQLITE_BUSY and its kinds, SQLITE_LOCKED).
}
_SECONDS = 3
_FIRST_DELAY, _LONGEST_DELAY = 0.01, 0.5


def is_conflict(error: BaseException) -> bool:
    """Tell whether a transaction was rolled back because it conflicts with others."""
    return error_code(error) in _CONFLICTS


def is_contention(error: BaseException) -> bool:
    """Tell whether the database or the connection pool is too busy."""
    code = error_code(error)
    return code in _CONFLICTS or code in _TIMEOUTS or isinstance(error, PoolTimeoutError)


class Backoff:
    """Waits between the attempts of one edit: exponential back-off with full jitter."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + _SECONDS
        self._longest = _FIRST_DELAY

    def wait(self) -> bool:
        """Wait before another attempt, or return False if the time for attempts is over."""
        if time.monotonic() >= self._deadline:
            return False
        time.sleep(random.uniform(0, self._longest))  # noqa: S311  # Not for a secret.
        self._longest = min(2 * self._longest, _LONGEST_DELAY)
        return True
