"""What the four formats have in common: the header, which is read first, and the decoded image."""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from PIL import Image

_STRIP_PIXELS = 1 << 17
_ORIENTATION = 0x0112  # The tag of EXIF.
_SHORT = 3  # A type of EXIF.


class PartsFile(io.RawIOBase):
    """A file that consists of parts of another one, which are not copied.

    Args:
        parts: The contents of the file, one after the other.
    """

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self._parts = [memoryview(part) for part in parts]
        self._starts = [0, *accumulate(len(part) for part in self._parts)]
        self._position = 0

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read bytes of one part."""
        number = bisect_right(self._starts, self._position) - 1
        if number >= len(self._parts):
            return 0
        start = self._position - self._starts[number]
        part = self._parts[number][start : start + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


@dataclass(frozen=True)
class Source:
    """An image as it was decoded, which may be large.

    Args:
        image: The image, of any mode of Pillow.
        alpha: Its transparency, if the mode has none.
        profile: Its ICC profile, if there is one; it may be broken.
        orientation: Its EXIF orientation, from 1 to 8.
        gamma: The exponent of its samples, if there is no profile.
    """

    image: Image.Image
    alpha: Image.Image | None = None
    profile: bytes | None = None
    orientation: int = 1
    gamma: float | None = None


@dataclass(frozen=True)
class Header:
    """The information in the header of a file, before anything is decoded.

    Args:
        width: The width, in pixels.
        height: The height, in pixels.
        memory: The maximum number of bytes that decoding needs, in addition to the file itself.
        decode: Decodes the image.
    """

    width: int
    height: int
    memory: int
    decode: Callable[[], Source]


def strips(size: tuple[int, int], multiple: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes of strips of an image: all of it at once would take too much memory.

    Args:
        size: The width and height of the image, in pixels.
        multiple: The height of each strip but the last is a multiple of this.
    """
    width, height = size
    step = max(1, _STRIP_PIXELS // width // multiple) * multiple
    for top in range(0, height, step):
        yield 0, top, width, min(top + step, height)


def read_orientation(exif: bytes | None) -> int:
    """Return the orientation in EXIF metadata, or 1 if there is no valid one.

    Pillow's reader would print warnings for metadata that is broken in other places.

    Args:
        exif: The metadata, with or without its prefix.
    """
    data = (exif or b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 1
    with suppress(struct.error):  # The metadata is incomplete.
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for number in range(count):
            tag, type_, _, short = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * number)
            if tag == _ORIENTATION and type_ == _SHORT and 1 <= short <= 8:
                return int(short)
    return 1


def inflate(data: bytes, limit: int) -> bytes | None:
    """Decompress zlib data. Return None if it is broken or longer than a limit."""
    decompressor = zlib.decompressobj()
    try:
        inflated = decompressor.decompress(data, limit)
    except zlib.error:
        return None
    return inflated if decompressor.eof else None
