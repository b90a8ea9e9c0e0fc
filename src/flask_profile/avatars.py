"""Avatars: pictures, decoded and encoded anew, in a storage. Needs the extra ``avatars``."""

from __future__ import annotations

import re
import secrets
import sys
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from .editing import reading, whole_body
from .errors import FormatError, PictureError, TooLargeError
from .settings import ConfigurationError, Settings

try:
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url
    from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
except ImportError as error:
    message = (
        "PROFILE_AVATARS needs two more packages:\n\n    pip install flask-profile-api[avatars]"
    )
    raise ConfigurationError(message) from error

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_MAX_PIXELS = 40_000_000  # Of which each may take four bytes while a picture is decoded.
_MAX_SCANS = 100  # Of a JPEG, which has about ten; each costs as much as a picture.
_FRAMING = 16 * 1024  # What multipart may put around the file.
_MULTIPART = "multipart/form-data"
_OURS = re.compile(r"avatars/[0-9a-f]{32}\.webp")


class AvatarStore:
    """Where the avatars of an app are kept, under names that nobody can guess."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._size = settings.avatar_size
        self._max_bytes = settings.avatar_max_bytes
        self._place = settings.media_storage or "media"
        if "://" in self._place:
            try:
                _ = self._store
            except (BaseError, ValueError) as error:
                message = f"PROFILE_MEDIA_STORAGE is {self._place!r}, which is refused: {error}"
                raise ConfigurationError(message) from error

    @cached_property
    def _store(self) -> ObjectStore:
        if "://" not in self._place:
            return LocalStore(Path(self._app.instance_path, self._place), mkdir=True)
        if self._place.startswith("memory:"):
            return from_url(self._place)
        if self._place.startswith("file:"):
            return from_url(self._place, mkdir=True)
        # The default would let a client wait for three minutes.
        patience: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
        # Whether a server is asked without TLS is said by the endpoint that the host configures.
        options: Any = {"timeout": "10s", "connect_timeout": "5s", "allow_http": True}
        return from_url(self._place, client_options=options, retry_config=patience)

    def store_upload(self) -> str:
        """Store the picture of the request and return its name, or raise a RefusalError."""
        name = f"avatars/{secrets.token_hex(16)}.webp"
        self._store.put(name, _encoded(self._uploaded(), self._size))
        return name

    def remove(self, name: object) -> None:
        """Remove a file that was stored here; it is not worth a failure where that fails."""
        if isinstance(name, str) and _OURS.fullmatch(name):
            try:
                self._store.delete(name)
            except Exception:
                self._app.log_exception(sys.exc_info())

    def limit_body(self) -> None:
        """Let no more of the request's body be read than an avatar may have."""
        framing = _FRAMING if request.mimetype == _MULTIPART else 0
        limits = (request.max_content_length, self._max_bytes + framing)
        request.max_content_length = min(limit for limit in limits if limit is not None)

    def _uploaded(self) -> bytes:
        if request.mimetype != _MULTIPART:
            return whole_body(PictureError)
        file = reading(lambda: request.files.get("avatar"), PictureError)
        data = b"" if file is None else file.read()
        if len(data) > self._max_bytes:
            raise TooLargeError
        return data


def _encoded(data: bytes, size: int) -> bytes:
    """Return a picture made of what can be seen of another, upright and fitted into a square."""
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as opened:
            scans = data.count(b"\xff\xda") if opened.format in {"JPEG", "MPO"} else 1
            if opened.width * opened.height > _MAX_PIXELS or scans > _MAX_SCANS:
                raise PictureError
            opened.draft("RGB", (size, size))  # A JPEG is decoded at a fraction of its size.
            picture: Image.Image = opened
            mode = "RGBA" if picture.has_transparency_data else "RGB"
            if picture.mode.startswith("I"):  # Sixteen bits, of which convert() would clip half.
                picture = picture.point(lambda value: value / 256).convert("L")
            elif mode == "RGBA" or picture.mode in {"1", "P"}:  # Palettes are not fitted smoothly.
                picture = picture.convert(mode)
            picture.thumbnail((size, size))
            ImageOps.exif_transpose(picture, in_place=True)
            picture = _in_srgb(picture, mode).convert(mode)
    except UnidentifiedImageError as error:
        raise FormatError from error
    except Exception as error:  # Pillow raises what it likes for a broken file.
        raise PictureError from error
    picture.info.clear()
    encoded = BytesIO()
    picture.save(encoded, "WEBP", quality=85)
    return encoded.getvalue()


def _in_srgb(picture: Image.Image, mode: str) -> Image.Image:
    """Return a picture in the colours that are shown where no profile says otherwise."""
    profile = picture.info.get("icc_profile")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):  # One that is broken, or of another mode.
            theirs = ImageCms.ImageCmsProfile(BytesIO(profile))
            ours = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(picture, theirs, ours, outputMode=mode) or picture
    return picture
