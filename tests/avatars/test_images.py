"""Which images a client may upload, and what is stored of them."""

from __future__ import annotations

import re
import time
import zipfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import images
from avatars.uploads import AVATAR_NAME, FORM_TYPE, build_form
from conftest import JOHN
from contract import (
    BROKEN_IMAGE_BODY,
    TOO_MANY_PIXELS_BODY,
    TOO_MANY_SCANS_BODY,
    UNSUPPORTED_IMAGE_BODY,
)
from images import (
    BLUE,
    FORMATS,
    GREEN,
    RED,
    WHITE,
    decode,
    encode,
    encode_solid,
    is_close,
    read_corners,
)


@contextmanager
def measure_peak_memory():
    """Measure by how many bytes the peak memory of the process grows within the context.

    The test is skipped on a system that does not report peak memory.
    """
    status, growth = Path("/proc/self/status"), []

    def read_peak():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1024

    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = read_peak()
    except (OSError, TypeError):
        pytest.skip("this system does not report the peak memory of a process")
    yield growth
    growth.append(read_peak() - before)


@pytest.mark.usefixtures("no_logged_errors")
class TestImage:
    @pytest.mark.parametrize("format", FORMATS)
    def test_it_may_be_sent_as_the_body_or_as_a_form_field(self, format, avatars):
        for put in (avatars.put, avatars.put_form):
            response = put(encode(format=format))
            assert response.status_code == 200
            assert response.content_type == "application/json"
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Vary"] == "Authorization"
            (name,) = avatars.list_files()
            assert response.json == avatars.get().json
            assert response.json["avatar"] == f"/media/{name}"
            stored = decode(Path(avatars.media, name).read_bytes())
            assert stored.size == (60, 40)
            assert read_corners(stored) == [RED, GREEN, BLUE, WHITE]

    @pytest.mark.parametrize("format", FORMATS)
    def test_its_metadata_is_not_stored(self, format, avatars):
        sent = images.encode_with_metadata(format)
        assert images.SECRET in sent
        stored = avatars.upload(sent)
        assert images.SECRET not in stored
        assert not {"exif", "icc_profile", "xmp", "comment"} & {*decode(stored).info}
        assert not decode(stored).getexif()
        assert not [name for name in (b"EXIF", b"ICCP", b"XMP ") if name in stored]

    @pytest.mark.parametrize("format", ["PNG", "JPEG"])
    def test_it_is_shrunk_to_fit_with_its_aspect_ratio_and_never_enlarged(
        self, format, make_avatars
    ):
        avatars = make_avatars(PROFILE_AVATAR_SIZE=32)
        for size, fitted in (
            ((64, 64), (32, 32)),
            ((320, 80), (32, 8)),
            ((80, 320), (8, 32)),
            ((32, 32), (32, 32)),
            ((33, 16), (32, 16)),
            ((20, 10), (20, 10)),
            ((1, 1), (1, 1)),
            ((1, 30_000), (1, 32)),
            ((30_000, 1), (32, 1)),
        ):
            stored = avatars.upload(encode_solid(size=size, format=format))
            assert decode(stored).size == fitted, size

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_its_exif_orientation_is_applied(self, format, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_SIZE=48)
        for orientation in range(1, 9):
            stored = decode(avatars.upload(images.encode_oriented(orientation, format)))
            assert stored.size == (48, 32), orientation
            assert read_corners(stored) == [RED, GREEN, BLUE, WHITE], orientation

    @pytest.mark.parametrize(
        ("sent", "colour"),
        [
            (encode_solid("CMYK", colour=(0, 255, 255, 0), format="JPEG"), RED),
            (encode_solid("L", colour=128, format="JPEG"), (128, 128, 128)),
            (encode_solid("1", colour=1), WHITE),
            (images.build_16_bit_png([0x8000]), (128, 128, 128)),
            (images.build_16_bit_png([0x0180]), (1, 1, 1)),
            (images.build_16_bit_png([0x8000], (b"tRNS", b"\xff\xff")), (128, 128, 128)),
            (images.build_16_bit_png([0xFFFF, 0x8000, 0]), (255, 128, 0)),
            (encode_solid("LA", colour=(128, 64)), (128, 128, 128, 64)),
            (encode_solid("RGBA", colour=(255, 0, 0, 64)), (*RED, 64)),
            (encode_solid("RGBA", colour=(255, 0, 0, 64), format="WEBP"), (*RED, 64)),
            (encode_solid("L", colour=128, transparency=128), (128, 128, 128, 0)),
            (encode_solid(colour=RED, transparency=RED), (*RED, 0)),
        ],
        ids=[
            *("CMYK", "grey JPEG", "one bit", "sixteen bits of grey", "dark sixteen bits"),
            *("sixteen bits and a transparent grey", "sixteen bits of colour", "grey and alpha"),
            *("alpha", "alpha in WebP", "a transparent grey", "a transparent colour"),
        ],
    )
    def test_its_colours_are_kept_in_every_colour_mode(self, sent, colour, avatars):
        stored = decode(avatars.upload(sent)).convert("RGBA")
        pixel = stored.getpixel((30, 20))
        expected = (*colour, 255)[:4]
        assert pixel[3] == expected[3]
        assert not pixel[3] or is_close(pixel, expected, 3)  # A transparent one has none.

    @pytest.mark.parametrize("format", ["PNG", "GIF"])
    def test_a_palette_keeps_its_transparent_colour(self, format, avatars):
        image = images.quadrants().quantize(4)
        transparent = image.getpixel((0, 0))
        stored = decode(avatars.upload(encode(image, format, transparency=transparent)))
        assert stored.getpixel((5, 5))[3] == 0
        assert stored.getpixel((55, 35))[3] == 255
        assert read_corners(stored)[1:] == [GREEN, BLUE, WHITE]

    def test_a_palette_keeps_a_half_transparent_colour(self, avatars):
        image = Image.new("P", (60, 40), 1)
        image.putpalette([*BLUE, *RED])
        stored = decode(avatars.upload(encode(image, transparency=bytes([0, 128]))))
        assert is_close(stored.getpixel((30, 20)), (*RED, 128), 2)

    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
    def test_only_the_first_frame_of_an_animation_is_stored(self, format, avatars):
        stored = decode(avatars.upload(images.encode_animation(format)))
        assert is_close(stored.getpixel((20, 15)), RED)
        assert getattr(stored, "n_frames", 1) == 1

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_its_colours_are_converted_from_its_colour_profile(self, format, avatars):
        profile = images.build_colour_profile(swapped=True)
        sent = encode_solid(colour=RED, format=format, icc_profile=profile)
        assert is_close(decode(avatars.upload(sent)).getpixel((30, 20)), GREEN)

    def test_a_colour_profile_does_not_change_transparency(self, avatars):
        profile = images.build_colour_profile(swapped=True)
        sent = encode_solid("RGBA", colour=(255, 0, 0, 100), icc_profile=profile)
        assert is_close(decode(avatars.upload(sent)).getpixel((30, 20)), (*GREEN, 100), 3)

    @pytest.mark.parametrize(
        ("mode", "profile"), [("RGB", b"x" * 200), ("L", images.build_colour_profile(swapped=True))]
    )
    def test_an_unusable_colour_profile_is_ignored(self, mode, profile, avatars):
        sent = encode_solid(
            mode, colour=WHITE[: len(mode)] if mode == "RGB" else 77, icc_profile=profile
        )
        expected = WHITE if mode == "RGB" else (77, 77, 77)
        assert is_close(decode(avatars.upload(sent)).getpixel((30, 20)), expected, 3)


