"""ProfileMixin, the columns of a user, and the type of its points in time."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, String
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column
from sqlalchemy.types import TypeDecorator

from .settings import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


def as_utc(value: datetime) -> datetime:
    """Return the same point in time in UTC; a naive value is taken to be UTC already."""
    if value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


_ZONELESS = {"mariadb", "mysql", "sqlite"}


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, aware and in UTC on every database.

    PostgreSQL has a type for it; the others keep the UTC date and time, on MySQL and
    MariaDB with microseconds, so that no time zone of a server or connection counts.
    """

    impl = DateTime(timezone=True).with_variant(DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def __init__(self) -> None:
        super().__init__()
        # Alembic writes a type as its module and repr: this one's columns are migrated by
        # SQLAlchemy's own types, so that a migration neither imports nor needs this package.
        self.__module__ = "sa"

    def __repr__(self) -> str:
        mysql = "sa.dialects.mysql.DATETIME(fsp=6)"
        return f"DateTime(timezone=True).with_variant({mysql}, 'mysql', 'mariadb')"

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand UTC to the database: aware where it keeps that, else naive."""
        if value is None:
            return None
        utc = as_utc(value)
        return utc.replace(tzinfo=None) if dialect.name in _ZONELESS else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Make aware UTC of what the database answers, in whichever zone that is."""
        return None if value is None else as_utc(value)


def _now() -> datetime:
    return datetime.now(timezone.utc)


class ProfileMixin:
    """The columns of a profile, for a host's own user model.

    A host mixes it into a model of its ``SQLAlchemy`` and adds or overrides columns as in any
    mixin, the key included (where that is no integer, such as a UUID, ``id`` in the JSON is a
    string)::

        class User(ProfileMixin, db.Model):
            password_hash: Mapped[str]

    Points in time are aware and UTC on every database; a naive one is taken as UTC.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(150), unique=True)
    email: Mapped[str] = mapped_column(String(200), unique=True)
    first_name: Mapped[str] = mapped_column(String(200), default="")
    last_name: Mapped[str] = mapped_column(String(200), default="")
    number_phone: Mapped[str | None] = mapped_column(String(10))
    avatar: Mapped[str | None] = mapped_column(String(500))
    date_joined: Mapped[datetime] = mapped_column(UtcDateTime, default=_now)
    last_login: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_active: Mapped[bool] = mapped_column(default=True)
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_superuser: Mapped[bool] = mapped_column(default=False)

    if TYPE_CHECKING:  # Flask-SQLAlchemy's Model does not tell pyright what SQLAlchemy adds.

        def __init__(self, **values: object) -> None: ...

    def __init_subclass__(cls, **options: object) -> None:
        if issubclass(cls, MappedAsDataclass):
            message = (
                f"{cls.__name__} is a MappedAsDataclass, which takes no columns from a class that "
                "is none. Derive it from a base without MappedAsDataclass; or declare its columns "
                "in it, without the ProfileMixin, and name it:\n\n"
                f'    app.config["PROFILE_USER_MODEL"] = {cls.__name__}'
            )
            raise ConfigurationError(message)
        super().__init_subclass__(**options)
