"""WebP (RFC 9649): decode the first image of a lossy, lossless or animated file."""

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
        Exception: If the file is broken.
    """
    chunks = [*_read_chunks(data)]
    width, height = _read_size(*chunks[0])  # The decoder uses the first one, too.
    metadata = dict(chunks)
    # The decoder has two canvases, and returns a copy of one of them.
    memory = len(data) + 12 * width * height
    return Header(width, height, memory, lambda: _decode(data, metadata))


def _read_size(name: bytes, content: memoryview) -> tuple[int, int]:
    """Return the width and height that the first chunk of a file says."""
    if name == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") for at in (4, 7))
        return width + 1, height + 1
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name != b"VP8 ":
        raise ValueError("There is no image.")
    width, height = struct.unpack_from("<HH", content, 6)
    return width & 0x3FFF, height & 0x3FFF


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, position = memoryview(data), 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _decode(data: bytes, metadata: dict[bytes, memoryview]) -> Source:
    """Decode with Pillow's undocumented decoder, and use its buffer.

    The documented way copies the buffer into an image, and would not leave enough memory for a
    photo of 12 megapixels.
    """
    decoder: Any = _webp.WebPAnimDecoder(data)
    size, _, _, _, mode = decoder.get_info()
    pixels, _ = decoder.get_next()
    image = Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
    profile = bytes(metadata[b"ICCP"]) if b"ICCP" in metadata else None
    exif = bytes(metadata[b"EXIF"]) if b"EXIF" in metadata else None
    return Source(image, None, profile, read_orientation(exif))
