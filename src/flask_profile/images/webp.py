"""WebP (RFC 9649): the first image of a file, lossy, lossless or animated."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from PIL import Image, _webp

from .sources import Header, Source, read_orientation

SIGNATURE = (b"RIFF", b"WEBP")


def read_header(data: bytes, _size: int) -> Header:
    """Return the header of a WebP file.

    Raises:
        Exception: Where the file is broken.
    """
    chunks = dict(reversed([*_read_chunks(data)]))
    width, height = _read_size(chunks)
    # The decoder has two canvases, and gives out a copy of one.
    memory = len(data) + 12 * width * height
    return Header(width, height, memory, lambda: _decode(data, chunks))


def _read_size(chunks: dict[bytes, memoryview]) -> tuple[int, int]:
    if b"VP8X" in chunks:
        low = int.from_bytes(chunks[b"VP8X"][4:7], "little")
        high = int.from_bytes(chunks[b"VP8X"][7:10], "little")
        return low + 1, high + 1
    if b"VP8L" in chunks:
        bits = struct.unpack_from("<I", chunks[b"VP8L"], 1)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", chunks[b"VP8 "], 6)
    return width & 0x3FFF, height & 0x3FFF


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, position = memoryview(data), 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _decode(data: bytes, chunks: dict[bytes, memoryview]) -> Source:
    """Decode by Pillow's decoder, and use its buffer.

    It is undocumented: the documented way copies the buffer into an image, and would not leave
    enough memory for a photo of 12 megapixels.
    """
    decoder: Any = _webp.WebPAnimDecoder(data)
    size, _, _, _, mode = decoder.get_info()
    pixels, _ = decoder.get_next()
    image = Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
    profile = bytes(chunks[b"ICCP"]) if b"ICCP" in chunks else None
    exif = bytes(chunks[b"EXIF"]) if b"EXIF" in chunks else None
    return Source(image, None, profile, read_orientation(exif))
