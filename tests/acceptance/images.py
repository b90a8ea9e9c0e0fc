"""Decode mutated images; each must be decoded or refused, in bounded time and memory.

    .ci/run images [-- --files 20000 --seed 7]

It exits with status 1 if an image causes another exception than those that are documented, takes
longer than five seconds, takes more than 200 MB, or if the process has grown in the end.
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import sys
import time
import warnings
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from flask_profile.errors import RefusalError
from flask_profile.images import encode_avatar

MAX_SECONDS, MAX_GROWTH, MAX_PEAK = 5, 60_000_000, 200_000_000


def encode(mode: str, format_: str, **options: Any) -> bytes:
    image = Image.effect_noise((90, 60), 80).convert(mode)
    file = BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def make_images() -> list[bytes]:
    """Return an image of each kind."""
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [encode(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    images += [encode("L", "PNG", transparency=7), encode("P", "PNG", transparency=bytes(9))]
    images += [encode("RGB", "PNG", exif=exif), encode("RGB", "JPEG", exif=exif)]
    images += [encode(mode, "JPEG") for mode in ("L", "RGB", "CMYK")]
    images += [encode("RGB", "JPEG", progressive=True), encode("P", "GIF"), encode("L", "GIF")]
    images += [encode("RGB", "WEBP"), encode("RGBA", "WEBP", lossless=True)]
    frames = [Image.effect_noise((40, 30), 50).convert("RGB") for _ in range(3)]
    for format_ in ("GIF", "WEBP", "PNG"):
        file = BytesIO()
        frames[0].save(file, format_, save_all=True, append_images=frames[1:])
        images.append(file.getvalue())
    return images


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Return a file with some bytes changed, removed, repeated or added; most are in its head."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = min(int(rng.expovariate(1 / 60)), len(changed) - 1)
        if rng.random() < 0.4:
            at = rng.randrange(len(changed))
        kind = rng.randrange(5)
        if kind == 0:
            changed[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 1:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + rng.choice([1, 2, 4, 100])]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.choice([1, 4, 30])]
        else:
            changed[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", rng.randbytes(4)])
        if not changed:
            break
    return bytes(changed)


def read_memory(name: str) -> int:
    """Return a value of the memory of this process, in bytes."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+)", status, re.M)[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    options = parser.parse_args()
    print(f"Seed {options.seed}", flush=True)
    warnings.simplefilter("error")  # Pillow must print nothing.
    rng, images = random.Random(options.seed), make_images()
    counts: Counter[str] = Counter()
    slowest, before = 0.0, 0
    for number in range(options.files):
        if number == options.files // 4:
            before = read_memory("VmRSS")
        data = mutate(rng, rng.choice(images))
        begin = time.monotonic()
        try:
            encode_avatar(data, 512)
            result = "decoded"
        except RefusalError as error:
            if isinstance(error.__cause__, Warning):
                sys.exit(f"A warning: {error.__cause__!r}\n{data!r}")
            result = type(error).__name__
        except Exception as error:
            sys.exit(f"{error!r}\n{data!r}")
        slowest = max(slowest, time.monotonic() - begin)
        if slowest > MAX_SECONDS:
            sys.exit(f"It takes {slowest:.1f} s: {data!r}")
        counts[result] += 1
    growth, peak = read_memory("VmRSS") - before, read_memory("VmHWM") - before
    for result, count in counts.most_common():
        print(f"{count:7,} {result}")
    print(f"The slowest took {slowest:.2f} s; the process has grown by {growth / 1e6:.0f} MB")
    print(f"At its worst, it had {peak / 1e6:.0f} MB more")
    if growth > MAX_GROWTH or peak > MAX_PEAK:
        sys.exit("The process has grown.")


if __name__ == "__main__":
    main()
