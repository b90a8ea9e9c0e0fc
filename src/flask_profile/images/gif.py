"""GIF (89a): decode the first image, on the canvas of the whole file."""

from __future__ import annotations

import struct
from io import BytesIO

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from .sources import Header, Source

SIGNATURES = (b"GIF87a", b"GIF89a")
_IMAGE, _EXTENSION = 0x2C, 0x21


def read_header(data: bytes, _size: int) -> Header:
    """Return the header of a GIF file.

    Raises:
        Exception: If the file is broken.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _table_size(flags)
    while data[position] == _EXTENSION:
        position = _skip_blocks(data, position + 2)
    if data[position] != _IMAGE:
        raise ValueError("There is no image.")
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, position + 1)
    frame = (left, top, left + frame_width, top + frame_height)
    width, height = max(width, frame[2]), max(height, frame[3])
    mask = frame != (0, 0, width, height)
    return Header(width, height, (2 + mask) * width * height, lambda: _decode(data, frame))


def _decode(data: bytes, frame: tuple[int, int, int, int]) -> Source:
    """Decode the first image. Like browsers, leave the canvas around it transparent."""
    image = GifImageFile(BytesIO(data))
    image.load()
    if frame == (0, 0, *image.size):
        return Source(image)
    alpha = Image.new("L", image.size)
    alpha.paste(255, frame)
    return Source(image, alpha)


def _table_size(flags: int) -> int:
    """Return the number of bytes of a colour table, if the flags say that there is one."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _skip_blocks(data: bytes, position: int) -> int:
    """Return the position behind a series of blocks."""
    while data[position]:
        position += 1 + data[position]
    return position + 1
