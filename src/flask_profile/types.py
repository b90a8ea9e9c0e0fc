"""The type of the mixin's datetime columns: aware and in UTC on every database."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import DateTime
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

# These have no datetime with a time zone, or one that depends on the zone of the connection.
_DIALECTS_WITHOUT_TIME_ZONES = {"mariadb", "mysql", "sqlite"}


def as_utc(value: datetime) -> datetime:
    """Return a datetime in UTC; a naive one is taken to be UTC already."""
    if value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


class UtcDateTimeType(TypeDecorator[datetime]):
    """A datetime that is aware and in UTC on every database.

    PostgreSQL has a type for it. The other databases store the date and time of UTC, MySQL and
    MariaDB with microseconds, so that the time zone of a server or connection does not matter.
    """

    impl = DateTime(timezone=True).with_variant(DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def __init__(self) -> None:
        super().__init__()
        # Alembic renders a type as its module and repr(). With this module and the repr() below,
        # a migration names SQLAlchemy's own types, and does not need this package.
        self.__module__ = "sa"

    def __repr__(self) -> str:
        mysql = "sa.dialects.mysql.DATETIME(fsp=6)"
        return f"DateTime(timezone=True).with_variant({mysql}, 'mysql', 'mariadb')"

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what is stored: UTC, naive where the database has no time zones."""
        if value is None:
            return None
        utc = as_utc(value)
        return utc.replace(tzinfo=None) if dialect.name in _DIALECTS_WITHOUT_TIME_ZONES else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a stored datetime as aware UTC, whichever time zone the driver returns."""
        return None if value is None else as_utc(value)
