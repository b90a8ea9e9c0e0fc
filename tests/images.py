"""Build the images that honest and hostile clients upload, and inspect the stored ones."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from PIL import Image, PngImagePlugin

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SECRET = b"48.8583 N 2.2945 E"
_ORIENTATION, _DESCRIPTION, _GPS = 0x0112, 0x010E, 0x8825
# How a camera transposes an image that it stores with each value of the EXIF orientation.
_STORED_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quadrants(width=60, height=40):
    """Return an image whose four quadrants have different colours."""
    image = Image.new("RGB", (width, height), WHITE)
    half = (width // 2, height // 2)
    image.paste(RED, (0, 0, *half))
    image.paste(GREEN, (half[0], 0, width, half[1]))
    image.paste(BLUE, (0, half[1], half[0], height))
    return image


def encode(image=None, format="PNG", **options):
    """Return the file of an image, which defaults to ``quadrants()``."""
    out = BytesIO()
    lossless = {"lossless": True} if format == "WEBP" else {"quality": 95, "subsampling": 0}
    options = (lossless if format in {"WEBP", "JPEG"} else {}) | options
    (image or quadrants()).save(out, format, **options)
    return out.getvalue()


def encode_solid(mode="RGB", size=(60, 40), colour=0, format="PNG", **options):
    return encode(Image.new(mode, size, colour), format, **options)


def encode_noise(width=512, height=512):
    """Return a PNG of random noise, which no encoder can compress much."""
    return encode(Image.effect_noise((width, height), 100).convert("RGB"))


def decode(data):
    """Return the image of a stored file, which must be a WebP."""
    with Image.open(BytesIO(data), formats=["WEBP"]) as opened:
        opened.load()
        return opened


def is_close(colour, expected, tolerance=12):
    pairs = zip(colour, expected, strict=True)
    return all(abs(actual - wanted) <= tolerance for actual, wanted in pairs)


def read_corners(image):
    """Return the colours of the four corners, row by row.

    A colour that is close to one in ``quadrants()`` is returned as that one.
    """
    width, height = image.size
    x, y = width // 8, height // 8
    points = [(x, y), (width - 1 - x, y), (x, height - 1 - y), (width - 1 - x, height - 1 - y)]
    pixels = [image.convert("RGB").getpixel(point) for point in points]
    colours = (RED, GREEN, BLUE, WHITE)
    return [next((c for c in colours if is_close(c, colour, 40)), colour) for colour in pixels]


def encode_oriented(orientation, format):
    """Return ``quadrants()`` as a camera stores them with an EXIF orientation."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    image = quadrants()
    if orientation in _STORED_TRANSPOSITIONS:
        image = image.transpose(_STORED_TRANSPOSITIONS[orientation])
    return encode(image, format, exif=exif)


def encode_with_metadata(format):
    """Return an image with all the metadata that its format supports."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = SECRET.decode()
    exif.get_ifd(_GPS)[1] = "N"
    exif.get_ifd(_GPS)[29] = SECRET.decode()
    profile = build_colour_profile(description=SECRET)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
    if format == "GIF":
        return encode(format=format, comment=SECRET)
    if format == "PNG":
        text_chunks = PngImagePlugin.PngInfo()
        text_chunks.add_text("Comment", SECRET.decode())
        text_chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return encode(exif=exif, icc_profile=profile, pnginfo=text_chunks)
    options = {"comment": SECRET} if format == "JPEG" else {}
    return encode(format=format, exif=exif, icc_profile=profile, xmp=xmp, **options)


def encode_animation(format):
    """Return an animation whose three frames are red, blue and green."""
    first, *other_frames = (Image.new("RGB", (40, 30), colour) for colour in (RED, BLUE, GREEN))
    return encode(first, format, save_all=True, append_images=other_frames, duration=100, loop=0)


def build_colour_profile(*, swapped=False, description=b"x"):
    """Return an ICC profile of a display with sRGB's primaries.

    Args:
        swapped: Whether to swap the red and the green primary.
        description: The text of the profile's description tag.
    """

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    if swapped:
        red, green = green, red
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", len(description) + 1) + description + bytes(80)
    tags = {
        b"desc": text + bytes(-len(text) % 4),
        b"cprt": b"text\0\0\0\0x\0\0\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
        **{b"rXYZ": xyz(*red), b"gXYZ": xyz(*green), b"bXYZ": xyz(*blue)},
        **{b"rTRC": curve, b"gTRC": curve, b"bTRC": curve},
    }
    table, body = struct.pack(">I", len(tags)), b""
    data_offset = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", data_offset + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x",
        *(data_offset + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp"),
        *(63190, 65536, 54061),
    )
    return header + table + body


def build_png(width, height, depth, colour_type, *chunks, rows=None):
    """Return a PNG with extra chunks; its rows default to zero bytes."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    if rows is None:
        rows = bytes((1 + (width * depth * channels + 7) // 8) * height)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)),
            *(chunk(name, data) for name, data in chunks),
            chunk(b"IDAT", zlib.compress(rows, 1)),
            chunk(b"IEND", b""),
        ]
    )


def build_16_bit_png(colour, *chunks):
    """Return a PNG of a single colour with 16 bits per channel.

    A colour of one value makes a greyscale image, one of three values an RGB image.
    """
    row = b"\0" + struct.pack(f">{len(colour)}H", *colour) * 60
    return build_png(60, 40, 16, 0 if len(colour) == 1 else 2, *chunks, rows=row * 40)


def build_webp_with_canvas(width, height):
    """Return an animation whose header claims a canvas that is larger than its tiny frames."""
    data = bytearray(encode_animation("WEBP"))
    start = data.index(b"VP8X") + 12
    data[start : start + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def build_gif_with_screen(width, height):
    data = bytearray(encode(format="GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def build_jpeg_with_scans(width, height, scans):
    """Return a progressive JPEG; a decoder has to process the whole image for each scan."""

    def segment(marker, data):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data

    blocks = (width + 7) // 8 * ((height + 7) // 8)
    runs = "0" + "1" * 14  # The only Huffman code (a run of empty blocks), then its length.
    bits = runs * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    empty_scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    code = bytes([1] + [0] * 15)
    return b"".join(
        [
            b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"),
            segment(0xC4, b"\0" + code + b"\0") + segment(0xC4, b"\x10" + code + b"\xe0"),
            segment(0xDA, b"\1\1\0\0\0\0") + bytes((blocks + 7) // 8),
            (segment(0xDA, b"\1\1\0\1\x3f\x0d") + empty_scan) * scans,
            b"\xff\xd9",
        ]
    )
