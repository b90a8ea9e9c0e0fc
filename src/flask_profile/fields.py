"""The marshmallow fields of a profile: primary keys, datetimes in UTC, URLs of stored files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from flask import current_app
from marshmallow import fields

from .settings import Settings
from .types import as_utc

if TYPE_CHECKING:
    from marshmallow.fields import _BaseFieldKwargs  # pyright: ignore[reportPrivateUsage]
    from typing_extensions import Unpack

__all__ = ["Identifier", "MediaUrl", "UtcDateTime"]

# The prefix of the profile that is being dumped, also for nested schemas.
registered_media_url: ContextVar[str | None] = ContextVar("registered_media_url", default=None)
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)?",
    re.ASCII | re.IGNORECASE,
)
_ABSOLUTE_PATH_OR_URL = re.compile(r"/|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Identifier(fields.Field[Any]):
    """A primary key: an integer is sent as an integer, any other type (UUID, …) as a string.

    If PATCH is enabled, the field must be ``dump_only``::

        id = Identifier(attribute="uuid", dump_only=True)
    """

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> int | str | None:
        return value if value is None or isinstance(value, int) else str(value)


class UtcDateTime(fields.AwareDateTime):
    """A datetime in UTC (RFC 3339): ``2024-01-15T10:30:00Z``, with a fraction if it has one.

    It loads any RFC 3339 datetime with an offset. ``naive`` is for a column that stores local time
    without a time zone::

        date_joined = UtcDateTime(attribute="created_at", naive=ZoneInfo("Europe/Prague"))

    Args:
        naive: The time zone of naive datetimes in the column.
        kwargs: The keyword arguments of any marshmallow field.

    Raises:
        ValidationError: By ``load``, for anything but an RFC 3339 datetime with an offset.
    """

    def __init__(self, *, naive: tzinfo = timezone.utc, **kwargs: Unpack[_BaseFieldKwargs]) -> None:
        super().__init__("iso", **kwargs)
        self._naive = naive
        self.loads_naive = False  # PATCH sets it to true for a column that stores no time zone.

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if value is None:
            return None
        return as_utc(value, self._naive).isoformat().replace("+00:00", "Z")

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        invalid = self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        if not (isinstance(value, str) and _RFC_3339.fullmatch(value)):
            raise invalid
        loaded = super()._deserialize(value.upper(), attr, data, **kwargs)
        try:
            utc = as_utc(loaded)
            return utc.astimezone(self._naive).replace(tzinfo=None) if self.loads_naive else utc
        except OverflowError as error:  # It is before the year 1 or after 9999 in that zone.
            raise invalid from error


class MediaUrl(fields.Field[str]):
    """The URL of a stored file: ``PROFILE_MEDIA_URL`` of the current app, and the relative name.

    A full URL or an absolute path is sent as it is, and an empty name as null. If PATCH is
    enabled, the field must be ``dump_only``::

        avatar = MediaUrl(attribute="image", dump_only=True)
    """

    def _serialize(
        self, value: str | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if not value:
            return None
        if _ABSOLUTE_PATH_OR_URL.match(value):
            return value
        return (registered_media_url.get() or _configured_media_url()) + value


def _configured_media_url() -> str:
    """Return the prefix for a schema that the host dumps in a view of its own."""
    config = current_app.config if current_app else {}
    prefix: str = config.get("PROFILE_MEDIA_URL", Settings.media_url)
    return prefix
