"""Uploads of images and of other files as avatars, and removals."""

from __future__ import annotations

import io
import random
import struct
import zlib

from PIL import Image

import contract as c
from fuzz_app import MAX_BODY, MAX_IMAGE
from fuzz_cases import FORM, JSON, Case, mutate
from fuzz_edits import frame_edit
from fuzz_full_app import EDIT_URLS


def encode_image(format_: str, mode: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, format_)
    return file.getvalue()


def encode_png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# What an upload may be refused for, where the bytes are random.
REFUSALS = {c.BROKEN_IMAGE, c.UNSUPPORTED_IMAGE, c.TOO_MANY_PIXELS, c.TOO_MANY_SCANS}
SIZES = [(1, 1), (3, 40), (24, 24)]
IMAGE_MODES = [("PNG", "RGBA"), ("PNG", "1"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "RGB")]
IMAGE_MODES += [("JPEG", "CMYK"), ("JPEG", "L"), ("WEBP", "RGBA"), ("GIF", "P"), ("GIF", "L")]
IMAGES = [encode_image(format_, mode, size) for format_, mode in IMAGE_MODES for size in SIZES]
DECOMPRESSION_BOMBS = [
    b"\x89PNG\r\n\x1a\n"
    + encode_png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    + encode_png_chunk(b"IDAT", zlib.compress(b""))
    for side in (6_400, 50_000)
]
NOT_IMAGES = [
    encode_image("BMP", "RGB", (2, 2)),
    encode_image("TIFF", "RGB", (2, 2)),
    b"<svg/>",
    b"%PDF-1.7",
]
NOT_IMAGES += [b"PK\3\4", b"<html><script>", b"\0", b"x" * 3_000, b"%!PS-Adobe-3.0 EPSF-3.0\n"]
FORM_PART = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="../x.html"\r\n\r\n%s\r\n'
FORM_END = b"--x--\r\n"


def make_image(rng: random.Random) -> tuple[bytes, set[str]]:
    good = rng.choice(IMAGES)
    return rng.choice(
        [
            (good, {c.EDITED}),
            (good + b"<script>alert(1)</script>", {c.EDITED}),
            (good + bytes(MAX_IMAGE - len(good)), {c.EDITED}),
            (good + bytes(MAX_IMAGE + 1 - len(good)), {c.TOO_LARGE}),
            (good[: rng.randrange(len(good))], {c.EDITED, *REFUSALS}),
            (mutate(rng, good), {c.EDITED, *REFUSALS}),
            (rng.choice(DECOMPRESSION_BOMBS), {c.BROKEN_IMAGE, c.TOO_MANY_PIXELS}),
            (rng.choice(NOT_IMAGES), {c.UNSUPPORTED_IMAGE}),
            (rng.randbytes(rng.randrange(1, 99)), {c.UNSUPPORTED_IMAGE}),
        ]
    )


def make_avatar_upload(rng: random.Random) -> Case:
    image, allowed = make_image(rng)
    media_type = rng.choice(["image/png", "text/html", "application/json", FORM[14:], "x", ""])
    body = image
    if rng.random() < 0.5:
        media_type = "multipart/form-data; boundary=x"
        whole = FORM_PART % (b"avatar", image) + FORM_END
        other = FORM_PART % (b"other", b"x")
        body, allowed = rng.choice(
            [
                (whole, allowed),
                (other + whole, allowed),
                (FORM_PART % (b"avatar", image) + whole, allowed),
                (other + FORM_END, {c.MISSING_FILE}),
                (other * 2_000 + FORM_END, {c.TOO_LARGE}),
                (FORM_PART % (b"avatar", bytes(MAX_BODY)) + FORM_END, {c.TOO_LARGE}),
                (
                    whole[: rng.randrange(len(whole))],
                    {*allowed, *REFUSALS, c.MISSING_FILE},
                ),
                (
                    mutate(rng, whole),
                    {c.EDITED, *REFUSALS, c.MISSING_FILE, c.TOO_LARGE},
                ),
            ]
        )
    header = f"Content-Type: {media_type}"
    return frame_edit(
        rng, allowed, c.BROKEN_IMAGE, header, body=body, method="PUT", url=EDIT_URLS["PUT"]
    )


def make_avatar_removal(rng: random.Random) -> Case:
    body = rng.choice([b"", b"", b"{}", rng.randbytes(50)])
    more = {"method": "DELETE", "url": EDIT_URLS["DELETE"]}
    return frame_edit(rng, {c.REMOVED}, c.REMOVED, JSON, body=body, **more)
