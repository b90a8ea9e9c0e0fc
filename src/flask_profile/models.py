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

    Mix it into a model of your ``SQLAlchemy``, and add or override columns as in any mixin. With
    another primary key than an integer, such as a UUID, ``id`` in the JSON is a string::

        class User(ProfileMixin, db.Model):
            password_hash: Mapped[str]

    Datetimes are aware and in UTC on every database; a naive one is taken to be UTC.

    Raises:
        ConfigurationError: When a subclass is a ``MappedAsDataclass``, which SQLAlchemy cannot
            map with columns of a class that is not a dataclass.
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
                f"{cls.__name__} is a MappedAsDataclass, which takes no columns from a class that "
                "is not a dataclass. Derive it from a base without MappedAsDataclass, or declare "
                "its columns in it, without the ProfileMixin, and name it:\n\n"
                f'    app.config["PROFILE_USER_MODEL"] = {cls.__name__}'
            )
            raise ConfigurationError(message)
        super().__init_subclass__(**options)
