"""Valid images for the operations that take one, since OpenAPI cannot describe image data."""

from __future__ import annotations

from io import BytesIO

import schemathesis  # type: ignore[import-not-found]  # It has its own environment.
from hypothesis import strategies
from PIL import Image


def image_strategy(image_format: str) -> strategies.SearchStrategy[bytes]:
    """Return a strategy that generates images of one format, in any size and colour."""

    def encode(size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
        file = BytesIO()
        Image.new("RGB", size, colour).save(file, image_format)
        return file.getvalue()

    byte = strategies.integers(0, 255)
    side = strategies.integers(1, 600)
    return strategies.builds(
        encode, strategies.tuples(side, side), strategies.tuples(byte, byte, byte)
    )


for name in ("png", "jpeg", "webp", "gif"):
    schemathesis.openapi.media_type(f"image/{name}", image_strategy(name.upper()))
