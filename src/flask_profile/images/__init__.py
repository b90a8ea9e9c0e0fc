"""Convert an uploaded image to an avatar: decode it, fit it into a square, encode it as WebP."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from PIL import Image

from ..errors import (
    BrokenImageError,
    ImageFormatError,
    RefusalError,
    TooManyPixelsError,
)
from . import gif, jpeg, png, webp
from .shrinking import shrink
from .slots import decoding_slot
from .sources import Header

_MAX_SIDE, _MAX_PIXELS = 65_535, 200_000_000
_MAX_MEMORY = 200_000_000
_OVERHEAD = 12_000_000  # Bytes that every image needs: strips, the small image, its encoding.
# An image of few colours, such as an icon or a screenshot, is stored losslessly if it is small.
_FEW_COLOURS, _SMALL = 4096, 16 * 1024


def encode_avatar(data: bytes, size: int) -> bytes:
    """Return an image, without metadata and with its EXIF orientation applied, as WebP.

    Args:
        data: The uploaded file.
        size: The maximum width and height, in pixels.

    Raises:
        ImageFormatError: If the content is not of an accepted format.
        BrokenImageError: If it cannot be decoded.
        TooManyPixelsError, TooManyScansError: If it would cost too much to decode.
        UnavailableError: If too many other images are being decoded.
    """
    read_header = _find_format(data)
    with _refusing_broken():
        header = read_header(data, size)
    _refuse_costly(header)
    with decoding_slot(), _refusing_broken():
        return _encode(shrink(header.decode(), size))


@contextmanager
def _refusing_broken() -> Generator[None]:
    """Raise BrokenImageError for any failure: Pillow raises many classes for a broken file."""
    try:
        yield
    except RefusalError:
        raise
    except Exception as error:
        raise BrokenImageError from error


def _find_format(data: bytes) -> Callable[[bytes, int], Header]:
    """Return the function that reads the header of a file, chosen by its first bytes."""
    if data.startswith(png.SIGNATURE[:4]):
        return png.read_header
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.read_header
    if data.startswith(gif.SIGNATURES):
        return gif.read_header
    if (data[:4], data[8:12]) == webp.SIGNATURE:
        return webp.read_header
    raise ImageFormatError


def _refuse_costly(header: Header) -> None:
    """Raise an error for an image that is too large, or needs too much memory to decode."""
    pixels = header.width * header.height
    if not pixels:
        raise BrokenImageError
    is_too_large = max(header.width, header.height) > _MAX_SIDE or pixels > _MAX_PIXELS
    if is_too_large or header.memory + _OVERHEAD > _MAX_MEMORY:
        raise TooManyPixelsError


def _encode(image: Image.Image) -> bytes:
    """Return an image as WebP, losslessly if that costs little."""
    lossless = b""
    if image.getcolors(_FEW_COLOURS) is not None:
        lossless = _save(image, lossless=True, method=1, quality=20)
        if len(lossless) <= _SMALL:
            return lossless
    lossy = _save(image, quality=85)
    return lossless if lossless and len(lossless) <= len(lossy) else lossy


def _save(image: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", **options)
    return file.getvalue()
