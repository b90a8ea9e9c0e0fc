"""Pictures as honest and hostile clients send them, and what is needed to judge one."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from PIL import Image, PngImagePlugin

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SECRET = b"48.8583 N 2.2945 E"
_ORIENTATION, _DESCRIPTION, _GPS = 0x0112, 0x010E, 0x8825
# How a camera holds what a viewer has to turn by EXIF's orientation.
_HELD = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quarters(width=60, height=40):
    """Return a picture of which each quarter is of another colour."""
    made = Image.new("RGB", (width, height), WHITE)
    half = (width // 2, height // 2)
    made.paste(RED, (0, 0, *half))
    made.paste(GREEN, (half[0], 0, width, half[1]))
    made.paste(BLUE, (0, half[1], half[0], height))
    return made


def encoded(picture=None, format="PNG", **options):
    """Return the bytes of a picture; of the quarters where none is given."""
    out = BytesIO()
    lossless = {"lossless": True} if format == "WEBP" else {"quality": 95, "subsampling": 0}
    options = (lossless if format in {"WEBP", "JPEG"} else {}) | options
    (picture or quarters()).save(out, format, **options)
    return out.getvalue()


def plain(mode="RGB", size=(60, 40), colour=0, format="PNG", **options):
    return encoded(Image.new(mode, size, colour), format, **options)


def noise(width=512, height=512):
    """Return a picture that no encoder makes small."""
    return encoded(Image.effect_noise((width, height), 100).convert("RGB"))


def decoded(data):
    """Return the one picture that is stored, which has to be a WebP."""
    with Image.open(BytesIO(data), formats=["WEBP"]) as opened:
        opened.load()
        return opened


def near(colour, other, tolerance=12):
    pairs = zip(colour, other, strict=True)
    return all(abs(one - another) <= tolerance for one, another in pairs)


def corners(picture):
    """Return the colours of the four corners, row by row, as the nearest that quarters have."""
    width, height = picture.size
    x, y = width // 8, height // 8
    points = [(x, y), (width - 1 - x, y), (x, height - 1 - y), (width - 1 - x, height - 1 - y)]
    found = [picture.convert("RGB").getpixel(point) for point in points]
    colours = (RED, GREEN, BLUE, WHITE)
    return [next((c for c in colours if near(c, colour, 40)), colour) for colour in found]


def held(orientation, format):
    """Return the quarters as a camera that was held so stores them."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    picture = quarters()
    if orientation in _HELD:
        picture = picture.transpose(_HELD[orientation])
    return encoded(picture, format, exif=exif)


def told(format):
    """Return a picture that tells of its maker all that its format can."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = SECRET.decode()
    exif.get_ifd(_GPS)[1] = "N"
    exif.get_ifd(_GPS)[29] = SECRET.decode()
    profile = colour_profile(description=SECRET)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
    if format == "GIF":
        return encoded(format=format, comment=SECRET)
    if format == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", SECRET.decode())
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return encoded(exif=exif, icc_profile=profile, pnginfo=texts)
    more = {"comment": SECRET} if format == "JPEG" else {}
    return encoded(format=format, exif=exif, icc_profile=profile, xmp=xmp, **more)


def animated(format):
    """Return an animation that is red at first and then blue, then green."""
    first, *others = (Image.new("RGB", (40, 30), colour) for colour in (RED, BLUE, GREEN))
    return encoded(first, format, save_all=True, append_images=others, duration=100, loop=0)


def colour_profile(*, swapped=False, description=b"x"):
    """Return an ICC profile of a display with sRGB's primaries, or with red and green swapped."""

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
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x",
        *(start + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp"),
        *(63190, 65536, 54061),
    )
    return header + table + body


def png(width, height, depth, kind, *chunks, rows=None):
    """Return a PNG of these chunks; its rows are zero where none are given."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    if rows is None:
        rows = bytes((1 + (width * depth * channels + 7) // 8) * height)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)),
            *(chunk(name, data) for name, data in chunks),
            chunk(b"IDAT", zlib.compress(rows, 1)),
            chunk(b"IEND", b""),
        ]
    )


def deep(colour, *chunks):
    """Return a PNG with sixteen bits a channel that is of one colour, of one or three channels."""
    row = b"\0" + struct.pack(f">{len(colour)}H", *colour) * 60
    return png(60, 40, 16, 0 if len(colour) == 1 else 2, *chunks, rows=row * 40)


def webp_of_canvas(width, height):
    """Return an animation whose tiny first picture claims to be of a canvas of this size."""
    data = bytearray(animated("WEBP"))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def gif_of_screen(width, height):
    data = bytearray(encoded(format="GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def jpeg_of_scans(width, height, scans):
    """Return a progressive JPEG that a decoder has to go through again for every scan."""

    def segment(marker, data):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data

    blocks = (width + 7) // 8 * ((height + 7) // 8)
    runs = "0" + "1" * 14  # The one code there is, of a run of empty blocks, and its length.
    bits = runs * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    nothing = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    code = bytes([1] + [0] * 15)
    return b"".join(
        [
            b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"),
            segment(0xC4, b"\0" + code + b"\0") + segment(0xC4, b"\x10" + code + b"\xe0"),
            segment(0xDA, b"\1\1\0\0\0\0") + bytes((blocks + 7) // 8),
            (segment(0xDA, b"\1\1\0\1\x3f\x0d") + nothing) * scans,
            b"\xff\xd9",
        ]
    )