@pytest.mark.usefixtures("no_logged_errors")
class TestHostileImage:
    @pytest.mark.parametrize("bomb", ["PNG", "WEBP", "GIF", "GIF with a smaller screen"])
    def test_a_decompression_bomb_is_rejected_without_being_decoded(self, bomb, make_avatars):
        sent = {
            "PNG": lambda: images.build_png(20_000, 9_000, 8, 6, rows=b""),
            "WEBP": lambda: images.build_webp_with_canvas(16_383, 16_383),
            "GIF": lambda: images.build_gif_with_screen(65_535, 65_535),
            "GIF with a smaller screen": lambda: images.build_gif_with_screen(10_000, 10_000),
        }[bomb]()
        assert len(sent) < 40_000
        avatars = make_avatars()
        assert avatars.put(encode_solid()).status_code == 200
        start = time.perf_counter()
        with measure_peak_memory() as growth:
            assert avatars.rejects(sent, 400, TOO_MANY_PIXELS_BODY)
        assert time.perf_counter() - start < 2
        assert growth[0] < 20 * 1024**2

    def test_a_jpeg_with_very_many_scans_is_rejected(self, avatars):
        sent = images.build_jpeg_with_scans(1_000, 800, 300)
        assert len(sent) < 100_000
        assert avatars.rejects(sent, 400, TOO_MANY_SCANS_BODY)

    def test_a_jpeg_with_a_few_scans_is_accepted(self, avatars):
        assert avatars.upload(images.build_jpeg_with_scans(400, 300, 9))
        stored = avatars.upload(encode(format="JPEG", progressive=True))
        assert read_corners(decode(stored))[0] == RED

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_truncated_image_is_rejected(self, format, avatars):
        sent = encode(format=format)
        assert avatars.rejects(sent[: len(sent) // 2], 400, BROKEN_IMAGE_BODY)

    @pytest.mark.parametrize("format", FORMATS)
    def test_an_image_with_a_wrong_byte_is_accepted_or_rejected_and_never_a_server_error(
        self, format, avatars
    ):
        sent = bytearray(images.encode_with_metadata(format))
        for index in range(0, len(sent), len(sent) // 40):
            hostile = bytes(sent[:index] + bytes([sent[index] ^ 0xFF]) + sent[index + 1 :])
            assert avatars.put(hostile).status_code in {200, 400, 415}
        assert len(avatars.list_files()) <= 1

    @pytest.mark.parametrize("format", FORMATS)
    def test_the_first_bytes_of_an_image_are_rejected(self, format, avatars):
        for end in range(0, 40, 3):
            response = avatars.put(encode(format=format)[:end])
            assert response.json in (BROKEN_IMAGE_BODY, UNSUPPORTED_IMAGE_BODY)
        assert avatars.list_files() == []

    @pytest.mark.parametrize("size", [(0, 0), (0, 10)])
    def test_an_image_without_pixels_is_rejected(self, size, avatars):
        response = avatars.put(images.build_png(*size, 8, 2))
        assert response.json in (BROKEN_IMAGE_BODY, UNSUPPORTED_IMAGE_BODY)

    @pytest.mark.parametrize(
        ("sent", "name"),
        [
            (b"", "me.png"),
            (b"<html><script>alert(1)</script>", "me.png"),
            (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "me.svg"),
            (b"GIF89a=1;alert(1)//", "me.gif"),
            (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer <<>>\n", "me.pdf"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "me.eps"),
            (encode_solid(format="BMP"), "me.png"),
            (encode_solid(format="TIFF"), "me.jpg"),
            (encode_solid(format="ICO"), "me.ico"),
            (encode_solid(format="PPM"), "me.png"),
            (b"\0" * 1000, "me.png"),
            (b"\xff\xd8\xff", "me.jpg"),
        ],
        ids=[
            *("empty", "HTML", "SVG", "GIF and script", "PDF", "EPS", "BMP", "TIFF", "ICO", "PPM"),
            *("zeros", "three bytes"),
        ],
    )
    def test_a_file_in_none_of_the_four_formats_is_rejected(self, sent, name, avatars):
        for response in (avatars.put(sent), avatars.put_form(sent, name)):
            assert response.status_code in {400, 415}
            assert (
                response.json
                == {400: BROKEN_IMAGE_BODY, 415: UNSUPPORTED_IMAGE_BODY}[response.status_code]
            )
            if not sent.startswith((b"GIF", b"\xff\xd8")):
                assert response.status_code == 415
        assert avatars.list_files() == []
        assert avatars.read_column() == JOHN["avatar"]

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_script_or_archive_appended_to_an_image_is_not_stored(self, format, avatars):
        archive = BytesIO()
        with zipfile.ZipFile(archive, "w") as zip_file:
            zip_file.writestr("evil.js", "alert(document.domain)")
        script = b"<script>alert(document.domain)</script>"
        sent = encode(format=format) + script + archive.getvalue()
        assert zipfile.is_zipfile(BytesIO(sent))
        stored = avatars.upload(sent)
        assert read_corners(decode(stored)) == [RED, GREEN, BLUE, WHITE]
        assert not zipfile.is_zipfile(BytesIO(stored))
        assert not [part for part in (b"alert", b"script", b"PK\3\4", b"evil") if part in stored]

    def test_a_gif_that_is_also_a_script_is_stored_as_an_image_only(self, avatars):
        sent = encode(format="GIF", comment=b"*/=1;alert(document.domain)/*")
        stored = avatars.upload(sent.replace(b"GIF89a", b"GIF89a", 1) + b"*/;alert(2)")
        assert b"alert" not in stored
        assert stored[:4] + stored[8:12] == b"RIFFWEBP"

    @pytest.mark.parametrize(
        "declared",
        [
            *("image/jpeg", "text/html", "application/json", "application/octet-stream", "", "x"),
            *("image/svg+xml; charset=utf-7", "multipart/mixed; boundary=x"),
        ],
    )
    def test_its_declared_media_type_is_ignored(self, declared, avatars):
        assert avatars.put(encode(), content_type=declared).status_code == 200
        assert avatars.put_form(encode(), content_type=declared).status_code == 200

    @pytest.mark.parametrize(
        "name",
        ["../../x", "/etc/passwd", "a\0b.png", "", "..\\..\\x.php", "x" * 5000, "é\u202e.png"],
    )
    def test_its_file_name_is_ignored(self, name, avatars, tmp_path):
        before = {p for p in tmp_path.rglob("*") if p.is_file()}
        disposition = f'form-data; name="avatar"; filename="{name}"'.encode()
        body = build_form(disposition, encode())
        response = avatars.put(body, content_type=FORM_TYPE)
        assert response.status_code == 200
        (new,) = {p for p in tmp_path.rglob("*") if p.is_file()} - before
        assert AVATAR_NAME.fullmatch(str(new.relative_to(avatars.media)))

    def test_each_upload_gets_a_new_file_name(self, avatars):
        names = set()
        for _ in range(5):
            avatars.upload(encode())
            names.add(avatars.read_column())
        assert len(names) == 5
        assert all(AVATAR_NAME.fullmatch(name) for name in names)
        assert len({name[8:16] for name in names}) == 5
