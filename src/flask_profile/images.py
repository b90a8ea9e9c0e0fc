"""From an uploaded image to an avatar: decoded, fitted into a square, re-encoded as WebP."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .bodies import IMAGE_TYPES
from .errors import BrokenImageError, ImageFormatError

_MAX_PIXELS = 40_000_000
_MAX_SCANS = 100  # A JPEG has about ten scans, and each costs as much time as an image.
_START_OF_SCAN = b"\xff\xda"
_JPEG_FORMATS = {"JPEG", "MPO"}


def encode_avatar(data: bytes, size: int) -> bytes:
    """Return an image, without metadata and with its EXIF orientation applied, as WebP.

    Args:
        data: The uploaded file.
        size: The maximum width and height, in pixels.

    Raises:
        ImageFormatError: Where the content is not of an accepted format.
        BrokenImageError: Where it cannot be decoded, or would cost too much to decode.
    """
    try:
        with Image.open(BytesIO(data), formats=[*IMAGE_TYPES]) as opened:
            _refuse_costly(opened, data)
            image = _decode(opened, size)
    except UnidentifiedImageError as error:
        raise ImageFormatError from error
    except Exception as error:  # Pillow raises many classes for a broken file.
        raise BrokenImageError from error
    image.info.clear()
    encoded = BytesIO()
    image.save(encoded, "WEBP", quality=85)
    return encoded.getvalue()


def _refuse_costly(image: Image.Image, data: bytes) -> None:
    scans = data.count(_START_OF_SCAN) if image.format in _JPEG_FORMATS else 1
    if image.width * image.height > _MAX_PIXELS or scans > _MAX_SCANS:
        raise BrokenImageError


def _decode(image: Image.Image, size: int) -> Image.Image:
    """Return the image in sRGB, upright, and no larger than a square of ``size`` pixels."""
    image.draft("RGB", (size, size))  # A JPEG is decoded at a fraction of its size.
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.mode.startswith("I"):  # convert() would clip 16 bits instead of scaling them.
        image = image.point(lambda value: value / 256).convert("L")
    elif mode == "RGBA" or image.mode in {"1", "P"}:  # A palette cannot be resized smoothly.
        image = image.convert(mode)
    image.thumbnail((size, size))
    ImageOps.exif_transpose(image, in_place=True)
    return _convert_to_srgb(image, mode).convert(mode)


def _convert_to_srgb(image: Image.Image, mode: str) -> Image.Image:
    """Return an image in the colour space that is shown where no profile names another."""
    profile = image.info.get("icc_profile")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):  # A broken profile, or one of another mode.
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode=mode) or image
    return image
