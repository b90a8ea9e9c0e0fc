"""The storage of the avatars of an app: a directory, or a URL that obstore supports."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from .errors import ConfigurationError

if TYPE_CHECKING:
    from flask import Flask
    from obstore.store import ObjectStore

    from .settings import Settings

_STORED_NAME = re.compile(r"avatars/[0-9a-f]{32}\.webp")


class AvatarStorage:
    """Stores avatars under names that cannot be guessed, and removes them.

    Args:
        app: The app. A relative directory is in its instance folder.
        settings: The settings of the profile.

    Raises:
        ConfigurationError: If obstore refuses the URL.
    """

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._location = settings.media_storage or "media"
        if "://" in self._location:
            try:
                _ = self._store
            except (BaseError, ValueError) as error:
                reason = str(error).partition("\n")[0]  # The rest is for developers of obstore.
                message = (
                    f"PROFILE_MEDIA_STORAGE is {self._location!r}; it must be a directory, or a "
                    f'URL such as "s3://bucket/prefix" or "memory://" ({reason}).'
                )
                raise ConfigurationError(message) from error

    def put(self, avatar: bytes) -> str:
        """Store an avatar under a new name, and return the name."""
        name = f"avatars/{secrets.token_hex(16)}.webp"
        self._store.put(name, avatar)
        return name

    def remove(self, name: object) -> None:
        """Remove a file that this class has stored. A failure is logged, not raised."""
        if isinstance(name, str) and _STORED_NAME.fullmatch(name):
            try:
                self._store.delete(name)
            except Exception:
                self._app.log_exception(sys.exc_info())

    def list_old(self, before: datetime, number: int) -> Iterator[list[str]]:
        """Yield the names of avatars that were stored before a certain time, in batches.

        Args:
            before: The time.
            number: The maximum number of files in a batch.
        """
        for batch in self._store.list("avatars", chunk_size=number):
            old = [str(each["path"]) for each in batch if each["last_modified"] < before]
            yield [name for name in old if _STORED_NAME.fullmatch(name)]

    def remove_all(self, names: list[str]) -> None:
        """Remove avatars. A failure is raised."""
        self._store.delete(names)

    def require_writable(self) -> None:
        """Store a file and remove it. A failure is raised."""
        self._store.delete(self.put(b""))

    @property
    def location(self) -> str:
        """The directory or URL."""
        return self._location

    @cached_property
    def _store(self) -> ObjectStore:
        if "://" not in self._location:
            return LocalStore(Path(self._app.instance_path, self._location), mkdir=True)
        if self._location.startswith("memory:"):
            return from_url(self._location)
        if self._location.startswith("file:"):
            return from_url(self._location, mkdir=True)
        # With obstore's defaults, a client would wait for three minutes.
        retries: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
        options: Any = {
            "timeout": "10s",
            "connect_timeout": "5s",
            "allow_http": True,  # The host's URL of the endpoint says whether TLS is used.
            "default_content_type": "image/webp",
        }
        return from_url(self._location, client_options=options, retry_config=retries)
