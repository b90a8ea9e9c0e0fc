"""The marshmallow fields of a profile: primary keys, datetimes in UTC, URLs of stored files."""

from __future__ import annotations

import re
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from flask import current_app
from marshmallow import fields

from .settings import Settings
from .types import as_utc

# The prefix of the profile that is being dumped, for schemas that are nested in its schema, too.
registered_media_url: ContextVar[str | None] = ContextVar("registered_media_url", default=None)
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
    """The URL of a stored file: ``PROFILE_MEDIA_URL`` of the current app and its relative name.

    A full URL or an absolute path is sent as it is.
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
    """Return the prefix for a schema that a view of the host dumps, outside a profile."""
    config = current_app.config if current_app else {}
    prefix: str = config.get("PROFILE_MEDIA_URL", Settings.media_url)
    return prefix
