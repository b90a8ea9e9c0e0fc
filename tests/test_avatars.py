"""Avatars: which images a client may upload, what is stored, and what remains after a failure."""

from __future__ import annotations

import gc
import json
import logging
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from flask import Blueprint, Flask
from flask_jwt_extended import JWTManager, create_access_token, get_csrf_token
from flask_sqlalchemy import SQLAlchemy
from PIL import Image
from sqlalchemy import event
from werkzeug.serving import WSGIRequestHandler, make_server

import images
from conftest import JOHN, SECRET, make_user_model
from contract import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED
from flask_profile import ConfigurationError, ProfileBlueprint, profile_updated
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

URL = "/api/profile/avatar/"
NAME = re.compile(r"avatars/[0-9a-f]{32}\.webp")
BROKEN_IMAGE = {"detail": "The picture is broken or has too many pixels."}
NOT_AN_IMAGE = {"detail": "The avatar must be a PNG, JPEG, WebP or GIF picture."}
TOO_LARGE = {"detail": "The body of the request is too large."}
CHANGED = {"detail": "The profile has changed since it was read."}
LIMIT = 20_000
FRAMING = 64 * 1024  # The bytes that a form may have in addition to its file.
FOREIGN_AVATARS = ["avatars/default.png", "../../x", "https://cdn.example/avatars/1.webp", ""]


class AvatarHost:
    """A host with avatars enabled, and helpers that call it and inspect its storage."""

    def __init__(self, host, media):
        self.host = host
        self.media = media

    def put(self, data, *, url=URL, identity="1", headers=(), **options):
        headers = {**self.host.bearer(identity), **dict(headers)}
        return self.host.client.put(url, data=data, headers=headers, **options)

    def put_form(self, data, name="me.png", content_type="image/png", **options):
        return self.put({"avatar": (BytesIO(data), name, content_type)}, **options)

    def delete(self, **headers):
        return self.host.client.delete(URL, headers=self.host.bearer() | headers)

    def get(self):
        return self.host.client.get("/api/profile/", headers=self.host.bearer())

    def list_files(self):
        return sorted(str(p.relative_to(self.media)) for p in self.media.rglob("*") if p.is_file())

    def read_column(self):
        with self.host.app.app_context():
            return self.host.db.session.get(self.host.User, 1).avatar

    def upload(self, data):
        """Upload an image and return the bytes of the only stored file, which the row must name."""
        response = self.put(data)
        assert response.status_code == 200, response.data
        assert self.list_files() == [self.read_column()]
        assert response.json["avatar"] == f"/media/{self.read_column()}"
        return Path(self.media, self.read_column()).read_bytes()

    def rejects(self, data, status, body):
        """Return whether an upload that gets this error response changes nothing."""
        before = self.list_files(), self.read_column()
        response = self.put(data)
        assert (response.status_code, response.json) == (status, body)
        return (self.list_files(), self.read_column()) == before


@pytest.fixture
def make_avatars(host, tmp_path, database):
    """Return a factory of hosts with avatars enabled; it takes config by keyword."""

    def make(*, on_disk=False, **config):
        database_config = {}
        if on_disk and database == "sqlite://":  # In memory, all threads share one connection.
            database_config = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/threads.db"}
        media = tmp_path / "storage"
        defaults = {
            "PROFILE_AVATARS": True,
            "PROFILE_MEDIA_STORAGE": str(media),
            "PROFILE_METHODS": ["GET", "POST"],
        }
        return AvatarHost(host(**(defaults | database_config | config)).add(), media)

    return make


@pytest.fixture
def avatars(make_avatars):
    return make_avatars()


@pytest.fixture
def collect_garbage():
    """Collect garbage after a test, so that no later test reports its unclosed files."""
    yield
    gc.collect()


def ignore_unclosed_files(test):
    """Ignore a warning: Werkzeug does not close the files of a form that ends too early."""
    ignored = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile:ResourceWarning")
    return ignored(pytest.mark.usefixtures("collect_garbage")(test))


