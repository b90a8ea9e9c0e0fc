"""What is found in the wild: odd, old and broken files of the four formats, and others."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import ExitStack

import pytest
from PIL import Image

import images
from contract import (
    BROKEN_IMAGE_BODY,
    TOO_MANY_PIXELS_BODY,
    UNAVAILABLE,
    UNSUPPORTED_IMAGE_BODY,
)
from flask_profile.images import slots
from images import BLUE, GREEN, RED, WHITE, decode, encode, encode_solid, is_close, read_corners

pytestmark = pytest.mark.usefixtures("no_logged_errors")


def stored_pixels(avatars, sent):
    """Upload an image, and return what is stored in RGBA."""
    return decode(avatars.upload(sent)).convert("RGBA")


def insert_segment(jpeg, marker, content):
    """Return a JPEG with a segment behind its start."""
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
    return jpeg[:2] + segment + jpeg[2:]


JPEG = encode(format="JPEG")
SCAN_MARKERS = b"\xff\xda" * 500


class TestJpeg:
    @pytest.mark.parametrize(
        "sent",
        [
            insert_segment(encode(format="JPEG"), 0xFE, SCAN_MARKERS),
            insert_segment(encode(format="JPEG"), 0xE2, b"ICC_PROFILE\0\1\1" + SCAN_MARKERS),
            insert_segment(
                encode(format="JPEG"), 0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"x" * 9
            ),
            insert_segment(encode(format="JPEG"), 0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
            insert_segment(
                encode(format="JPEG"), 0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff"
            ),
            encode(format="JPEG") + b"\0\0\0\x18ftypmp42" + SCAN_MARKERS,
            encode(format="JPEG")[:2] + b"\xff\xff\xff" + encode(format="JPEG")[2:],
            encode(format="JPEG")[:20] + b"junk" + encode(format="JPEG")[20:],
            encode(format="JPEG")[:2] + b"\xff\x01" + encode(format="JPEG")[2:],
        ],
        ids=[
            *("a comment with markers", "a profile with markers", "broken EXIF", "a broken index"),
            *("broken Photoshop data", "a film behind it", "bytes to fill", "bytes between"),
            "a marker without a length",
        ],
    )
    def test_it_is_not_judged_by_its_metadata_or_by_what_follows(self, sent, avatars):
        corners = read_corners(decode(avatars.upload(sent)))
        assert corners == [RED, GREEN, BLUE, WHITE]

    def test_a_progressive_one_may_have_fewer_pixels(self, avatars):
        sent = images.build_jpeg_with_scans(10_000, 10_000, 2)
        assert avatars.rejects(sent, 400, TOO_MANY_PIXELS_BODY)

    def test_a_long_one_is_decoded_at_a_fraction_of_its_size(self, avatars):
        sent = encode_solid(size=(40_000, 300), format="JPEG")
        assert decode(avatars.upload(sent)).size == (512, 4)

    @pytest.mark.parametrize(
        "sent",
        [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0\0", JPEG[:20] + bytes(9)],
    )
    def test_a_stump_is_broken(self, sent, avatars):
        assert avatars.rejects(sent, 400, BROKEN_IMAGE_BODY)


def add_chunk(png, name, content, *, valid=True):
    """Return a PNG with a chunk behind its header."""
    checksum = zlib.crc32(name + content) ^ (not valid)
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
    return png[:33] + chunk + png[33:]


PNG = encode(format="PNG")


class TestPng:
    @pytest.mark.parametrize(
        "sent",
        [
            add_chunk(PNG, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000))),
            add_chunk(PNG, b"tEXt", b"Comment\0x", valid=False),
            add_chunk(PNG, b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))),
            add_chunk(PNG, b"iCCP", b"no end"),
            add_chunk(PNG, b"iCCP", b"x\0\0not compressed"),
            add_chunk(PNG, b"eXIf", b"II*\0\xff\xff\xff\xff"),
            add_chunk(PNG, b"pHYs", b"x"),
            add_chunk(PNG, b"gAMA", b"x"),
            add_chunk(PNG, b"tRNS", b"\xff\xff", valid=False),
            PNG + b"<?php evil(); ?>" * 100,
            PNG[:-12],
        ],
        ids=[
            *("a text bomb", "a broken text", "a profile bomb", "a broken profile"),
            *("a profile that is not compressed", "broken EXIF"),
            *(
                "broken pixels per inch",
                "a broken gamma",
                "broken transparency",
                "a script behind it",
            ),
            "no end",
        ],
    )
    def test_it_is_not_judged_by_its_metadata_or_by_what_follows(self, sent, avatars):
        assert read_corners(decode(avatars.upload(sent))) == [RED, GREEN, BLUE, WHITE]

    @pytest.mark.parametrize(
        "sent",
        [
            PNG.replace(b"\r\n\x1a\n", b"\n\x1a\n", 1),
            PNG[:-30],
            PNG[:40],
            add_chunk(PNG, b"IDAT", b"x"),
            PNG[:29] + bytes([PNG[29] ^ 1]) + PNG[30:],
            images.build_png(4, 4, 8, 2, rows=b""),
            PNG[:25] + b"\1" + PNG[26:],
        ],
        ids=[
            *("sent as text", "cut off", "a stump", "no image data", "a wrong checksum"),
            *("no rows", "no such colour type"),
        ],
    )
    def test_a_broken_one_has_its_own_error(self, sent, avatars):
        assert avatars.rejects(sent, 400, BROKEN_IMAGE_BODY)

    @pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
    def test_one_gray_may_be_transparent_at_any_depth(self, depth, avatars):
        transparent = 1 if depth < 16 else 0x1234
        row = {
            1: bytes([0, 0b10000000]),
            2: bytes([0, 0b01100000]),
            4: bytes([0, 0x12]),
            8: bytes([0, 1, 2]),
            16: b"\0" + struct.pack(">HH", 0x1234, 0x1235),
        }[depth]
        chunk = (b"tRNS", struct.pack(">H", transparent))
        sent = images.build_png(2, 1, depth, 0, chunk, rows=row)
        pixels = stored_pixels(avatars, sent)
        assert [pixels.getpixel((x, 0))[3] for x in (0, 1)] == [0, 255]

    @pytest.mark.parametrize("depth", [8, 16])
    def test_one_colour_may_be_transparent_at_any_depth(self, depth, avatars):
        code, other = {8: ("B", (1, 2, 4)), 16: ("H", (0x0101, 0x0202, 0x0304))}[depth]
        colour = {8: (1, 2, 3), 16: (0x0101, 0x0202, 0x0303)}[depth]
        row = b"\0" + struct.pack(f">6{code}", *colour, *other)
        chunk = (b"tRNS", struct.pack(">3H", *colour))
        pixels = stored_pixels(avatars, images.build_png(2, 1, depth, 2, chunk, rows=row))
        assert [pixels.getpixel((x, 0))[3] for x in (0, 1)] == [0, 255]

    def test_a_transparent_colour_is_ignored_where_each_pixel_has_its_own(self, avatars):
        sent = images.build_png(1, 1, 8, 6, (b"tRNS", b"\0\1\0\2\0\3"), rows=b"\0\1\2\3\xff")
        assert stored_pixels(avatars, sent).getpixel((0, 0))[3] == 255

    @pytest.mark.parametrize("colour_type", [4, 6])
    def test_sixteen_bits_may_have_transparency(self, colour_type, avatars):
        channels = {4: (0x8000, 0x4000), 6: (0xFFFF, 0x8000, 0, 0x4000)}[colour_type]
        row = b"\0" + struct.pack(f">{len(channels)}H", *channels)
        pixel = stored_pixels(avatars, images.build_png(1, 1, 16, colour_type, rows=row))
        expected = {4: (128, 128, 128, 64), 6: (255, 128, 0, 64)}[colour_type]
        assert is_close(pixel.getpixel((0, 0)), expected, 3)

    def test_its_gamma_is_applied(self, avatars):
        chunk = (b"gAMA", struct.pack(">I", 100_000))
        sent = images.build_png(1, 1, 8, 2, chunk, rows=b"\0\x80\x80\x80")
        assert is_close(stored_pixels(avatars, sent).getpixel((0, 0)), (188, 188, 188, 255), 2)
        sent = images.build_png(1, 1, 8, 6, chunk, rows=b"\0\x80\x80\x80\x80")
        assert is_close(stored_pixels(avatars, sent).getpixel((0, 0)), (188, 188, 188, 128), 3)

    @pytest.mark.parametrize("other", [(b"sRGB", b"\0"), (b"iCCP", b"x\0\0x")])
    def test_its_gamma_is_ignored_where_something_else_decides(self, other, avatars):
        chunk = (b"gAMA", struct.pack(">I", 100_000))
        sent = images.build_png(1, 1, 8, 2, chunk, other, rows=b"\0\x80\x80\x80")
        assert is_close(stored_pixels(avatars, sent).getpixel((0, 0)), (128, 128, 128, 255), 2)


def build_gif(screen, offset):
    """Return a GIF whose only image, which is red, does not fill its screen."""
    image = Image.new("P", (10, 10), 0)
    image.putpalette([*RED, *BLUE])
    data = bytearray(encode(image, "GIF"))
    data[6:10] = struct.pack("<HH", *screen)
    at = data.index(b",\0\0\0\0\x0a\0\x0a\0")
    data[at + 1 : at + 5] = struct.pack("<HH", *offset)
    return bytes(data)


class TestGif:
    def test_around_the_first_image_it_is_transparent(self, avatars):
        pixels = stored_pixels(avatars, build_gif((30, 20), (5, 5)))
        assert pixels.size == (30, 20)
        assert [pixels.getpixel(at)[3] for at in ((0, 0), (5, 5), (14, 14), (15, 15))] == [
            0,
            255,
            255,
            0,
        ]
        assert is_close(pixels.getpixel((9, 9)), (*RED, 255), 3)

    def test_its_own_transparency_is_kept_there(self, avatars):
        image = Image.new("P", (10, 10), 0)
        image.putpalette([*RED, *BLUE])
        image.paste(1, (0, 0, 5, 10))
        data = bytearray(encode(image, "GIF", transparency=1))
        data[6:10] = struct.pack("<HH", 20, 20)
        pixels = stored_pixels(avatars, bytes(data))
        assert [pixels.getpixel((x, 2))[3] for x in (2, 7, 15)] == [0, 255, 0]

    def test_an_image_beyond_the_screen_makes_it_larger(self, avatars):
        assert stored_pixels(avatars, build_gif((10, 10), (4, 2))).size == (14, 12)

    @pytest.mark.parametrize("sent", [b"GIF89a", b"GIF87a" + bytes(20), encode(format="GIF")[:30]])
    def test_a_stump_is_broken(self, sent, avatars):
        assert avatars.rejects(sent, 400, BROKEN_IMAGE_BODY)


class TestWebp:
    def test_a_small_file_may_be_too_large_an_image(self, avatars):
        file = io.BytesIO()
        Image.new("RGB", (6_324, 6_324), RED).save(file, "WEBP", lossless=True, method=0)
        assert len(file.getvalue()) < 50_000
        assert avatars.rejects(file.getvalue(), 400, TOO_MANY_PIXELS_BODY)

    def test_a_lossy_one_without_an_extension_is_accepted(self, avatars):
        sent = encode(format="WEBP", lossless=False)
        assert sent[12:16] == b"VP8 "
        assert decode(avatars.upload(sent)).size == (60, 40)

    @pytest.mark.parametrize(
        "sent",
        [
            b"RIFF\4\0\0\0WEBPABCD\0\0\0\0",
            b"RIFF\4\0\0\0WEBP",
            b"RIFF\xff\xff\xff\xffWEBPVP8X",
            encode(format="WEBP")[:40],
        ],
    )
    def test_a_stump_is_broken(self, sent, avatars):
        assert avatars.rejects(sent, 400, BROKEN_IMAGE_BODY)


def second_frame():
    """Return a small JPEG whose second frame header claims a large image."""
    at = JPEG.index(b"\xff\xc0")
    length = struct.unpack_from(">H", JPEG, at + 2)[0] + 2
    frame = bytearray(JPEG[at : at + length])
    frame[5:9] = b"\xff\xff\xff\xff"
    return JPEG[: at + length] + bytes(frame) + JPEG[at + length :]


def second_header():
    """Return a small PNG whose second header claims a large image."""
    return add_chunk(PNG, b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0))


def late_canvas():
    """Return a large WebP with a chunk behind its image that claims a small one."""
    file = io.BytesIO()
    Image.new("RGB", (6_324, 6_324), RED).save(file, "WEBP", lossless=True, method=0)
    return file.getvalue() + b"VP8X\x0a\0\0\0" + bytes(10)


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (second_frame, BROKEN_IMAGE_BODY),
        (second_header, BROKEN_IMAGE_BODY),
        (late_canvas, TOO_MANY_PIXELS_BODY),
    ],
)
def test_no_second_header_hides_the_size_of_an_image(make, body, avatars):
    assert avatars.rejects(make(), 400, body)


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(100),
        b"RIFF\4\0\0\0WAVEfmt ",
        b"\x8aPNG\r\n\x1a\n" + PNG[8:],
        b"\x09PNG\r\n\x1a\n" + PNG[8:],
    ],
    ids=["HEIC", "AVIF", "WAV", "MNG or so", "a signature of seven bits"],
)
def test_another_format_has_its_own_error(sent, avatars):
    assert avatars.rejects(sent, 415, UNSUPPORTED_IMAGE_BODY)


class TestFewColours:
    def test_an_image_of_few_colours_is_stored_without_loss(self, avatars):
        image = Image.new("RGB", (64, 64), WHITE)
        for x in range(64):
            image.putpixel((x, x), (x * 4, 0, 255 - x * 4))
            image.putpixel((x, 63 - x), BLUE)
        assert decode(avatars.upload(encode(image))).convert("RGB").tobytes() == image.tobytes()

    def test_noise_of_few_colours_is_stored_with_loss(self, avatars):
        noise = Image.effect_noise((512, 512), 90)
        assert b"VP8L" not in avatars.upload(encode(noise))[:40]

    def test_a_photo_is_stored_with_loss(self, avatars):
        photo = Image.merge("RGB", [Image.effect_noise((256, 256), 90) for _ in range(3)])
        stored = avatars.upload(encode(photo, "JPEG"))
        assert b"VP8L" not in stored[:40]


class TestSlots:
    """Two images are decoded at once in a process, two more wait, and all else is a 503."""

    def test_a_fifth_upload_is_a_503_at_once(self, avatars):
        with ExitStack() as taken:
            for _ in range(4):
                assert slots._places.acquire(blocking=False)
                taken.callback(slots._places.release)
            response = avatars.put(PNG)
            assert (response.status_code, response.json) == (503, UNAVAILABLE)
            assert response.headers["Retry-After"] == "1"
            assert avatars.list_files() == []
        assert avatars.put(PNG).status_code == 200

    def test_an_upload_that_waits_too_long_is_a_503(self, avatars, monkeypatch):
        monkeypatch.setattr(slots, "_SECONDS", 0.01)
        with slots.decoding_slot(), slots.decoding_slot():
            response = avatars.put(PNG)
            assert (response.status_code, response.json) == (503, UNAVAILABLE)
        assert avatars.put(PNG).status_code == 200

    def test_broken_images_leave_the_slots_free(self, avatars):
        for _ in range(6):
            assert avatars.put(PNG[:-30]).status_code == 400
        assert avatars.put(PNG).status_code == 200

    def test_another_c_library_has_nothing_to_give_back_memory(self, avatars, monkeypatch):
        monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
        assert slots._find_trim() is None
        monkeypatch.setattr(slots, "_trim", None)
        assert avatars.put(PNG).status_code == 200
