"""Autocommit for one statement on PostgreSQL, which saves BEGIN and ROLLBACK: two round trips."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

# The drivers that switch to autocommit without sending anything, and their READ ONLY attribute.
_READ_ONLY_ATTRIBUTES = {"psycopg": "read_only", "psycopg2": "readonly"}


def may_use_autocommit(engine: Engine) -> bool:
    """Tell whether the host has configured nothing for an engine that may need a transaction.

    A listener may execute ``SET LOCAL``, and the execution option ``stream_results`` opens a cursor
    that ends with its transaction. ``_has_events`` is true if anything listens to the engine.
    """
    dialect = engine.dialect
    if dialect.name != "postgresql" or dialect.driver not in _READ_ONLY_ATTRIBUTES:
        return False
    has_events: bool = engine._has_events  # pyright: ignore[reportPrivateUsage]
    return not has_events and not engine.get_execution_options()


@contextmanager
def autocommit(connection: Connection) -> Generator[None]:
    """Use no transaction in the ``with`` block, if that is certain to be safe.

    This is set on the connection of the driver, which returns to the pool unchanged. SQLAlchemy's
    option for it would not restore an isolation level that the host has set there.
    """
    driver: Any = connection.connection.driver_connection
    if not _try_autocommit(driver, _READ_ONLY_ATTRIBUTES[connection.dialect.driver]):
        yield
        return
    is_psycopg = hasattr(driver, "prepare_threshold")
    threshold = driver.prepare_threshold if is_psycopg else None
    try:
        if is_psycopg:
            # Behind a pooler, the next statement may reach a server where it was not prepared.
            driver.prepare_threshold = None
        yield
    finally:
        try:
            if is_psycopg:
                driver.prepare_threshold = threshold
            driver.autocommit = False
        except Exception:  # It is closed or still busy.
            connection.invalidate()


def _try_autocommit(driver: Any, read_only: str) -> bool:
    """Set autocommit if the connection of the driver has no transaction and default settings.

    Settings such as SERIALIZABLE apply only in a transaction. For a closed connection nothing is
    set: the error of the statement tells SQLAlchemy that it is closed.
    """
    settings = (driver.isolation_level, driver.deferrable, getattr(driver, read_only))
    if driver.autocommit or settings != (None, None, None):
        return False
    with suppress(Exception):  # The driver refuses this within a transaction.
        driver.autocommit = True
    return bool(driver.autocommit)