@pytest.fixture
def no_logged_errors(caplog):
    """Check that nothing a client does is logged as an error."""
    yield
    assert not [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]


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
        assert is_close(pixel, expected, 3)

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
            "PNG": lambda: images.build_png(10_000, 5_000, 1, 0),
            "WEBP": lambda: images.build_webp_with_canvas(16_383, 16_383),
            "GIF": lambda: images.build_gif_with_screen(65_535, 65_535),
            "GIF with a smaller screen": lambda: images.build_gif_with_screen(9_000, 9_000),
        }[bomb]()
        assert len(sent) < 40_000
        avatars = make_avatars()
        assert avatars.put(encode_solid()).status_code == 200
        start = time.perf_counter()
        with measure_peak_memory() as growth:
            assert avatars.rejects(sent, 400, BROKEN_IMAGE)
        assert time.perf_counter() - start < 2
        assert growth[0] < 20 * 1024**2

    def test_an_image_may_have_as_many_pixels_as_the_limit(self, avatars):
        assert decode(avatars.upload(images.build_png(8_000, 5_000, 1, 0))).size == (512, 320)
        assert avatars.rejects(images.build_png(8_000, 5_001, 1, 0), 400, BROKEN_IMAGE)

    def test_a_jpeg_with_very_many_scans_is_rejected(self, avatars):
        sent = images.build_jpeg_with_scans(8_000, 5_000, 300)
        assert len(sent) < 100_000
        assert avatars.rejects(sent, 400, BROKEN_IMAGE)

    def test_a_jpeg_with_a_few_scans_is_accepted(self, avatars):
        assert avatars.upload(images.build_jpeg_with_scans(400, 300, 9))
        stored = avatars.upload(encode(format="JPEG", progressive=True))
        assert read_corners(decode(stored))[0] == RED

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_truncated_image_is_rejected(self, format, avatars):
        sent = encode(format=format)
        assert avatars.rejects(sent[: len(sent) // 2], 400, BROKEN_IMAGE)

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
            assert response.json in (BROKEN_IMAGE, NOT_AN_IMAGE)
        assert avatars.list_files() == []

    @pytest.mark.parametrize("size", [(0, 0), (0, 10)])
    def test_an_image_without_pixels_is_rejected(self, size, avatars):
        response = avatars.put(images.build_png(*size, 8, 2))
        assert response.json in (BROKEN_IMAGE, NOT_AN_IMAGE)

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
            assert response.json == {400: BROKEN_IMAGE, 415: NOT_AN_IMAGE}[response.status_code]
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
        assert NAME.fullmatch(str(new.relative_to(avatars.media)))

    def test_each_upload_gets_a_new_file_name(self, avatars):
        names = set()
        for _ in range(5):
            avatars.upload(encode())
            names.add(avatars.read_column())
        assert len(names) == 5
        assert all(NAME.fullmatch(name) for name in names)
        assert len({name[8:16] for name in names}) == 5


def build_form(disposition, data, boundary=b"x"):
    head = b"--" + boundary + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
    return head + data + b"\r\n--" + boundary + b"--\r\n"


FORM_TYPE = "multipart/form-data; boundary=x"
AVATAR_DISPOSITION = b'form-data; name="avatar"; filename="me.png"'


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


class CountingBody:
    """A request body that counts the bytes read, and can call a function at the first read."""

    def __init__(self, data, on_first_read=lambda: None, endless=False):
        self.data = BytesIO(data)
        self.read_bytes = 0
        self.endless = endless
        self.on_first_read = on_first_read

    def read(self, size=-1):
        if not self.read_bytes:
            self.on_first_read()
        data = self.data.read(size)
        if self.endless and len(data) < size:
            data += b"x" * (size - len(data))
        self.read_bytes += len(data)
        return data


def encode_padded(length, format="PNG"):
    """Return an image padded to this many bytes; decoders ignore the padding."""
    data = encode(format=format)
    return data + bytes(length - len(data))


@pytest.mark.usefixtures("no_logged_errors")
class TestLength:
    def put(self, avatars, body, *, length=None, in_form=False):
        environ = {"wsgi.input": body, "CONTENT_TYPE": FORM_TYPE if in_form else "image/png"}
        if length is None:
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        else:
            environ["CONTENT_LENGTH"] = str(length)
        headers = avatars.host.bearer()
        return avatars.host.client.put(URL, headers=headers, environ_overrides=environ)

    def test_an_upload_may_be_as_long_as_the_limit(self, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        assert avatars.put(encode_padded(LIMIT)).status_code == 200
        assert avatars.put_form(encode_padded(LIMIT)).status_code == 200
        body = CountingBody(encode_padded(LIMIT))
        assert self.put(avatars, body).status_code == 200
        body = CountingBody(build_form(AVATAR_DISPOSITION, encode_padded(LIMIT)))
        assert self.put(avatars, body, in_form=True).status_code == 200

    def test_an_upload_one_byte_over_the_limit_is_rejected(self, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        assert avatars.rejects(encode_padded(LIMIT + 1), 413, TOO_LARGE)
        response = avatars.put_form(encode_padded(LIMIT + 1))
        assert (response.status_code, response.json) == (413, TOO_LARGE)
        assert avatars.list_files() == []

    @ignore_unclosed_files
    @pytest.mark.parametrize("in_form", [False, True])
    def test_an_upload_of_unknown_length_is_rejected_over_the_limit(self, in_form, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        for excess in (1, 2, 1000, 10_000_000):
            sent = encode_padded(LIMIT + excess)
            body = CountingBody(build_form(AVATAR_DISPOSITION, sent) if in_form else sent)
            response = self.put(avatars, body, in_form=in_form)
            assert (response.status_code, response.json) == (413, TOO_LARGE)
            assert body.read_bytes <= LIMIT + (FRAMING if in_form else 1)
        assert avatars.list_files() == []

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_body_with_too_large_a_content_length_is_rejected_unread(self, in_form, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        body = CountingBody(b"", endless=True)
        response = self.put(avatars, body, length=LIMIT + FRAMING, in_form=in_form)
        assert (response.status_code, response.json, body.read_bytes) == (413, TOO_LARGE, 0)

    @ignore_unclosed_files
    @pytest.mark.parametrize("in_form", [False, True])
    def test_an_endless_body_is_read_up_to_the_limit_only(self, in_form, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        for start in (b"", encode(), build_form(AVATAR_DISPOSITION, b"")[:-7]):
            body = CountingBody(start, endless=True)
            response = self.put(avatars, body, in_form=in_form)
            assert (response.status_code, response.json) == (413, TOO_LARGE)
            assert body.read_bytes <= LIMIT + FRAMING

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_lower_max_content_length_of_the_host_applies(self, in_form, make_avatars):
        avatars = make_avatars(MAX_CONTENT_LENGTH=1000)
        put = avatars.put_form if in_form else avatars.put
        assert put(encode_padded(700)).status_code == 200
        response = put(encode_padded(1001))
        assert (response.status_code, response.json) == (413, TOO_LARGE)

    @ignore_unclosed_files
    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_lower_max_content_length_applies_to_a_body_of_unknown_length(
        self, in_form, make_avatars
    ):
        avatars = make_avatars(MAX_CONTENT_LENGTH=1000)
        for sent, status in ((encode_padded(700), 200), (encode_padded(1001), 413)):
            body = CountingBody(build_form(AVATAR_DISPOSITION, sent) if in_form else sent)
            assert self.put(avatars, body, in_form=in_form).status_code == status
            assert body.read_bytes <= 1001

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_higher_max_content_length_does_not_raise_the_limit(self, in_form, make_avatars):
        avatars = make_avatars(MAX_CONTENT_LENGTH=10**9, PROFILE_AVATAR_MAX_BYTES=LIMIT)
        put = avatars.put_form if in_form else avatars.put
        assert put(encode_padded(LIMIT + 1)).status_code == 413

    def test_other_routes_are_not_limited(self, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=100)

        @avatars.host.app.post("/echo")
        def echo():
            from flask import request

            return request.get_data()

        assert avatars.host.client.post("/echo", data=b"x" * 1000).data == b"x" * 1000

    def test_a_form_with_very_many_fields_is_rejected(self, avatars):
        fields = {f"f{i}": "x" for i in range(2000)}
        response = avatars.put(fields | {"avatar": (BytesIO(encode()), "me.png")})
        assert (response.status_code, response.json) == (413, TOO_LARGE)
        assert avatars.list_files() == []

    def test_other_fields_of_the_form_are_ignored(self, avatars):
        fields = {"note": "x", "other": (BytesIO(b"no picture"), "x")}
        response = avatars.put(fields | {"avatar": (BytesIO(encode()), "me.png")})
        assert response.status_code == 200

    def test_a_form_without_the_file_is_rejected(self, avatars):
        for fields in ({}, {"avatar": "no file"}, {"picture": (BytesIO(encode()), "me.png")}):
            response = avatars.put(fields, content_type="multipart/form-data")
            assert (response.status_code, response.json) == (415, NOT_AN_IMAGE)

    @ignore_unclosed_files
    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=y",
            'multipart/form-data; boundary="é"',
        ],
    )
    def test_a_malformed_form_is_rejected(self, content_type, avatars):
        for body in (b"", b"\xff" * 100, b"--x", build_form(b"form-data", b"x"), b"--y\r\n"):
            response = avatars.put(body, content_type=content_type)
            assert response.json in (BROKEN_IMAGE, NOT_AN_IMAGE)
        assert avatars.list_files() == []


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        pass


@contextmanager
def serve(app):
    """Serve an app one request at a time.

    A response therefore shows that the server has finished all earlier requests.
    """
    server = make_server("127.0.0.1", 0, app, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.usefixtures("no_logged_errors")
class TestConnection:
    @pytest.fixture
    def avatars(self, make_avatars):
        return make_avatars(on_disk=True, PROFILE_AVATAR_MAX_BYTES=LIMIT)

    @pytest.fixture
    def port(self, avatars):
        with serve(avatars.host.app) as port:
            yield port

    @pytest.fixture
    def send(self, avatars, port):
        """Return a function that sends a request and returns the response's status and JSON."""
        token = avatars.host.bearer()["Authorization"]

        def send(*body, disconnect=False, **headers):
            lines = [f"PUT {URL} HTTP/1.1", "Host: x", f"Authorization: {token}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall("\r\n".join([*lines, "\r\n"]).encode() + b"".join(body))
                if disconnect:
                    return None
                client.shutdown(socket.SHUT_WR)
                response = b"".join(iter(lambda: client.recv(65536), b""))
            head, _, content = response.partition(b"\r\n\r\n")
            return int(head.split()[1]), json.loads(content)

        return send

    def encode_chunks(self, data, size=1000):
        parts = [data[i : i + size] for i in range(0, len(data), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [*parts, b""])

    def test_an_image_is_accepted(self, send, avatars):
        assert send(encode(), Content_Length=len(encode()))[0] == 200
        body = build_form(AVATAR_DISPOSITION, encode())
        headers = {"Content_Type": FORM_TYPE}
        assert send(body, Content_Length=len(body), **headers)[0] == 200
        assert avatars.list_files() == [avatars.read_column()]

    def test_a_chunked_image_is_accepted(self, send, avatars):
        assert send(self.encode_chunks(encode(), 50), Transfer_Encoding="chunked")[0] == 200
        body = self.encode_chunks(build_form(AVATAR_DISPOSITION, encode()), 7)
        headers = {"Content_Type": FORM_TYPE}
        assert send(body, Transfer_Encoding="chunked", **headers)[0] == 200
        assert avatars.list_files() == [avatars.read_column()]

    def test_a_body_without_a_content_length_is_read_as_empty(self, send):
        assert send() == (415, NOT_AN_IMAGE)
        assert send(encode()) == (415, NOT_AN_IMAGE)

    @ignore_unclosed_files
    def test_a_body_shorter_than_its_content_length_stores_no_broken_image(self, send, avatars):
        sent = encode()
        assert send(sent, Content_Length=len(sent) + 10) == (400, BROKEN_IMAGE)
        body = build_form(AVATAR_DISPOSITION, encode())
        headers = {"Content_Type": FORM_TYPE}
        assert send(body, Content_Length=len(body) + 10, **headers)[0] in {200, 400}
        assert send(body[:-30], Content_Length=len(body), **headers) == (400, BROKEN_IMAGE)
        assert avatars.read_column() in {JOHN["avatar"], *avatars.list_files()}

    def test_a_body_is_read_up_to_its_content_length_only(self, send, avatars):
        sent = encode()
        assert send(sent, Content_Length=len(sent) // 2) == (400, BROKEN_IMAGE)
        assert send(sent + b"GET / HTTP/1.1\r\n\r\n", Content_Length=len(sent))[0] == 200
        assert avatars.list_files() == [avatars.read_column()]

    @ignore_unclosed_files
    @pytest.mark.parametrize("end", [b"", b"--x", b"\r\n--x", b"\r\n--x\r\nContent-Dispo"])
    def test_a_form_without_its_final_boundary_is_rejected(self, end, send, avatars):
        body = build_form(AVATAR_DISPOSITION, encode()).removesuffix(b"\r\n--x--\r\n") + end
        headers = {"Content_Type": FORM_TYPE}
        assert send(body, Content_Length=len(body), **headers) == (415, NOT_AN_IMAGE)
        assert avatars.list_files() == []

    @pytest.mark.parametrize(
        "body", [b"zz\r\nabc\r\n", b"5\r\nab", b"", b"-1\r\n\r\n", b"ffffffffff\r\nab"]
    )
    def test_malformed_chunks_are_rejected(self, body, send, avatars):
        assert send(body, Transfer_Encoding="chunked")[1] in (BROKEN_IMAGE, NOT_AN_IMAGE, TOO_LARGE)
        assert avatars.list_files() == []

    @pytest.mark.parametrize("length", ["-1", "x", "1e9", "", "10, 10"])
    def test_an_invalid_content_length_is_rejected(self, length, send, avatars):
        assert send(encode(), Content_Length=length)[1] in (BROKEN_IMAGE, NOT_AN_IMAGE)
        assert avatars.list_files() == []

    def test_a_body_that_is_too_long_is_rejected_before_it_is_sent(self, send):
        assert send(Content_Length=10**9) == (413, TOO_LARGE)
        body = self.encode_chunks(encode_padded(LIMIT + 1))
        assert send(body, Transfer_Encoding="chunked") == (413, TOO_LARGE)

    @ignore_unclosed_files
    def test_a_client_that_disconnects_changes_nothing(self, send, avatars):
        sent = encode()
        for headers in ({"Content_Length": len(sent)}, {"Transfer_Encoding": "chunked"}):
            for body in (b"", sent[:50], b"32\r\n" + sent[:40]):
                send(body, disconnect=True, **headers)
        headers = {"Content_Type": FORM_TYPE, "Content_Length": 1000}
        send(build_form(AVATAR_DISPOSITION, sent)[:100], disconnect=True, **headers)
        assert send()[0] == 415
        assert avatars.list_files() == []
        assert avatars.read_column() == JOHN["avatar"]

    @pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
    @pytest.mark.parametrize(
        "curl_options",
        [
            ["-F", "avatar=@{}"],
            ["-F", "avatar=@{};type=text/html;filename=../../x"],
            ["--data-binary", "@{}"],
            ["-T", "{}"],
            ["-H", "Transfer-Encoding: chunked", "--data-binary", "@{}"],
            ["-H", "Transfer-Encoding: chunked", "-F", "avatar=@{}"],
        ],
        ids=" ".join,
    )
    def test_curl_uploads_it(self, curl_options, avatars, port, tmp_path):
        file = tmp_path / "me.png"
        file.write_bytes(encode())
        token = avatars.host.bearer()["Authorization"]
        command = ["curl", "-sS", "--noproxy", "*", "-X", "PUT", "-H", f"Authorization: {token}"]
        command += [part.format(file) for part in curl_options]
        url = f"http://127.0.0.1:{port}{URL.rstrip('/') if '-T' in curl_options else URL}"
        response = subprocess.run([*command, url], capture_output=True, check=True, timeout=20)
        assert json.loads(response.stdout)["avatar"] == f"/media/{avatars.read_column()}"
        assert avatars.list_files() == [avatars.read_column()]


class TestRowAndFile:
    def test_the_replaced_file_is_deleted(self, avatars):
        avatars.upload(encode_solid())
        first = avatars.read_column()
        avatars.upload(encode())
        assert first not in avatars.list_files()

    def test_the_replaced_file_is_deleted_only_after_the_commit(self, avatars):
        avatars.upload(encode_solid())
        first, files_before_commit = avatars.read_column(), []
        session = avatars.host.db.session
        event.listen(
            session, "before_commit", lambda _: files_before_commit.append(avatars.list_files())
        )
        avatars.upload(encode())
        assert files_before_commit == [sorted([first, avatars.read_column()])]

    @pytest.mark.parametrize("old", [*FOREIGN_AVATARS, "avatars/" + "0" * 31 + ".webp"])
    def test_a_file_with_a_foreign_name_is_not_deleted(self, old, avatars):
        set_avatar(avatars, old)
        kept = [
            avatars.media / "avatars/default.png",
            avatars.media / "avatars" / f"{'0' * 31}.webp",
        ]
        kept += [avatars.media.parent / "x", avatars.media.parent.parent / "x"]
        kept[0].parent.mkdir(parents=True)
        for path in kept:
            path.write_bytes(b"kept")
        assert avatars.put(encode()).status_code == 200
        set_avatar(avatars, old)
        assert avatars.delete().status_code == 204
        assert {path.read_bytes() for path in kept} == {b"kept"}

    @pytest.mark.parametrize("old", [None, *FOREIGN_AVATARS])
    def test_delete_clears_the_column_even_if_it_is_empty(self, old, avatars):
        set_avatar(avatars, old)
        for _ in range(2):
            response = avatars.delete()
            assert (response.status_code, response.data) == (204, b"")
            assert "Content-Type" not in response.headers
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Vary"] == "Authorization"
            assert avatars.read_column() is None
            assert avatars.get().json["avatar"] is None

    def test_delete_deletes_the_file(self, avatars):
        avatars.upload(encode())
        assert avatars.delete().status_code == 204
        assert avatars.list_files() == []

    def test_an_upload_changes_no_other_column(self, avatars):
        before = avatars.get().json
        avatars.upload(encode())
        assert avatars.get().json | {"avatar": 0} == before | {"avatar": 0}

    def test_the_etag_matches_the_next_get_response(self, avatars):
        for sent in (encode_solid(), encode()):
            response = avatars.put(sent)
            assert response.headers["ETag"] == avatars.get().headers["ETag"]

    def test_a_stale_if_match_changes_nothing(self, avatars):
        stale = avatars.get().headers["ETag"]
        avatars.upload(encode_solid())
        before = avatars.list_files()
        response = avatars.put(encode(), headers={"If-Match": stale})
        assert (response.status_code, response.json) == (412, CHANGED)
        response = avatars.delete(**{"If-Match": stale})
        assert (response.status_code, response.json) == (412, CHANGED)
        assert (avatars.list_files(), [avatars.read_column()]) == (before, before)

    def test_a_matching_if_match_is_accepted(self, avatars):
        for _ in range(2):
            etag = avatars.get().headers["ETag"]
            assert avatars.put(encode(), headers={"If-Match": etag}).status_code == 200
        assert avatars.put(encode(), headers={"If-Match": "*"}).status_code == 200
        etag = avatars.get().headers["ETag"]
        assert avatars.delete(**{"If-Match": etag}).status_code == 204

    def test_the_signal_has_the_old_and_the_new_value(self, avatars):
        signals = []

        def note(app, identity, changes):
            signals.append((identity, changes))

        with profile_updated.connected_to(note, avatars.host.app):
            avatars.upload(encode_solid())
            new = avatars.read_column()
            avatars.delete()
            avatars.delete()
        assert signals == [
            ("1", {"avatar": (JOHN["avatar"], new)}),
            ("1", {"avatar": (new, None)}),
        ]

    def test_concurrent_uploads_leave_exactly_one_file(self, make_avatars):
        avatars = make_avatars(on_disk=True)
        start = threading.Barrier(4)

        def upload(_):
            start.wait(20)
            return avatars.put(encode()).status_code

        with ThreadPoolExecutor(4) as pool:
            assert {*pool.map(upload, range(12))} == {200}
        assert avatars.list_files() == [avatars.read_column()]

    def test_a_concurrent_upload_and_delete_leave_only_the_file_in_the_row(self, make_avatars):
        avatars = make_avatars(on_disk=True)
        start = threading.Barrier(2)

        def upload():
            start.wait(20)
            return avatars.put(encode()).status_code

        def remove():
            start.wait(20)
            return avatars.delete().status_code

        with ThreadPoolExecutor(2) as pool:
            for _ in range(4):
                futures = [pool.submit(upload), pool.submit(remove)]
                assert [future.result() for future in futures] == [200, 204]
                assert avatars.list_files() == [name for name in [avatars.read_column()] if name]


def set_avatar(avatars, value):
    with avatars.host.app.app_context():
        avatars.host.db.session.get(avatars.host.User, 1).avatar = value
        avatars.host.db.session.commit()


class TestFailure:
    @pytest.fixture
    def avatars(self, avatars):
        avatars.upload(encode_solid())
        return avatars

    @pytest.fixture
    def before(self, avatars):
        return avatars.read_column()

    @pytest.mark.parametrize("moment", ["before_flush", "after_flush", "after_flush_postexec"])
    def test_a_failed_flush_changes_nothing(self, moment, avatars, before):
        with fail_at(avatars, moment):
            response = avatars.put(encode())
            assert (response.status_code, response.json) == (500, FAILED)
            assert avatars.delete().status_code == 500
        assert (avatars.list_files(), avatars.read_column()) == ([before], before)

    def test_a_failure_before_the_commit_keeps_the_old_avatar(self, avatars, before):
        with fail_at(avatars, "before_commit"):
            response = avatars.put(encode())
            assert (response.status_code, response.json) == (500, FAILED)
            assert avatars.delete().status_code == 500
        assert avatars.read_column() == before
        assert before in avatars.list_files()

    def test_a_failure_after_the_commit_keeps_the_new_avatar(self, avatars, before):
        with fail_at(avatars, "after_commit"):
            assert avatars.put(encode()).status_code == 500
        assert avatars.read_column() != before
        assert avatars.read_column() in avatars.list_files()

    def test_an_upload_for_a_user_deleted_in_the_meantime_leaves_no_file(self, avatars, before):
        def delete():
            with avatars.host.app.app_context():
                session = avatars.host.db.session
                session.delete(session.get(avatars.host.User, 1))
                session.commit()

        body = CountingBody(encode(), on_first_read=delete)
        headers = avatars.host.bearer()
        environ = {"wsgi.input": body, "CONTENT_LENGTH": str(len(encode()))}
        response = avatars.host.client.put(URL, headers=headers, environ_overrides=environ)
        assert (response.status_code, response.json) == (404, NOT_FOUND)
        assert avatars.list_files() == [before]

    @pytest.mark.parametrize("folder", ["file", "file/below"])
    def test_a_storage_folder_that_cannot_be_created_is_a_500(
        self, folder, make_avatars, tmp_path, caplog
    ):
        (tmp_path / "file").write_bytes(b"")
        avatars = make_avatars(PROFILE_MEDIA_STORAGE=tmp_path / folder)
        response = avatars.put(encode())
        assert (response.status_code, response.json) == (500, FAILED)
        assert avatars.read_column() == JOHN["avatar"]
        assert caplog.records[-1].exc_info
        assert avatars.delete().status_code == 204

    def test_a_full_disk_is_a_500(self, avatars, before):
        with limit_file_size(4096):
            response = avatars.put(images.encode_noise())
        assert (response.status_code, response.json) == (500, FAILED)
        assert (avatars.list_files(), avatars.read_column()) == ([before], before)
        assert avatars.put(images.encode_noise()).status_code == 200

    def test_a_file_that_cannot_be_deleted_is_logged(self, avatars, before, caplog):
        file = avatars.media / before
        file.unlink()
        file.mkdir()
        (file / "x").write_bytes(b"")
        assert avatars.put(encode()).status_code == 200
        assert [r for r in caplog.records if r.levelno == logging.ERROR and r.exc_info]
        assert avatars.read_column() in avatars.list_files()

    def test_a_file_that_is_already_missing_is_no_error_for_the_client(self, avatars, before):
        (avatars.media / before).unlink()
        assert avatars.put(encode()).status_code == 200
        assert avatars.list_files() == [avatars.read_column()]


@contextmanager
def fail_at(avatars, moment):
    def fail(*_):
        raise RuntimeError("broken on purpose")

    session = avatars.host.db.session
    event.listen(session, moment, fail)
    yield
    event.remove(session, moment, fail)


@contextmanager
def limit_file_size(limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestStorage:
    @pytest.mark.parametrize("path_type", [str, Path])
    def test_it_may_be_an_absolute_path(self, path_type, make_avatars, tmp_path):
        avatars = make_avatars(PROFILE_MEDIA_STORAGE=path_type(tmp_path / "not yet" / "there é"))
        avatars.media = tmp_path / "not yet" / "there é"
        assert avatars.upload(encode())

    @pytest.mark.parametrize(
        ("config", "folder"),
        [
            ({"PROFILE_MEDIA_STORAGE": None}, "media"),
            ({"PROFILE_MEDIA_STORAGE": "pictures/of/users"}, "pictures/of/users"),
            ({"PROFILE_MEDIA_STORAGE": Path("pictures")}, "pictures"),
        ],
    )
    def test_a_relative_path_is_below_the_instance_folder(self, config, folder, make_avatars):
        avatars = make_avatars(**config)
        avatars.media = Path(avatars.host.app.instance_path, folder)
        assert avatars.upload(encode())

    def test_it_may_be_in_memory(self, make_avatars, tmp_path):
        before = {*tmp_path.rglob("*")}
        avatars = make_avatars(PROFILE_MEDIA_STORAGE="memory://")
        for _ in range(2):
            assert avatars.put(encode()).status_code == 200
            assert NAME.fullmatch(avatars.read_column())
        assert avatars.delete().status_code == 204
        assert not [p for p in {*tmp_path.rglob("*")} - before if p.suffix == ".webp"]

    def test_it_may_be_a_file_url(self, make_avatars, tmp_path):
        folder = tmp_path / "by url"
        folder.mkdir()
        avatars = make_avatars(PROFILE_MEDIA_STORAGE=folder.as_uri())
        avatars.media = folder
        assert avatars.upload(encode())
        assert avatars.upload(encode_solid())

    @pytest.mark.parametrize(
        "value", ["ftp://example.com/x", "://", "nothing://x", "s3://", 1, b"media", ["media"], ""]
    )
    def test_an_invalid_value_is_rejected_when_the_blueprint_is_registered(self, value, host):
        with pytest.raises(ConfigurationError, match="PROFILE_MEDIA_STORAGE is "):
            host(PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=value)

    def test_the_folder_is_not_created_before_an_upload(self, avatars):
        assert avatars.get().status_code == 200
        assert not avatars.media.exists()


@pytest.fixture
def configure_s3(monkeypatch):
    """Return a function that configures an S3 server in the environment, as a host would."""

    def configure(url):
        config = {
            "ENDPOINT_URL": url,
            "ACCESS_KEY_ID": "key",
            "SECRET_ACCESS_KEY": "secret",
            "REGION": "us-east-1",
            "DEFAULT_REGION": "us-east-1",
            "ALLOW_HTTP": "true",
        }
        for key, value in config.items():
            monkeypatch.setenv(f"AWS_{key}", value)
        for key in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(key, raising=False)

    return configure


class TestS3:
    @pytest.fixture
    def bucket(self, configure_s3):
        reason = "the extra `hosts` has the S3 server"
        moto = pytest.importorskip("moto.server", reason=reason)
        boto3 = pytest.importorskip("boto3", reason=reason)
        server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        configure_s3(url)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="pictures")
        yield client
        client.close()
        server.stop()

    def test_the_storage_may_be_a_bucket(self, bucket, make_avatars):
        def list_keys():
            entries = bucket.list_objects_v2(Bucket="pictures").get("Contents", [])
            return [entry["Key"] for entry in entries]

        avatars = make_avatars(PROFILE_MEDIA_STORAGE="s3://pictures/of/users")
        for _ in range(2):
            assert avatars.put(encode()).status_code == 200
            assert list_keys() == [f"of/users/{avatars.read_column()}"]
        body = bucket.get_object(Bucket="pictures", Key=list_keys()[0])["Body"]
        assert read_corners(decode(body.read())) == [RED, GREEN, BLUE, WHITE]
        body.close()
        assert avatars.delete().status_code == 204
        assert list_keys() == []

    def test_a_missing_bucket_is_a_500(self, bucket, make_avatars):
        avatars = make_avatars(PROFILE_MEDIA_STORAGE="s3://nobodys")
        response = avatars.put(encode())
        assert (response.status_code, response.json) == (500, FAILED)
        assert avatars.read_column() == JOHN["avatar"]


def test_a_storage_that_never_responds_is_a_500_after_a_timeout(configure_s3, tmp_path):
    db = SQLAlchemy()
    app = Flask("host", instance_path=str(tmp_path))
    user = make_user_model(db)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure_s3(f"http://127.0.0.1:{silent.getsockname()[1]}")
        app.config.update(
            SQLALCHEMY_DATABASE_URI="sqlite://",
            JWT_SECRET_KEY=SECRET,
            PROFILE_AVATARS=True,
            PROFILE_MEDIA_STORAGE="s3://pictures",
        )
        db.init_app(app)
        JWTManager(app)
        app.register_blueprint(ProfileBlueprint())
        with app.app_context():
            db.create_all()
            db.session.add(user(**JOHN))
            db.session.commit()
            headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        start = time.perf_counter()
        response = app.test_client().put(URL, data=encode(), headers=headers)
        assert time.perf_counter() - start < 25
        silent.setblocking(False)
        silent.accept()[0].close()  # This fails if nothing connected to the server.
    assert (response.status_code, response.json) == (500, FAILED)
    with app.app_context():
        assert db.session.get(user, 1).avatar == JOHN["avatar"]
        db.session.remove()
        db.engine.dispose()


class TestRoute:
    def test_by_default_it_does_not_exist_and_nothing_is_imported(self):
        code = f"""
import sys
from flask import Flask
from flask_jwt_extended import JWTManager
from flask_profile import ProfileBlueprint
app = Flask("host")
app.config.update(JWT_SECRET_KEY="x" * 32)
JWTManager(app)
app.register_blueprint(ProfileBlueprint())
client = app.test_client()
print(*(client.open({URL!r}, method=m).status_code for m in ("PUT", "DELETE", "OPTIONS", "GET")))
opt_in = {{f"flask_profile.{{name}}" for name in ("avatars", "images", "storage")}}
print(*sorted({{"PIL", "obstore", *opt_in}} & {{*sys.modules}}))
"""
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout == "404 404 404 404\n\n"

    @pytest.mark.parametrize("url", [URL, URL.rstrip("/")])
    def test_it_exists_with_and_without_a_trailing_slash(self, url, avatars):
        assert avatars.put(encode(), url=url).status_code == 200
        headers = avatars.host.bearer()
        assert avatars.host.client.delete(url, headers=headers).status_code == 204

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "TRACE", "BREW"])
    def test_any_other_method_is_not_allowed(self, method, avatars):
        response = avatars.host.client.open(URL, method=method, headers=avatars.host.bearer())
        assert response.status_code == 405
        assert response.headers["Allow"] == "DELETE, OPTIONS, PUT"
        if method != "HEAD":
            assert response.json == {"detail": f'Method "{method}" not allowed.'}

    def test_options_returns_the_allowed_methods(self, avatars):
        response = avatars.host.client.options(URL)
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Allow"] == "DELETE, OPTIONS, PUT"
        assert "Accept-Patch" not in response.headers

    @pytest.mark.parametrize("in_form", [False, True])
    def test_an_unauthorized_request_is_rejected_before_its_body_is_read(self, in_form, avatars):
        avatars.host.add(id=2, username="ann", email="ann@example.com", is_active=False)
        body = CountingBody(b"", endless=True)
        for headers, status, expected in (
            ({}, 401, NOT_PROVIDED),
            (avatars.host.bearer("2"), 401, INACTIVE),
            (avatars.host.bearer("3"), 404, NOT_FOUND),
        ):
            environ = {"wsgi.input": body, "CONTENT_LENGTH": "1000"}
            environ["CONTENT_TYPE"] = FORM_TYPE if in_form else "image/png"
            client = avatars.host.client
            response = client.put(URL, headers=headers, environ_overrides=environ)
            assert (response.status_code, response.json) == (status, expected)
            response = avatars.host.client.delete(URL, headers=headers)
            assert (response.status_code, response.json) == (status, expected)
        assert body.read_bytes == 0
        assert avatars.list_files() == []

    def test_a_user_from_the_user_lookup_loader_is_updated(self, avatars):
        host = avatars.host

        @host.jwt.user_lookup_loader
        def load(_header, claims):
            return host.db.session.get(host.User, claims["sub"])

        assert avatars.upload(encode())

    def test_require_json_does_not_apply_to_it(self, make_avatars):
        avatars = make_avatars(PROFILE_REQUIRE_JSON=True)
        assert avatars.put(encode()).status_code == 200
        assert avatars.put_form(encode()).status_code == 200
        assert avatars.delete().status_code == 204
        assert avatars.host.post().status_code == 415

    def test_the_url_prefix_of_the_registration_applies(self, avatars):
        avatars.host.app.register_blueprint(ProfileBlueprint("mine"), url_prefix="/mine")
        assert avatars.put(encode(), url="/mine/avatar").status_code == 200
        assert avatars.put(encode(), url="/mine/avatar/").status_code == 200

    def test_the_configured_url_prefix_applies(self, make_avatars):
        avatars = make_avatars(PROFILE_URL_PREFIX="/me")
        assert avatars.put(encode(), url="/me/avatar/").status_code == 200
        assert avatars.put(encode()).status_code == 404

    def test_it_may_be_nested_in_a_blueprint_of_the_host(self, make_avatars):
        parent = Blueprint("parent", __name__, url_prefix="/host")
        parent.register_blueprint(ProfileBlueprint("child"))
        avatars = make_avatars(blueprint=parent)
        assert avatars.put(encode(), url=f"/host{URL}").status_code == 200

    @pytest.mark.parametrize("missing", ["PIL", "obstore.exceptions"])
    def test_a_missing_package_is_a_configuration_error_that_names_the_extra(
        self, missing, host, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, missing, None)
        for module in ("avatars", "images", "storage"):
            monkeypatch.delitem(sys.modules, f"flask_profile.{module}", raising=False)
        with pytest.raises(ConfigurationError, match=r"flask-profile-api\[avatars\]"):
            host(PROFILE_AVATARS=True)
        assert host().add().post().status_code == 200


class TestCookies:
    @pytest.fixture
    def avatars(self, make_avatars):
        return make_avatars(
            JWT_TOKEN_LOCATION=["cookies"],
            JWT_CSRF_CHECK_FORM=True,
            JWT_COOKIE_CSRF_PROTECT=True,
            PROFILE_AVATAR_MAX_BYTES=LIMIT,
        )

    def put(self, avatars, data, csrf=None):
        host = avatars.host
        token = host.token()
        with host.app.app_context():
            fields = {"csrf_token": csrf or get_csrf_token(token)}
        fields["avatar"] = (BytesIO(data), "me.png")
        headers = {"Cookie": f"access_token_cookie={token}"}
        return host.client.put(URL, data=fields, headers=headers)

    def test_a_form_may_have_both_the_image_and_the_csrf_token(self, avatars):
        assert self.put(avatars, encode()).status_code == 200
        assert avatars.list_files() == [avatars.read_column()]

    def test_a_wrong_csrf_token_is_rejected(self, avatars):
        response = self.put(avatars, encode(), csrf="wrong")
        assert response.status_code == 401
        assert avatars.list_files() == []

    def test_an_image_that_is_too_large_is_a_413(self, avatars):
        response = self.put(avatars, encode_padded(LIMIT + 1))
        assert (response.status_code, response.json) == (413, TOO_LARGE)

    def test_the_token_of_a_form_that_is_far_too_long_is_not_read(self, avatars):
        response = self.put(avatars, encode_padded(LIMIT + FRAMING))
        assert (response.status_code, avatars.list_files()) == (401, [])
