"""PNG (ISO/IEC 15948): pass only the chunks that decoding needs to Pillow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import reduce
from io import BufferedReader
from typing import Any

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile

from .sources import Header, PartsFile, Source, inflate, read_orientation, strips

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PROFILE = 4 << 20
_Parts = list[bytes | memoryview]
_GRAY, _RGB, _PALETTE = 0, 2, 3
# The bytes that Pillow needs for a pixel, by colour type. Gray with 16 bits needs two.
_PIXEL_BYTES = {_GRAY: 1, _RGB: 4, _PALETTE: 1, 4: 4, 6: 4}


def read_header(data: bytes, _size: int) -> Header:
    """Return the header of a PNG file.

    Raises:
        Exception: If the file is broken.
    """
    if not data.startswith(SIGNATURE):  # A transfer as text has changed its line endings.
        raise ValueError("The signature is broken.")
    chunks = [*_read_chunks(data)]
    (head,) = (content for name, content, _ in chunks if name == b"IHDR")
    width, height, depth, colour_type = struct.unpack_from(">IIBB", head)
    kept: _Parts = [SIGNATURE]
    metadata: dict[bytes, bytes] = {}
    for name, content, is_valid in chunks:
        if name in {b"IHDR", b"PLTE", b"IDAT"}:
            kept += _make_chunk(name, content, is_valid=is_valid)
        elif is_valid and name == b"tRNS" and colour_type == _PALETTE:
            kept += _make_chunk(name, content)
        elif is_valid and name in {b"tRNS", b"iCCP", b"eXIf", b"gAMA", b"sRGB"}:
            metadata.setdefault(name, bytes(content))
    kept += _make_chunk(b"IEND", b"")
    pixel_bytes = _PIXEL_BYTES[colour_type] + (colour_type == _GRAY and depth == 16)
    if b"tRNS" in metadata:
        pixel_bytes += 2  # For masks, while the image is decoded once more.
    memory = width * height * pixel_bytes
    return Header(width, height, memory, lambda: _decode(kept, metadata, depth, colour_type))


def _open(kept: _Parts) -> PngImageFile:
    return PngImageFile(BufferedReader(PartsFile(kept)))


def _decode(kept: _Parts, metadata: dict[bytes, bytes], depth: int, colour_type: int) -> Source:
    alpha = None
    if b"tRNS" in metadata:
        alpha = _read_mask(kept, depth, colour_type, metadata[b"tRNS"])
    image = _open(kept)
    image.load()
    _, _, profile = metadata.get(b"iCCP", b"").partition(b"\0")
    orientation = read_orientation(metadata.get(b"eXIf"))
    icc = inflate(profile[1:], _MAX_PROFILE)
    return Source(image, alpha, icc, orientation, _read_gamma(metadata))


def _read_gamma(metadata: dict[bytes, bytes]) -> float | None:
    """Return the gamma of an image, unless it is that of sRGB or another chunk takes precedence."""
    content = metadata.get(b"gAMA", b"")
    if len(content) != 4 or {b"sRGB", b"iCCP"} & metadata.keys():
        return None
    gamma = struct.unpack(">I", content)[0] / 100_000
    return gamma if gamma > 0 and abs(gamma * 2.2 - 1) > 0.05 else None


def _make_chunk(name: bytes, content: bytes | memoryview, *, is_valid: bool = True) -> _Parts:
    """Return a chunk in parts, with a wrong checksum if it had one."""
    checksum = zlib.crc32(content, zlib.crc32(name)) ^ (not is_valid)
    return [struct.pack(">I", len(content)) + name, content, struct.pack(">I", checksum)]


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Yield the name and content of each chunk up to IEND, and whether its checksum is right."""
    view, position = memoryview(data), len(SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        content = view[position + 8 : position + 8 + length]
        end = position + 8 + length
        checksum = zlib.crc32(content, zlib.crc32(name))
        yield name, content, data[end : end + 4] == struct.pack(">I", checksum)
        if name == b"IEND":
            return
        position = end + 4


def _read_mask(kept: _Parts, depth: int, colour_type: int, content: bytes) -> Image.Image | None:
    """Return a mask, which is 0 where an image has its one transparent colour.

    Pillow itself would compare the colour only after it has reduced the image to 8 bits.
    """
    samples = 1 if colour_type == _GRAY else 3
    if colour_type not in {_GRAY, _RGB} or len(content) < 2 * samples:
        return None
    colour = struct.unpack_from(f">{samples}H", content)
    high, low = [value >> 8 for value in colour], [value & 255 for value in colour]
    if depth != 16:
        scale = 255 // ((1 << depth) - 1)
        return _match(_load(kept), [value * scale for value in low])
    if colour_type == _GRAY:
        return _match(_load(kept), [*low, *high])
    mask = _match(_load(kept, "RGB;16B"), high)
    mask.paste(255, mask=_match(_load(kept, "RGB;16L"), low))
    return mask


def _load(kept: _Parts, raw_mode: str = "") -> Image.Image:
    """Return an image, decoded with another raw mode than Pillow has chosen.

    A raw mode of RGB for the other byte order returns the low bytes of 16 bits. Without this, the
    image would have to be unfiltered in Python.
    """
    image: Any = _open(kept)
    if raw_mode:
        image.tile = [image.tile[0]._replace(args=raw_mode)]
    image.load()
    loaded: Image.Image = image
    return loaded


def _match(image: Image.Image, colour: list[int]) -> Image.Image:
    """Return a mask, which is 0 where all bands of an image have the values of a colour."""
    tables = [[255 * (value != expected) for value in range(256)] for expected in colour]
    mask = Image.new("L", image.size)
    for box in strips(image.size):
        bands = _split(image.crop(box))
        masks = [band.point(table) for band, table in zip(bands, tables, strict=True)]
        mask.paste(reduce(ImageChops.lighter, masks), box)
    return mask


def _split(strip: Image.Image) -> Sequence[Image.Image]:
    """Return the bands of a strip as 8-bit images; of 16 bits, the low and the high bytes."""
    if strip.mode == "1":
        return [strip.convert("L")]
    if strip.mode != "I;16":
        return strip.split()
    data = strip.tobytes()
    return [Image.frombytes("L", strip.size, data[start::2]) for start in (0, 1)]
