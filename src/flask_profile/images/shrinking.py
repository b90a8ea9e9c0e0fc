"""Shrink a decoded image, apply its EXIF orientation and convert it to sRGB."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

from PIL import Image, ImageChops, ImageCms

from .sources import Source, strips

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def shrink(source: Source, size: int) -> Image.Image:
    """Return an image that fits into a square, with its orientation applied, in sRGB.

    Args:
        source: The decoded image.
        size: The side of the square, in pixels.
    """
    width, height = source.image.size
    ratio = min(1, size / width, size / height)
    fitted = max(1, round(width * ratio)), max(1, round(height * ratio))
    # Like thumbnail() of Pillow: first average whole pixels, until the image is twice as large.
    factor = max(1, width // fitted[0] // 2), max(1, height // fitted[1] // 2)
    reduced = _reduce(source, factor)
    box = (0, 0, width / factor[0], height / factor[1])
    image = reduced if reduced.size == fitted else reduced.resize(fitted, box=box)
    if image.mode == "RGBa":
        image = image.convert("RGBA")
    if source.orientation in _TRANSPOSITIONS:
        image = image.transpose(_TRANSPOSITIONS[source.orientation])
    image = _convert_to_srgb(image, source.profile)
    return image if source.gamma is None else _apply_gamma(image, source.gamma)


def _reduce(source: Source, factor: tuple[int, int]) -> Image.Image:
    """Return the mean of each rectangle of pixels, in a mode that can be resized."""
    width, height = source.image.size
    reduced = [
        _convert(source.image.crop(box), source.alpha and source.alpha.crop(box)).reduce(factor)
        for box in strips(source.image.size, factor[1])
    ]
    image = Image.new(reduced[0].mode, (-(-width // factor[0]), -(-height // factor[1])))
    top = 0
    for strip in reduced:
        image.paste(strip, (0, top))
        top += strip.height
    return image


def _convert(strip: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Return a strip in L, RGB or CMYK, or with premultiplied alpha if it may be transparent."""
    if strip.mode.startswith("I"):  # convert() would clip 16 bits instead of scaling them.
        strip = strip.point(lambda value: value / 256).convert("L")
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
    if alpha is not None:
        if strip.mode == "RGBA":
            alpha = ImageChops.darker(alpha, strip.getchannel("A"))
        strip = strip.convert("RGB")
        strip.putalpha(alpha)
    elif strip.mode not in {"L", "RGB", "RGBA", "CMYK"}:
        strip = strip.convert("RGB")
    return strip.convert("RGBa") if strip.mode == "RGBA" else strip


def _convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image in RGB or RGBA, with the colours that it has without a profile."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if profile:
        # A broken profile, or one of another mode, is ignored, as browsers do.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            found = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(image, found, _SRGB, outputMode=mode)
            return converted or image
    return image.convert(mode)


def _apply_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """Return an image in RGB or RGBA, converted from another gamma to that of sRGB."""
    light = [(sample / 255) ** (1 / gamma) for sample in range(256)]
    encoded = [
        12.92 * each if each <= 0.0031308 else 1.055 * each ** (1 / 2.4) - 0.055 for each in light
    ]
    table = [round(255 * each) for each in encoded] * 3
    return image.point(table + [*range(256)] if image.mode == "RGBA" else table)
