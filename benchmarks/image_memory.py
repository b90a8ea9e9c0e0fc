"""Measure the memory that uploads take, and check that it is within what the contract promises.

    python benchmarks/image_memory.py [--write]

It decodes one image of each kind at its limit: alone in a new process, and eight at once in
threads that keep running. It prints the highest additional memory of the process, without the
files themselves, and how much memory it keeps. It exits with status 1 if an image takes more than
200 MB, or if eight threads keep more than 120 MB. With --write, it writes the table to
docs/avatars.md. It needs Linux.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from queue import Queue
from typing import Any

from PIL import Image

from manual_tables import format_table, write_table

LIMIT, KEPT = 200_000_000, 120_000_000
HEAD = ("image", "megapixels", "file: MB", "alone: MB", "eight at once: MB", "kept: MB")


def noise(mode: str, width: int, height: int) -> Image.Image:
    """Return an image that does not compress to nothing, made of small tiles."""
    tile = Image.effect_noise((256, 256), 64).convert(mode)
    image = Image.new(mode, (width, height))
    for top in range(0, height, 256):
        for left in range(0, width, 256):
            image.paste(tile, (left, top))
    return image


def encode(mode: str, size: tuple[int, int], format_: str, **options: Any) -> bytes:
    file = BytesIO()
    noise(mode, *size).save(file, format_, **options)
    return file.getvalue()


def make_png(width: int, height: int, depth: int, colour_type: int, *chunks: bytes) -> bytes:
    """Return a PNG of one colour, without an image in memory."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    compressor = zlib.compressobj(1)
    data = b"".join([compressor.compress(row) for _ in range(height)] + [compressor.flush()])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    extra = b"".join(chunk(each[:4], each[4:]) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


PLAIN = (6_000, 4_000)
KINDS: dict[str, tuple[tuple[int, int], Callable[[], bytes]]] = {
    "JPEG": ((12_000, 9_000), lambda: encode("RGB", (12_000, 9_000), "JPEG", quality=20)),
    "JPEG, progressive, 4:2:0": (
        (8_192, 6_100),
        lambda: encode("RGB", (8_192, 6_100), "JPEG", quality=10, progressive=True, subsampling=2),
    ),
    "JPEG, CMYK": ((8_000, 6_000), lambda: encode("CMYK", (8_000, 6_000), "JPEG", quality=10)),
    "PNG, RGB": ((6_700, 6_700), lambda: make_png(6_700, 6_700, 8, 2)),
    "PNG, RGBA": ((6_700, 6_700), lambda: make_png(6_700, 6_700, 8, 6)),
    "PNG, gray and alpha": ((6_700, 6_700), lambda: make_png(6_700, 6_700, 8, 4)),
    "PNG, gray": ((13_500, 13_500), lambda: make_png(13_500, 13_500, 8, 0)),
    "PNG, 16 bits of gray": ((9_600, 9_600), lambda: make_png(9_600, 9_600, 16, 0)),
    "PNG, palette with transparency": (
        (13_500, 13_500),
        lambda: make_png(13_500, 13_500, 8, 3, b"PLTE" + bytes(768), b"tRNS" + bytes(200)),
    ),
    "PNG, 16 bits of gray, one transparent": (
        (6_700, 6_700),
        lambda: make_png(6_700, 6_700, 16, 0, b"tRNS" + bytes(2)),
    ),
    "PNG, 16 bits of RGB, one transparent": (
        (5_500, 5_500),
        lambda: make_png(5_500, 5_500, 16, 2, b"tRNS" + bytes(6)),
    ),
    "GIF": ((9_500, 9_500), lambda: encode("L", (9_500, 9_500), "GIF")),
    "WebP, lossy": ((4_032, 3_024), lambda: encode("RGB", (4_032, 3_024), "WEBP", quality=50)),
    "WebP, lossless, alpha": (
        (4_032, 3_024),
        lambda: encode("RGBA", (4_032, 3_024), "WEBP", lossless=True, method=0),
    ),
}


def read_status(name: str) -> int:
    """Return a value of the process's memory, in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+)", text, re.M)[0]) * 1024


def measure(path: str, threads: int) -> dict[str, int]:
    """Decode an image in threads that keep running; return the highest growth and what is kept."""
    from flask_profile.errors import UnavailableError
    from flask_profile.images import encode_avatar

    data = Path(path).read_bytes()
    encode_avatar(encode("RGB", (64, 64), "PNG"), 512)  # It loads what Pillow loads late.
    Path("/proc/self/clear_refs").write_text("5")
    before = read_status("VmRSS")
    work: Queue[int | None] = Queue()
    done: Queue[str] = Queue()

    def serve() -> None:
        while work.get() is not None:
            try:
                encode_avatar(data, 512)
                done.put("decoded")
            except UnavailableError:
                done.put("unavailable")
            except Exception as error:
                done.put(repr(error))

    for _ in range(threads):
        threading.Thread(target=serve, daemon=True).start()
    for number in range(threads):
        work.put(number)
    results = [done.get() for _ in range(threads)]
    if not {*results} <= {"decoded", "unavailable"} or "decoded" not in results:
        sys.exit(f"{path}: {results}")
    return {"peak": read_status("VmHWM") - before, "kept": read_status("VmRSS") - before}


def run(path: str, threads: int) -> dict[str, int]:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--measure", path, str(threads)]
    result: dict[str, int] = json.loads(subprocess.check_output(command))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table to the manual")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], int(options.measure[1]))))
        return
    rows: list[tuple[str, ...]] = []
    is_exceeded = False
    with tempfile.TemporaryDirectory() as folder:
        for name, ((width, height), make) in KINDS.items():
            path = Path(folder, "image")
            path.write_bytes(make())
            alone, eight = run(str(path), 1), run(str(path), 8)
            values = (path.stat().st_size, alone["peak"], eight["peak"], eight["kept"])
            cells = [f"{value / 1e6:.1f}" for value in values]
            rows.append((name, f"{width * height / 1e6:.1f}", *cells))
            print(*rows[-1], sep=" | ", flush=True)
            is_exceeded |= alone["peak"] > LIMIT or eight["peak"] > 2 * LIMIT + KEPT
            is_exceeded |= eight["kept"] > KEPT
    if options.write:
        write_table("avatars.md", "benchmarks/image_memory.py", format_table(HEAD, rows))
    if is_exceeded:
        sys.exit("An image takes or keeps more memory than the contract allows.")


if __name__ == "__main__":
    main()
