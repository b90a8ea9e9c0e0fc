"""The type of the mixin's datetime columns: aware and in UTC on every database."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

# Their datetimes have no time zone, or depend on the time zone of the connection.
_DIALECTS_WITHOUT_TIME_ZONES = {"mariadb", "mysql", "sqlite"}


def as_utc(value: datetime, naive: tzinfo = timezone.utc) -> datetime:
    """Return a datetime in UTC.

    Args:
        value: The datetime.
        naive: The time zone of a naive datetime.
    """
    aware = value.replace(tzinfo=naive) if value.tzinfo is None else value
    return aware.astimezone(timezone.utc)


def stores_time_zone(type_: TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a column keeps the time zone of a datetime.

    For a type that decorates another one the result is true: it decides itself what it stores.
    """
    if not isinstance(type_, DateTime):
        return True
    return type_.timezone and dialect.name not in _DIALECTS_WITHOUT_TIME_ZONES


class UtcDateTimeType(TypeDecorator[datetime]):
    """A datetime that is aware and in UTC on every database.

    PostgreSQL has a type for it. The other databases store the date and time of UTC, MySQL and
    MariaDB with microseconds, so that the time zone of a server or connection does not matter.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def __init__(self) -> None:
        super().__init__()
        # Alembic renders a type as its module and repr(). With this module and the repr() below,
        # a migration names SQLAlchemy's own types, and does not need this package. Nothing but the
        # repr() can import MySQL's, which is not imported on other databases.
        self.__module__ = "sa"

    def __repr__(self) -> str:
        mysql = "__import__('sqlalchemy.dialects.mysql').dialects.mysql.DATETIME(fsp=6)"
        return f"DateTime(timezone=True).with_variant({mysql}, 'mysql', 'mariadb')"

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of a database."""
        if dialect.name not in {"mariadb", "mysql"}:
            return super().load_dialect_impl(dialect)
        # The import takes longer than that of this package, so it is not at the top of the module.
        from sqlalchemy.dialects.mysql import DATETIME

        return dialect.type_descriptor(DATETIME(fsp=6))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the value to store: UTC, and naive if the database has no time zones."""
        if value is None:
            return None
        utc = as_utc(value)
        return utc.replace(tzinfo=None) if dialect.name in _DIALECTS_WITHOUT_TIME_ZONES else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a stored datetime as aware UTC, for any time zone that the driver returns."""
        return None if value is None else as_utc(value)
