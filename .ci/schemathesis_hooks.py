"""Pictures for the operations that ask for one: OpenAPI cannot say what makes bytes a picture."""

from __future__ import annotations

from io import BytesIO

import schemathesis
from hypothesis import strategies
from PIL import Image


def pictures(kind: str) -> strategies.SearchStrategy[bytes]:
    """Return what makes pictures of a format, of any size and colour."""

    def encoded(size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
        file = BytesIO()
        Image.new("RGB", size, colour).save(file, kind)
        return file.getvalue()

    byte = strategies.integers(0, 255)
    side = strategies.integers(1, 600)
    return strategies.builds(
        encoded, strategies.tuples(side, side), strategies.tuples(byte, byte, byte)
    )


for name in ("png", "jpeg", "webp", "gif"):
    schemathesis.openapi.media_type(f"image/{name}", pictures(name.upper()))
