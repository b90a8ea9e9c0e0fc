"""JPEG (ITU-T T.81): read its segments by their lengths, up to the end of the image."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from io import BufferedReader
from typing import NamedTuple

from PIL.JpegImagePlugin import JpegImageFile

from ..errors import TooManyScansError
from .sources import Header, PartsFile, Source, read_orientation

SIGNATURE = b"\xff\xd8\xff"
_MAX_SCANS = 100  # A photo has about ten, and each costs as much time as an image.
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"
_END, _SCAN = 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_METADATA = {*range(0xE0, 0xF0), 0xFE}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
# The end of the data of a scan: a marker that is neither a stuffed byte nor a restart.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_BLOCK_BYTES = 128  # The coefficients of eight by eight samples.


class _Segment(NamedTuple):
    """A segment: its marker, its content, and where it ends with the data of its scan."""

    marker: int
    content: bytes
    start: int
    end: int


def read_header(data: bytes, size: int) -> Header:
    """Return the header of a JPEG file.

    Args:
        data: The file.
        size: The maximum width and height that it will be fitted into, in pixels.

    Raises:
        TooManyScansError: If it would take too long to decode.
        Exception: If the file is broken.
    """
    segments = [*_read_segments(data)]
    (frame,) = (segment for segment in segments if segment.marker in _FRAMES)
    height, width, count = struct.unpack_from(">HHB", frame.content, 1)
    scans = [segment for segment in segments if segment.marker == _SCAN]
    if len(scans) > _MAX_SCANS:
        raise TooManyScansError
    scale = _draft_scale(width, height, _draft_size(width, height, size))
    memory = 4 * -(-width // scale) * -(-height // scale)
    if frame.marker in _PROGRESSIVE or scans[0].content[0] < count:
        memory += _BLOCK_BYTES * _count_blocks(frame.content, width, height, count)
    return Header(width, height, memory, lambda: _decode(data, segments, size))


def _decode(data: bytes, segments: list[_Segment], size: int) -> Source:
    profile = [s.content for s in segments if _is_profile(s)]
    profile.sort(key=lambda part: part[len(_PROFILE)] if len(part) > len(_PROFILE) else 0)
    exif = next((s.content for s in segments if s.content.startswith(_EXIF)), None)
    view = memoryview(data)
    kept = [view[s.start : s.end] for s in segments if not _is_metadata(s)]
    image = JpegImageFile(BufferedReader(PartsFile([b"\xff\xd8", *kept])))
    image.draft("RGB", _draft_size(*image.size, size))
    image.load()
    icc = b"".join(part[len(_PROFILE) + 2 :] for part in profile)
    return Source(image, None, icc or None, read_orientation(exif))


def _read_segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments from the start of the image to its end."""
    position = 2
    while position + 2 <= len(data):
        if data[position] != 0xFF:  # Some cameras write a few bytes between segments.
            found = _MARKER.search(data, position)
            if found is None:
                return
            position = found.end() - 2
        start, marker = position, data[position + 1]
        if marker == 0xFF:  # A fill byte.
            position += 1
            continue
        position += 2
        if marker in _STANDALONE:
            continue
        if marker == _END:
            yield _Segment(marker, b"", start, position)
            return
        length = struct.unpack_from(">H", data, position)[0]
        content, position = data[position + 2 : position + length], position + length
        if marker == _SCAN:
            found = _MARKER.search(data, position)
            position = found.end() - 2 if found else len(data)
        yield _Segment(marker, content, start, position)


def _is_profile(segment: _Segment) -> bool:
    return segment.marker == _APP2 and segment.content.startswith(_PROFILE)


def _is_metadata(segment: _Segment) -> bool:
    """Tell whether decoding does not need a segment. JFIF and Adobe say how colours are stored."""
    return segment.marker in _METADATA and segment.marker not in {_APP0, _APP14}


def _draft_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Return the minimum size of a draft. A long image may be smaller."""
    longest = max(width, height)
    return min(size, 2 * width * size // longest or 1), min(size, 2 * height * size // longest or 1)


def _draft_scale(width: int, height: int, draft: tuple[int, int]) -> int:
    """Return the factor by which libjpeg will shrink an image while it decodes it."""
    scale = min(width // draft[0], height // draft[1])
    return next((each for each in (8, 4, 2) if scale >= each), 1)


def _count_blocks(frame: bytes, width: int, height: int, count: int) -> int:
    """Return the number of blocks of all components, including padding."""
    factors = [divmod(frame[7 + 3 * n], 16) for n in range(count)]
    widest, highest = max(h for h, _ in factors), max(v for _, v in factors)
    columns, rows = -(-width // (8 * widest)), -(-height // (8 * highest))
    return sum(columns * h * rows * v for h, v in factors)
