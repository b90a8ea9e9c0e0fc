"""The marshmallow fields of a profile: primary keys, datetimes in UTC, URLs of stored files."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from marshmallow import fields

from .types import as_utc

_ABSOLUTE_PATH_OR_URL = re.compile(r"/|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Identifier(fields.Field[Any]):
    """A primary key: an integer is sent as an integer, any other type (UUID, …) as a string."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> int | str | None:
        return value if value is None or isinstance(value, int) else str(value)


class UtcDateTime(fields.Field[datetime]):
    """A datetime as RFC 3339 in UTC: always ``Z``, and a fraction only where there is one."""

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if value is None:
            return None
        return as_utc(value).isoformat().replace("+00:00", "Z")


class MediaUrl(fields.Field[str]):
    """The URL of a stored file: ``media_url`` and its relative name.

    A full URL or an absolute path is sent as it is.
    """

    media_url = "/media/"

    def _serialize(
        self, value: str | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if not value:
            return None
        return value if _ABSOLUTE_PATH_OR_URL.match(value) else self.media_url + value
