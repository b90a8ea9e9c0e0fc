"""ProfileMixin: the columns of a user."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import String
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column

from .errors import ConfigurationError
from .types import UtcDateTimeType


def _now() -> datetime:
    return datetime.now(timezone.utc)


class ProfileMixin:
    """The columns of a profile, for your own user model.

    Add it to the bases of your model, before ``db.Model``. You can add columns, or override those
    of the mixin. If the primary key is not an integer, for example a UUID, ``id`` in the JSON is
    a string::

        class User(ProfileMixin, db.Model):
            password_hash: Mapped[str]

    Datetimes are aware and in UTC on every database. A naive datetime that you assign is taken as
    UTC.

    Raises:
        ConfigurationError: If a subclass is a ``MappedAsDataclass``, because SQLAlchemy cannot map
            it with columns of a class that is not a dataclass.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(150), unique=True)
    email: Mapped[str] = mapped_column(String(200), unique=True)
    first_name: Mapped[str] = mapped_column(String(200), default="")
    last_name: Mapped[str] = mapped_column(String(200), default="")
    number_phone: Mapped[str | None] = mapped_column(String(10))
    avatar: Mapped[str | None] = mapped_column(String(500))
    date_joined: Mapped[datetime] = mapped_column(UtcDateTimeType, default=_now)
    last_login: Mapped[datetime | None] = mapped_column(UtcDateTimeType)
    is_active: Mapped[bool] = mapped_column(default=True)
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_superuser: Mapped[bool] = mapped_column(default=False)

    if TYPE_CHECKING:  # Flask-SQLAlchemy's Model does not tell pyright what SQLAlchemy adds.

        def __init__(self, **values: object) -> None: ...

    def __init_subclass__(cls, **options: object) -> None:
        if issubclass(cls, MappedAsDataclass):
            message = (
                f"{cls.__name__} is a MappedAsDataclass, which cannot take columns from a class "
                "that is not a dataclass. Derive it from a base without MappedAsDataclass. Or "
                "declare the columns in it, without the ProfileMixin, and name it:\n\n"
                f'    app.config["PROFILE_USER_MODEL"] = {cls.__name__}'
            )
            raise ConfigurationError(message)
        super().__init_subclass__(**options)
