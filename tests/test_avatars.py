"""Avatars: what a client may upload, what is stored of it, and what a failure leaves behind."""

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
from conftest import JOHN, SECRET, user_of
from flask_profile import ConfigurationError, ProfileBlueprint, profile_updated
from images import BLUE, FORMATS, GREEN, RED, WHITE, corners, decoded, encoded, near, plain
from responses import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED

URL = "/api/profile/avatar/"
NAME = re.compile(r"avatars/[0-9a-f]{32}\.webp")
BROKEN = {"detail": "The picture is broken or has too many pixels."}
NO_PICTURE = {"detail": "The avatar must be a PNG, JPEG, WebP or GIF picture."}
TOO_LARGE = {"detail": "The body of the request is too large."}
CHANGED = {"detail": "The profile has changed since it was read."}
LIMIT = 20_000
FRAMING = 64 * 1024  # More than multipart needs around a file, and less than would hurt.
OTHERS = ["avatars/default.png", "../../x", "https://cdn.example/avatars/1.webp", ""]


class Avatars:
    """A host that takes avatars, a client of its, and a look into its storage."""

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

    def files(self):
        return sorted(str(p.relative_to(self.media)) for p in self.media.rglob("*") if p.is_file())

    def column(self):
        with self.host.app.app_context():
            return self.host.db.session.get(self.host.User, 1).avatar

    def stored(self, data):
        """Return the bytes of the one file that an upload leaves, which the row has to name."""
        answer = self.put(data)
        assert answer.status_code == 200, answer.data
        assert self.files() == [self.column()]
        assert answer.json["avatar"] == f"/media/{self.column()}"
        return Path(self.media, self.column()).read_bytes()

    def refuses(self, data, status, body):
        """Tell whether an upload is refused so, and leaves all as it was."""
        before = self.files(), self.column()
        answer = self.put(data)
        assert (answer.status_code, answer.json) == (status, body)
        return (self.files(), self.column()) == before


@pytest.fixture
def avatars_of(host, tmp_path, database):
    """Return what makes a host that takes avatars, by its config."""

    def make(*, on_disk=False, **config):
        where = {}
        if on_disk and database == "sqlite://":  # In memory there is one connection for all.
            where = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/threads.db"}
        media = tmp_path / "storage"
        defaults = {
            "PROFILE_AVATARS": True,
            "PROFILE_MEDIA_STORAGE": str(media),
            "PROFILE_METHODS": ["GET", "POST"],
        }
        return Avatars(host(**(defaults | where | config)).add(), media)

    return make


@pytest.fixture
def avatars(avatars_of):
    return avatars_of()


@pytest.fixture
def collected():
    """Let no garbage of a test be found by a later one."""
    yield
    gc.collect()


def breaks_off(test):
    """Put up with Werkzeug, which does not close the files of a form that breaks off."""
    ignored = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile:ResourceWarning")
    return ignored(pytest.mark.usefixtures("collected")(test))


@pytest.fixture
def quiet(caplog):
    """See to it that nothing a client does is a failure in the log."""
    yield
    assert not [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]


@pytest.mark.usefixtures("quiet")
class TestPicture:
    @pytest.mark.parametrize("format", FORMATS)
    def test_it_is_taken_as_the_body_and_as_a_field_of_a_form(self, format, avatars):
        for put in (avatars.put, avatars.put_form):
            answer = put(encoded(format=format))
            assert answer.status_code == 200
            assert answer.content_type == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Vary"] == "Authorization"
            (name,) = avatars.files()
            assert answer.json == avatars.get().json
            assert answer.json["avatar"] == f"/media/{name}"
            stored = decoded(Path(avatars.media, name).read_bytes())
            assert stored.size == (60, 40)
            assert corners(stored) == [RED, GREEN, BLUE, WHITE]

    @pytest.mark.parametrize("format", FORMATS)
    def test_nothing_that_it_tells_of_its_maker_is_stored(self, format, avatars):
        sent = images.told(format)
        assert images.SECRET in sent
        stored = avatars.stored(sent)
        assert images.SECRET not in stored
        assert not {"exif", "icc_profile", "xmp", "comment"} & {*decoded(stored).info}
        assert not decoded(stored).getexif()
        assert not [name for name in (b"EXIF", b"ICCP", b"XMP ") if name in stored]

    @pytest.mark.parametrize("format", ["PNG", "JPEG"])
    def test_it_is_fitted_with_its_shape_kept_and_never_enlarged(self, format, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_SIZE=32)
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
            stored = avatars.stored(plain(size=size, format=format))
            assert decoded(stored).size == fitted, size

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_it_is_stored_upright(self, format, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_SIZE=48)
        for orientation in range(1, 9):
            stored = decoded(avatars.stored(images.held(orientation, format)))
            assert stored.size == (48, 32), orientation
            assert corners(stored) == [RED, GREEN, BLUE, WHITE], orientation

    @pytest.mark.parametrize(
        ("sent", "colour"),
        [
            (plain("CMYK", colour=(0, 255, 255, 0), format="JPEG"), RED),
            (plain("L", colour=128, format="JPEG"), (128, 128, 128)),
            (plain("1", colour=1), WHITE),
            (images.deep([0x8000]), (128, 128, 128)),
            (images.deep([0x0180]), (1, 1, 1)),
            (images.deep([0x8000], (b"tRNS", b"\xff\xff")), (128, 128, 128)),
            (images.deep([0xFFFF, 0x8000, 0]), (255, 128, 0)),
            (plain("LA", colour=(128, 64)), (128, 128, 128, 64)),
            (plain("RGBA", colour=(255, 0, 0, 64)), (*RED, 64)),
            (plain("RGBA", colour=(255, 0, 0, 64), format="WEBP"), (*RED, 64)),
            (plain("L", colour=128, transparency=128), (128, 128, 128, 0)),
            (plain(colour=RED, transparency=RED), (*RED, 0)),
        ],
        ids=[
            *("CMYK", "grey JPEG", "one bit", "sixteen bits of grey", "dark sixteen bits"),
            *("sixteen bits and a transparent grey", "sixteen bits of colour", "grey and alpha"),
            *("alpha", "alpha in WebP", "a transparent grey", "a transparent colour"),
        ],
    )
    def test_its_colours_are_kept_whatever_holds_them(self, sent, colour, avatars):
        stored = decoded(avatars.stored(sent)).convert("RGBA")
        pixel = stored.getpixel((30, 20))
        expected = (*colour, 255)[:4]
        assert pixel[3] == expected[3]
        assert near(pixel, expected, 3)

    @pytest.mark.parametrize("format", ["PNG", "GIF"])
    def test_a_palette_keeps_what_is_transparent(self, format, avatars):
        picture = images.quarters().quantize(4)
        clear = picture.getpixel((0, 0))
        stored = decoded(avatars.stored(encoded(picture, format, transparency=clear)))
        assert stored.getpixel((5, 5))[3] == 0
        assert stored.getpixel((55, 35))[3] == 255
        assert corners(stored)[1:] == [GREEN, BLUE, WHITE]

    def test_a_palette_keeps_what_is_half_transparent(self, avatars):
        picture = Image.new("P", (60, 40), 1)
        picture.putpalette([*BLUE, *RED])
        stored = decoded(avatars.stored(encoded(picture, transparency=bytes([0, 128]))))
        assert near(stored.getpixel((30, 20)), (*RED, 128), 2)

    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
    def test_of_an_animation_the_first_picture_is_stored(self, format, avatars):
        stored = decoded(avatars.stored(images.animated(format)))
        assert near(stored.getpixel((20, 15)), RED)
        assert getattr(stored, "n_frames", 1) == 1

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_it_is_shown_in_the_colours_that_its_profile_means(self, format, avatars):
        profile = images.colour_profile(swapped=True)
        sent = plain(colour=RED, format=format, icc_profile=profile)
        assert near(decoded(avatars.stored(sent)).getpixel((30, 20)), GREEN)

    def test_a_profile_leaves_what_is_transparent_so(self, avatars):
        profile = images.colour_profile(swapped=True)
        sent = plain("RGBA", colour=(255, 0, 0, 100), icc_profile=profile)
        assert near(decoded(avatars.stored(sent)).getpixel((30, 20)), (*GREEN, 100), 3)

    @pytest.mark.parametrize(
        ("mode", "profile"), [("RGB", b"x" * 200), ("L", images.colour_profile(swapped=True))]
    )
    def test_a_profile_that_cannot_be_used_is_passed_over(self, mode, profile, avatars):
        sent = plain(mode, colour=WHITE[: len(mode)] if mode == "RGB" else 77, icc_profile=profile)
        expected = WHITE if mode == "RGB" else (77, 77, 77)
        assert near(decoded(avatars.stored(sent)).getpixel((30, 20)), expected, 3)


@pytest.mark.usefixtures("quiet")
class TestHostilePicture:
    @pytest.mark.parametrize("bomb", ["PNG", "WEBP", "GIF", "half a GIF"])
    def test_a_bomb_is_refused_before_it_goes_off(self, bomb, avatars_of):
        sent = {
            "PNG": lambda: images.png(10_000, 5_000, 1, 0),
            "WEBP": lambda: images.webp_of_canvas(16_383, 16_383),
            "GIF": lambda: images.gif_of_screen(65_535, 65_535),
            "half a GIF": lambda: images.gif_of_screen(9_000, 9_000),
        }[bomb]()
        assert len(sent) < 40_000
        avatars = avatars_of()
        assert avatars.put(plain()).status_code == 200
        began = time.perf_counter()
        with memory() as taken:
            assert avatars.refuses(sent, 400, BROKEN)
        assert time.perf_counter() - began < 2
        assert taken[0] < 20 * 1024**2

    def test_as_many_pixels_as_are_admitted_are_taken(self, avatars):
        assert decoded(avatars.stored(images.png(8_000, 5_000, 1, 0))).size == (512, 320)
        assert avatars.refuses(images.png(8_000, 5_001, 1, 0), 400, BROKEN)

    def test_a_jpeg_with_scans_without_end_is_refused(self, avatars):
        sent = images.jpeg_of_scans(8_000, 5_000, 300)
        assert len(sent) < 100_000
        assert avatars.refuses(sent, 400, BROKEN)

    def test_a_jpeg_with_a_few_scans_is_taken(self, avatars):
        assert avatars.stored(images.jpeg_of_scans(400, 300, 9))
        assert corners(decoded(avatars.stored(encoded(format="JPEG", progressive=True))))[0] == RED

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_part_of_a_picture_is_refused(self, format, avatars):
        sent = encoded(format=format)
        assert avatars.refuses(sent[: len(sent) // 2], 400, BROKEN)

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_picture_with_a_wrong_byte_is_taken_or_refused_and_never_a_failure(
        self, format, avatars
    ):
        sent = bytearray(images.told(format))
        for at in range(0, len(sent), len(sent) // 40):
            hostile = bytes(sent[:at] + bytes([sent[at] ^ 0xFF]) + sent[at + 1 :])
            assert avatars.put(hostile).status_code in {200, 400, 415}
        assert len(avatars.files()) <= 1

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_picture_that_has_barely_begun_is_refused(self, format, avatars):
        for end in range(0, 40, 3):
            answer = avatars.put(encoded(format=format)[:end])
            assert answer.json in (BROKEN, NO_PICTURE)
        assert avatars.files() == []

    @pytest.mark.parametrize("size", [(0, 0), (0, 10)])
    def test_a_picture_without_pixels_is_refused(self, size, avatars):
        answer = avatars.put(images.png(*size, 8, 2))
        assert answer.json in (BROKEN, NO_PICTURE)

    @pytest.mark.parametrize(
        ("sent", "name"),
        [
            (b"", "me.png"),
            (b"<html><script>alert(1)</script>", "me.png"),
            (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "me.svg"),
            (b"GIF89a=1;alert(1)//", "me.gif"),
            (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer <<>>\n", "me.pdf"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "me.eps"),
            (plain(format="BMP"), "me.png"),
            (plain(format="TIFF"), "me.jpg"),
            (plain(format="ICO"), "me.ico"),
            (plain(format="PPM"), "me.png"),
            (b"\0" * 1000, "me.png"),
            (b"\xff\xd8\xff", "me.jpg"),
        ],
        ids=[
            *("empty", "HTML", "SVG", "GIF and script", "PDF", "EPS", "BMP", "TIFF", "ICO", "PPM"),
            *("zeros", "three bytes"),
        ],
    )
    def test_what_is_no_picture_of_the_four_formats_is_refused(self, sent, name, avatars):
        for answer in (avatars.put(sent), avatars.put_form(sent, name)):
            assert answer.status_code in {400, 415}
            assert answer.json == {400: BROKEN, 415: NO_PICTURE}[answer.status_code]
            if not sent.startswith((b"GIF", b"\xff\xd8")):
                assert answer.status_code == 415
        assert avatars.files() == []
        assert avatars.column() == JOHN["avatar"]

    @pytest.mark.parametrize("format", FORMATS)
    def test_neither_script_nor_archive_rides_along(self, format, avatars):
        archive = BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("evil.js", "alert(document.domain)")
        script = b"<script>alert(document.domain)</script>"
        sent = encoded(format=format) + script + archive.getvalue()
        assert zipfile.is_zipfile(BytesIO(sent))
        stored = avatars.stored(sent)
        assert corners(decoded(stored)) == [RED, GREEN, BLUE, WHITE]
        assert not zipfile.is_zipfile(BytesIO(stored))
        assert not [part for part in (b"alert", b"script", b"PK\3\4", b"evil") if part in stored]

    def test_a_gif_that_is_a_script_too_is_stored_as_a_picture_only(self, avatars):
        sent = encoded(format="GIF", comment=b"*/=1;alert(document.domain)/*")
        stored = avatars.stored(sent.replace(b"GIF89a", b"GIF89a", 1) + b"*/;alert(2)")
        assert b"alert" not in stored
        assert stored[:4] + stored[8:12] == b"RIFFWEBP"

    @pytest.mark.parametrize(
        "declared",
        [
            *("image/jpeg", "text/html", "application/json", "application/octet-stream", "", "x"),
            *("image/svg+xml; charset=utf-7", "multipart/mixed; boundary=x"),
        ],
    )
    def test_what_type_it_is_said_to_be_is_irrelevant(self, declared, avatars):
        assert avatars.put(encoded(), content_type=declared).status_code == 200
        assert avatars.put_form(encoded(), content_type=declared).status_code == 200

    @pytest.mark.parametrize(
        "name",
        ["../../x", "/etc/passwd", "a\0b.png", "", "..\\..\\x.php", "x" * 5000, "é\u202e.png"],
    )
    def test_its_name_is_irrelevant(self, name, avatars, tmp_path):
        before = {p for p in tmp_path.rglob("*") if p.is_file()}
        disposition = f'form-data; name="avatar"; filename="{name}"'.encode()
        body = form(disposition, encoded())
        answer = avatars.put(body, content_type=OF_FORM)
        assert answer.status_code == 200
        (new,) = {p for p in tmp_path.rglob("*") if p.is_file()} - before
        assert NAME.fullmatch(str(new.relative_to(avatars.media)))

    def test_its_new_name_is_another_each_time(self, avatars):
        names = set()
        for _ in range(5):
            avatars.stored(encoded())
            names.add(avatars.column())
        assert len(names) == 5
        assert all(NAME.fullmatch(name) for name in names)
        assert len({name[8:16] for name in names}) == 5


def form(disposition, data, boundary=b"x"):
    head = b"--" + boundary + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
    return head + data + b"\r\n--" + boundary + b"--\r\n"


OF_FORM = "multipart/form-data; boundary=x"
AS_AVATAR = b'form-data; name="avatar"; filename="me.png"'


@contextmanager
def memory():
    """Collect by how many bytes the process has grown at its highest meanwhile, where it tells."""
    status, taken = Path("/proc/self/status"), []

    def peak():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1024

    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = peak()
    except (OSError, TypeError):
        pytest.skip("this system does not tell how much memory a process has taken")
    yield taken
    taken.append(peak() - before)


class Counting:
    """The body of a request, which notes how much of it is read, and may act at the first read."""

    def __init__(self, data, at_first=lambda: None, endless=False):
        self.data = BytesIO(data)
        self.read_bytes = 0
        self.endless = endless
        self.at_first = at_first

    def read(self, size=-1):
        if not self.read_bytes:
            self.at_first()
        data = self.data.read(size)
        if self.endless and len(data) < size:
            data += b"x" * (size - len(data))
        self.read_bytes += len(data)
        return data


def padded(length, format="PNG"):
    """Return a picture of as many bytes, the last of which no decoder looks at."""
    data = encoded(format=format)
    return data + bytes(length - len(data))


@pytest.mark.usefixtures("quiet")
class TestLength:
    def put(self, avatars, body, *, length=None, in_form=False):
        environ = {"wsgi.input": body, "CONTENT_TYPE": OF_FORM if in_form else "image/png"}
        if length is None:
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        else:
            environ["CONTENT_LENGTH"] = str(length)
        headers = avatars.host.bearer()
        return avatars.host.client.put(URL, headers=headers, environ_overrides=environ)

    def test_just_as_many_bytes_as_are_admitted_are_taken(self, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        assert avatars.put(padded(LIMIT)).status_code == 200
        assert avatars.put_form(padded(LIMIT)).status_code == 200
        body = Counting(padded(LIMIT))
        assert self.put(avatars, body).status_code == 200
        body = Counting(form(AS_AVATAR, padded(LIMIT)))
        assert self.put(avatars, body, in_form=True).status_code == 200

    def test_one_byte_more_is_too_much(self, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        assert avatars.refuses(padded(LIMIT + 1), 413, TOO_LARGE)
        answer = avatars.put_form(padded(LIMIT + 1))
        assert (answer.status_code, answer.json) == (413, TOO_LARGE)
        assert avatars.files() == []

    @breaks_off
    @pytest.mark.parametrize("in_form", [False, True])
    def test_so_is_it_where_no_length_is_said(self, in_form, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        for excess in (1, 2, 1000, 10_000_000):
            sent = padded(LIMIT + excess)
            body = Counting(form(AS_AVATAR, sent) if in_form else sent)
            answer = self.put(avatars, body, in_form=in_form)
            assert (answer.status_code, answer.json) == (413, TOO_LARGE)
            assert body.read_bytes <= LIMIT + (FRAMING if in_form else 1)
        assert avatars.files() == []

    @pytest.mark.parametrize("in_form", [False, True])
    def test_of_a_body_that_is_said_to_be_too_long_nothing_is_read(self, in_form, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        body = Counting(b"", endless=True)
        answer = self.put(avatars, body, length=LIMIT + FRAMING, in_form=in_form)
        assert (answer.status_code, answer.json, body.read_bytes) == (413, TOO_LARGE, 0)

    @breaks_off
    @pytest.mark.parametrize("in_form", [False, True])
    def test_of_a_body_without_end_no_more_than_the_limit_is_read(self, in_form, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        for start in (b"", encoded(), form(AS_AVATAR, b"")[:-7]):
            body = Counting(start, endless=True)
            answer = self.put(avatars, body, in_form=in_form)
            assert (answer.status_code, answer.json) == (413, TOO_LARGE)
            assert body.read_bytes <= LIMIT + FRAMING

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_lower_limit_of_the_host_wins(self, in_form, avatars_of):
        avatars = avatars_of(MAX_CONTENT_LENGTH=1000)
        put = avatars.put_form if in_form else avatars.put
        assert put(padded(700)).status_code == 200
        answer = put(padded(1001))
        assert (answer.status_code, answer.json) == (413, TOO_LARGE)

    @breaks_off
    @pytest.mark.parametrize("in_form", [False, True])
    def test_so_does_it_where_no_length_is_said(self, in_form, avatars_of):
        avatars = avatars_of(MAX_CONTENT_LENGTH=1000)
        for sent, status in ((padded(700), 200), (padded(1001), 413)):
            body = Counting(form(AS_AVATAR, sent) if in_form else sent)
            assert self.put(avatars, body, in_form=in_form).status_code == status
            assert body.read_bytes <= 1001

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_higher_limit_of_the_host_does_not(self, in_form, avatars_of):
        avatars = avatars_of(MAX_CONTENT_LENGTH=10**9, PROFILE_AVATAR_MAX_BYTES=LIMIT)
        put = avatars.put_form if in_form else avatars.put
        assert put(padded(LIMIT + 1)).status_code == 413

    def test_other_routes_keep_the_hosts_limit(self, avatars_of):
        avatars = avatars_of(PROFILE_AVATAR_MAX_BYTES=100)

        @avatars.host.app.post("/echo")
        def echo():
            from flask import request

            return request.get_data()

        assert avatars.host.client.post("/echo", data=b"x" * 1000).data == b"x" * 1000

    def test_many_fields_beside_it_are_too_much(self, avatars):
        fields = {f"f{i}": "x" for i in range(2000)}
        answer = avatars.put(fields | {"avatar": (BytesIO(encoded()), "me.png")})
        assert (answer.status_code, answer.json) == (413, TOO_LARGE)
        assert avatars.files() == []

    def test_a_few_fields_beside_it_are_passed_over(self, avatars):
        fields = {"note": "x", "other": (BytesIO(b"no picture"), "x")}
        answer = avatars.put(fields | {"avatar": (BytesIO(encoded()), "me.png")})
        assert answer.status_code == 200

    def test_a_form_without_the_file_is_refused(self, avatars):
        for fields in ({}, {"avatar": "no file"}, {"picture": (BytesIO(encoded()), "me.png")}):
            answer = avatars.put(fields, content_type="multipart/form-data")
            assert (answer.status_code, answer.json) == (415, NO_PICTURE)

    @breaks_off
    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=y",
            'multipart/form-data; boundary="é"',
        ],
    )
    def test_a_broken_form_is_refused(self, content_type, avatars):
        for body in (b"", b"\xff" * 100, b"--x", form(b"form-data", b"x"), b"--y\r\n"):
            answer = avatars.put(body, content_type=content_type)
            assert answer.json in (BROKEN, NO_PICTURE)
        assert avatars.files() == []


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        pass


@contextmanager
def served(app):
    """Serve an app, one request after the other, so that an answer tells that all before it are."""
    server = make_server("127.0.0.1", 0, app, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.usefixtures("quiet")
class TestConnection:
    @pytest.fixture
    def avatars(self, avatars_of):
        return avatars_of(on_disk=True, PROFILE_AVATAR_MAX_BYTES=LIMIT)

    @pytest.fixture
    def port(self, avatars):
        with served(avatars.host.app) as port:
            yield port

    @pytest.fixture
    def talk(self, avatars, port):
        """Return what sends a request to the server and returns its status and JSON."""
        token = avatars.host.bearer()["Authorization"]

        def talk(*body, hang_up=False, **headers):
            lines = [f"PUT {URL} HTTP/1.1", "Host: x", f"Authorization: {token}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall("\r\n".join([*lines, "\r\n"]).encode() + b"".join(body))
                if hang_up:
                    return None
                client.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: client.recv(65536), b""))
            head, _, content = answer.partition(b"\r\n\r\n")
            return int(head.split()[1]), json.loads(content)

        return talk

    def chunks(self, data, size=1000):
        parts = [data[i : i + size] for i in range(0, len(data), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [*parts, b""])

    def test_a_picture_is_taken(self, talk, avatars):
        assert talk(encoded(), Content_Length=len(encoded()))[0] == 200
        body = form(AS_AVATAR, encoded())
        sent = {"Content_Type": OF_FORM}
        assert talk(body, Content_Length=len(body), **sent)[0] == 200
        assert avatars.files() == [avatars.column()]

    def test_a_picture_in_chunks_is_taken(self, talk, avatars):
        assert talk(self.chunks(encoded(), 50), Transfer_Encoding="chunked")[0] == 200
        body = self.chunks(form(AS_AVATAR, encoded()), 7)
        sent = {"Content_Type": OF_FORM}
        assert talk(body, Transfer_Encoding="chunked", **sent)[0] == 200
        assert avatars.files() == [avatars.column()]

    def test_without_a_length_there_is_no_picture(self, talk):
        assert talk() == (415, NO_PICTURE)
        assert talk(encoded()) == (415, NO_PICTURE)

    @breaks_off
    def test_more_than_is_sent_cannot_be_read(self, talk, avatars):
        sent = encoded()
        assert talk(sent, Content_Length=len(sent) + 10) == (400, BROKEN)
        body = form(AS_AVATAR, encoded())
        of_form = {"Content_Type": OF_FORM}
        assert talk(body, Content_Length=len(body) + 10, **of_form)[0] in {200, 400}
        assert talk(body[:-30], Content_Length=len(body), **of_form) == (400, BROKEN)
        assert avatars.column() in {JOHN["avatar"], *avatars.files()}

    def test_less_than_is_sent_is_read(self, talk, avatars):
        sent = encoded()
        assert talk(sent, Content_Length=len(sent) // 2) == (400, BROKEN)
        assert talk(sent + b"GET / HTTP/1.1\r\n\r\n", Content_Length=len(sent))[0] == 200
        assert avatars.files() == [avatars.column()]

    @breaks_off
    @pytest.mark.parametrize("end", [b"", b"--x", b"\r\n--x", b"\r\n--x\r\nContent-Dispo"])
    def test_a_form_without_an_end_is_refused(self, end, talk, avatars):
        body = form(AS_AVATAR, encoded()).removesuffix(b"\r\n--x--\r\n") + end
        sent = {"Content_Type": OF_FORM}
        assert talk(body, Content_Length=len(body), **sent) == (415, NO_PICTURE)
        assert avatars.files() == []

    @pytest.mark.parametrize(
        "body", [b"zz\r\nabc\r\n", b"5\r\nab", b"", b"-1\r\n\r\n", b"ffffffffff\r\nab"]
    )
    def test_broken_chunks_are_refused(self, body, talk, avatars):
        assert talk(body, Transfer_Encoding="chunked")[1] in (BROKEN, NO_PICTURE, TOO_LARGE)
        assert avatars.files() == []

    @pytest.mark.parametrize("length", ["-1", "x", "1e9", "", "10, 10"])
    def test_a_length_that_is_none_is_refused(self, length, talk, avatars):
        assert talk(encoded(), Content_Length=length)[1] in (BROKEN, NO_PICTURE)
        assert avatars.files() == []

    def test_what_is_too_long_is_refused_before_it_is_sent(self, talk):
        assert talk(Content_Length=10**9) == (413, TOO_LARGE)
        assert talk(self.chunks(padded(LIMIT + 1)), Transfer_Encoding="chunked") == (413, TOO_LARGE)

    @breaks_off
    def test_a_client_that_hangs_up_leaves_all_as_it_was(self, talk, avatars):
        sent = encoded()
        for headers in ({"Content_Length": len(sent)}, {"Transfer_Encoding": "chunked"}):
            for body in (b"", sent[:50], b"32\r\n" + sent[:40]):
                talk(body, hang_up=True, **headers)
        of_form = {"Content_Type": OF_FORM, "Content_Length": 1000}
        talk(form(AS_AVATAR, sent)[:100], hang_up=True, **of_form)
        assert talk()[0] == 415
        assert avatars.files() == []
        assert avatars.column() == JOHN["avatar"]

    @pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
    @pytest.mark.parametrize(
        "how",
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
    def test_curl_uploads_it(self, how, avatars, port, tmp_path):
        file = tmp_path / "me.png"
        file.write_bytes(encoded())
        token = avatars.host.bearer()["Authorization"]
        command = ["curl", "-sS", "--noproxy", "*", "-X", "PUT", "-H", f"Authorization: {token}"]
        command += [part.format(file) for part in how]
        url = f"http://127.0.0.1:{port}{URL.rstrip('/') if '-T' in how else URL}"
        answer = subprocess.run([*command, url], capture_output=True, check=True, timeout=20)
        assert json.loads(answer.stdout)["avatar"] == f"/media/{avatars.column()}"
        assert avatars.files() == [avatars.column()]


class TestRowAndFile:
    def test_the_replaced_file_is_removed(self, avatars):
        avatars.stored(plain())
        first = avatars.column()
        avatars.stored(encoded())
        assert first not in avatars.files()

    def test_it_is_removed_only_after_the_commit(self, avatars):
        avatars.stored(plain())
        first, seen = avatars.column(), []
        session = avatars.host.db.session
        event.listen(session, "before_commit", lambda _: seen.append(avatars.files()))
        avatars.stored(encoded())
        assert seen == [sorted([first, avatars.column()])]

    @pytest.mark.parametrize("old", [*OTHERS, "avatars/" + "0" * 31 + ".webp"])
    def test_a_file_that_was_not_made_here_is_left(self, old, avatars):
        set_avatar(avatars, old)
        kept = [
            avatars.media / "avatars/default.png",
            avatars.media / "avatars" / f"{'0' * 31}.webp",
        ]
        kept += [avatars.media.parent / "x", avatars.media.parent.parent / "x"]
        kept[0].parent.mkdir(parents=True)
        for path in kept:
            path.write_bytes(b"kept")
        assert avatars.put(encoded()).status_code == 200
        set_avatar(avatars, old)
        assert avatars.delete().status_code == 204
        assert {path.read_bytes() for path in kept} == {b"kept"}

    @pytest.mark.parametrize("old", [None, *OTHERS])
    def test_delete_takes_it_away_also_where_there_is_none(self, old, avatars):
        set_avatar(avatars, old)
        for _ in range(2):
            answer = avatars.delete()
            assert (answer.status_code, answer.data) == (204, b"")
            assert "Content-Type" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Vary"] == "Authorization"
            assert avatars.column() is None
            assert avatars.get().json["avatar"] is None

    def test_delete_removes_the_file(self, avatars):
        avatars.stored(encoded())
        assert avatars.delete().status_code == 204
        assert avatars.files() == []

    def test_nothing_else_of_the_row_changes(self, avatars):
        before = avatars.get().json
        avatars.stored(encoded())
        assert avatars.get().json | {"avatar": 0} == before | {"avatar": 0}

    def test_the_etag_is_that_of_the_next_read(self, avatars):
        for sent in (plain(), encoded()):
            answer = avatars.put(sent)
            assert answer.headers["ETag"] == avatars.get().headers["ETag"]

    def test_a_stale_if_match_leaves_all_as_it_was(self, avatars):
        stale = avatars.get().headers["ETag"]
        avatars.stored(plain())
        before = avatars.files()
        answer = avatars.put(encoded(), headers={"If-Match": stale})
        assert (answer.status_code, answer.json) == (412, CHANGED)
        answer = avatars.delete(**{"If-Match": stale})
        assert (answer.status_code, answer.json) == (412, CHANGED)
        assert (avatars.files(), [avatars.column()]) == (before, before)

    def test_a_present_if_match_lets_it_through(self, avatars):
        for _ in range(2):
            etag = avatars.get().headers["ETag"]
            assert avatars.put(encoded(), headers={"If-Match": etag}).status_code == 200
        assert avatars.put(encoded(), headers={"If-Match": "*"}).status_code == 200
        etag = avatars.get().headers["ETag"]
        assert avatars.delete(**{"If-Match": etag}).status_code == 204

    def test_the_signal_tells_of_the_old_and_the_new(self, avatars):
        told = []

        def note(app, identity, changes):
            told.append((identity, changes))

        with profile_updated.connected_to(note, avatars.host.app):
            avatars.stored(plain())
            new = avatars.column()
            avatars.delete()
            avatars.delete()
        assert told == [
            ("1", {"avatar": (JOHN["avatar"], new)}),
            ("1", {"avatar": (new, None)}),
        ]

    def test_of_uploads_that_race_exactly_one_file_is_left(self, avatars_of):
        avatars = avatars_of(on_disk=True)
        start = threading.Barrier(4)

        def upload(_):
            start.wait(20)
            return avatars.put(encoded()).status_code

        with ThreadPoolExecutor(4) as pool:
            assert {*pool.map(upload, range(12))} == {200}
        assert avatars.files() == [avatars.column()]

    def test_an_upload_and_a_removal_that_race_leave_what_the_row_names(self, avatars_of):
        avatars = avatars_of(on_disk=True)
        start = threading.Barrier(2)

        def upload():
            start.wait(20)
            return avatars.put(encoded()).status_code

        def remove():
            start.wait(20)
            return avatars.delete().status_code

        with ThreadPoolExecutor(2) as pool:
            for _ in range(4):
                done = [pool.submit(upload), pool.submit(remove)]
                assert [one.result() for one in done] == [200, 204]
                assert avatars.files() == [name for name in [avatars.column()] if name]


def set_avatar(avatars, value):
    with avatars.host.app.app_context():
        avatars.host.db.session.get(avatars.host.User, 1).avatar = value
        avatars.host.db.session.commit()


class TestFailure:
    @pytest.fixture
    def avatars(self, avatars):
        avatars.stored(plain())
        return avatars

    @pytest.fixture
    def before(self, avatars):
        return avatars.column()

    @pytest.mark.parametrize("moment", ["before_flush", "after_flush", "after_flush_postexec"])
    def test_of_a_flush_leaves_all_as_it_was(self, moment, avatars, before):
        with failing(avatars, moment):
            answer = avatars.put(encoded())
            assert (answer.status_code, answer.json) == (500, FAILED)
            assert avatars.delete().status_code == 500
        assert (avatars.files(), avatars.column()) == ([before], before)

    def test_of_the_commit_leaves_the_old_avatar_whole(self, avatars, before):
        with failing(avatars, "before_commit"):
            answer = avatars.put(encoded())
            assert (answer.status_code, answer.json) == (500, FAILED)
            assert avatars.delete().status_code == 500
        assert avatars.column() == before
        assert before in avatars.files()

    def test_of_a_commit_that_was_made_leaves_the_new_avatar_whole(self, avatars, before):
        with failing(avatars, "after_commit"):
            assert avatars.put(encoded()).status_code == 500
        assert avatars.column() != before
        assert avatars.column() in avatars.files()

    def test_a_user_who_is_deleted_meanwhile_leaves_no_file(self, avatars, before):
        def delete():
            with avatars.host.app.app_context():
                session = avatars.host.db.session
                session.delete(session.get(avatars.host.User, 1))
                session.commit()

        body = Counting(encoded(), at_first=delete)
        headers = avatars.host.bearer()
        environ = {"wsgi.input": body, "CONTENT_LENGTH": str(len(encoded()))}
        answer = avatars.host.client.put(URL, headers=headers, environ_overrides=environ)
        assert (answer.status_code, answer.json) == (404, NOT_FOUND)
        assert avatars.files() == [before]

    @pytest.mark.parametrize("place", ["file", "file/below"])
    def test_a_storage_that_cannot_be_made_is_one(self, place, avatars_of, tmp_path, caplog):
        (tmp_path / "file").write_bytes(b"")
        avatars = avatars_of(PROFILE_MEDIA_STORAGE=tmp_path / place)
        answer = avatars.put(encoded())
        assert (answer.status_code, answer.json) == (500, FAILED)
        assert avatars.column() == JOHN["avatar"]
        assert caplog.records[-1].exc_info
        assert avatars.delete().status_code == 204

    def test_a_full_disk_is_one(self, avatars, before):
        with no_file_longer_than(4096):
            answer = avatars.put(images.noise())
        assert (answer.status_code, answer.json) == (500, FAILED)
        assert (avatars.files(), avatars.column()) == ([before], before)
        assert avatars.put(images.noise()).status_code == 200

    def test_a_file_that_cannot_be_removed_is_logged(self, avatars, before, caplog):
        file = avatars.media / before
        file.unlink()
        file.mkdir()
        (file / "x").write_bytes(b"")
        assert avatars.put(encoded()).status_code == 200
        assert [r for r in caplog.records if r.levelno == logging.ERROR and r.exc_info]
        assert avatars.column() in avatars.files()

    def test_a_file_that_is_gone_already_is_no_failure_for_the_client(self, avatars, before):
        (avatars.media / before).unlink()
        assert avatars.put(encoded()).status_code == 200
        assert avatars.files() == [avatars.column()]


@contextmanager
def failing(avatars, moment):
    def fail(*_):
        raise RuntimeError("broken on purpose")

    session = avatars.host.db.session
    event.listen(session, moment, fail)
    yield
    event.remove(session, moment, fail)


@contextmanager
def no_file_longer_than(limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestStorage:
    @pytest.mark.parametrize("wrap", [str, Path])
    def test_it_may_be_any_directory(self, wrap, avatars_of, tmp_path):
        avatars = avatars_of(PROFILE_MEDIA_STORAGE=wrap(tmp_path / "not yet" / "there é"))
        avatars.media = tmp_path / "not yet" / "there é"
        assert avatars.stored(encoded())

    @pytest.mark.parametrize(
        ("config", "place"),
        [
            ({"PROFILE_MEDIA_STORAGE": None}, "media"),
            ({"PROFILE_MEDIA_STORAGE": "pictures/of/users"}, "pictures/of/users"),
            ({"PROFILE_MEDIA_STORAGE": Path("pictures")}, "pictures"),
        ],
    )
    def test_else_it_is_in_the_instance_folder(self, config, place, avatars_of):
        avatars = avatars_of(**config)
        avatars.media = Path(avatars.host.app.instance_path, place)
        assert avatars.stored(encoded())

    def test_it_may_be_the_memory(self, avatars_of, tmp_path):
        before = {*tmp_path.rglob("*")}
        avatars = avatars_of(PROFILE_MEDIA_STORAGE="memory://")
        for _ in range(2):
            assert avatars.put(encoded()).status_code == 200
            assert NAME.fullmatch(avatars.column())
        assert avatars.delete().status_code == 204
        assert not [p for p in {*tmp_path.rglob("*")} - before if p.suffix == ".webp"]

    def test_it_may_be_the_url_of_a_directory(self, avatars_of, tmp_path):
        place = tmp_path / "by url"
        place.mkdir()
        avatars = avatars_of(PROFILE_MEDIA_STORAGE=place.as_uri())
        avatars.media = place
        assert avatars.stored(encoded())
        assert avatars.stored(plain())

    @pytest.mark.parametrize(
        "value", ["ftp://example.com/x", "://", "nothing://x", "s3://", 1, b"media", ["media"], ""]
    )
    def test_another_is_refused_when_the_blueprint_is_registered(self, value, host):
        with pytest.raises(ConfigurationError, match="PROFILE_MEDIA_STORAGE is "):
            host(PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=value)

    def test_nothing_is_made_before_an_upload(self, avatars):
        assert avatars.get().status_code == 200
        assert not avatars.media.exists()


@pytest.fixture
def s3(monkeypatch):
    """Let the environment name an S3 server, as a host's would."""

    def name(url):
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

    return name


class TestS3:
    @pytest.fixture
    def bucket(self, s3):
        reason = "an S3 server is in the extra hosts"
        moto = pytest.importorskip("moto.server", reason=reason)
        boto3 = pytest.importorskip("boto3", reason=reason)
        server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        s3(url)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="pictures")
        yield client
        client.close()
        server.stop()

    def test_it_may_be_a_bucket(self, bucket, avatars_of):
        def keys():
            listed = bucket.list_objects_v2(Bucket="pictures").get("Contents", [])
            return [one["Key"] for one in listed]

        avatars = avatars_of(PROFILE_MEDIA_STORAGE="s3://pictures/of/users")
        for _ in range(2):
            assert avatars.put(encoded()).status_code == 200
            assert keys() == [f"of/users/{avatars.column()}"]
        body = bucket.get_object(Bucket="pictures", Key=keys()[0])["Body"]
        assert corners(decoded(body.read())) == [RED, GREEN, BLUE, WHITE]
        body.close()
        assert avatars.delete().status_code == 204
        assert keys() == []

    def test_a_bucket_that_is_not_there_is_a_failure(self, bucket, avatars_of):
        avatars = avatars_of(PROFILE_MEDIA_STORAGE="s3://nobodys")
        answer = avatars.put(encoded())
        assert (answer.status_code, answer.json) == (500, FAILED)
        assert avatars.column() == JOHN["avatar"]


def test_a_storage_that_never_answers_is_a_failure_in_time(s3, tmp_path):
    db = SQLAlchemy()
    app = Flask("host", instance_path=str(tmp_path))
    user = user_of(db)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        s3(f"http://127.0.0.1:{silent.getsockname()[1]}")
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
        began = time.perf_counter()
        answer = app.test_client().put(URL, data=encoded(), headers=headers)
        assert time.perf_counter() - began < 25
        silent.setblocking(False)
        silent.accept()[0].close()  # So it was asked.
    assert (answer.status_code, answer.json) == (500, FAILED)
    with app.app_context():
        assert db.session.get(user, 1).avatar == JOHN["avatar"]
        db.session.remove()
        db.engine.dispose()


class TestRoute:
    def test_by_default_there_is_none_and_nothing_is_imported(self):
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
print(*sorted({{"PIL", "obstore", "flask_profile.avatars"}} & {{*sys.modules}}))
"""
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "404 404 404 404\n\n"

    @pytest.mark.parametrize("url", [URL, URL.rstrip("/")])
    def test_it_is_there_with_and_without_a_slash(self, url, avatars):
        assert avatars.put(encoded(), url=url).status_code == 200
        headers = avatars.host.bearer()
        assert avatars.host.client.delete(url, headers=headers).status_code == 204

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "TRACE", "BREW"])
    def test_another_method_is_not_allowed(self, method, avatars):
        answer = avatars.host.client.open(URL, method=method, headers=avatars.host.bearer())
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "DELETE, OPTIONS, PUT"
        if method != "HEAD":
            assert answer.json == {"detail": f'Method "{method}" not allowed.'}

    def test_options_are_answered(self, avatars):
        answer = avatars.host.client.options(URL)
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["Allow"] == "DELETE, OPTIONS, PUT"
        assert "Accept-Patch" not in answer.headers

    @pytest.mark.parametrize("in_form", [False, True])
    def test_who_may_not_is_refused_before_the_body_is_read(self, in_form, avatars):
        avatars.host.add(id=2, username="ann", email="ann@example.com", is_active=False)
        body = Counting(b"", endless=True)
        for headers, status, expected in (
            ({}, 401, NOT_PROVIDED),
            (avatars.host.bearer("2"), 401, INACTIVE),
            (avatars.host.bearer("3"), 404, NOT_FOUND),
        ):
            environ = {"wsgi.input": body, "CONTENT_LENGTH": "1000"}
            environ["CONTENT_TYPE"] = OF_FORM if in_form else "image/png"
            client = avatars.host.client
            answer = client.put(URL, headers=headers, environ_overrides=environ)
            assert (answer.status_code, answer.json) == (status, expected)
            answer = avatars.host.client.delete(URL, headers=headers)
            assert (answer.status_code, answer.json) == (status, expected)
        assert body.read_bytes == 0
        assert avatars.files() == []

    def test_a_user_that_the_host_loads_is_edited(self, avatars):
        made = avatars.host

        @made.jwt.user_lookup_loader
        def load(_header, claims):
            return made.db.session.get(made.User, claims["sub"])

        assert avatars.stored(encoded())

    def test_json_that_is_required_is_not_required_of_it(self, avatars_of):
        avatars = avatars_of(PROFILE_REQUIRE_JSON=True)
        assert avatars.put(encoded()).status_code == 200
        assert avatars.put_form(encoded()).status_code == 200
        assert avatars.delete().status_code == 204
        assert avatars.host.post().status_code == 415

    def test_a_prefix_given_at_registration_wins(self, avatars):
        avatars.host.app.register_blueprint(ProfileBlueprint("mine"), url_prefix="/mine")
        assert avatars.put(encoded(), url="/mine/avatar").status_code == 200
        assert avatars.put(encoded(), url="/mine/avatar/").status_code == 200

    def test_the_configured_prefix_is_its_too(self, avatars_of):
        avatars = avatars_of(PROFILE_URL_PREFIX="/me")
        assert avatars.put(encoded(), url="/me/avatar/").status_code == 200
        assert avatars.put(encoded()).status_code == 404

    def test_it_nests_in_a_blueprint_of_the_host(self, avatars_of):
        parent = Blueprint("parent", __name__, url_prefix="/host")
        parent.register_blueprint(ProfileBlueprint("child"))
        avatars = avatars_of(blueprint=parent)
        assert avatars.put(encoded(), url=f"/host{URL}").status_code == 200

    @pytest.mark.parametrize("missing", ["PIL", "obstore.exceptions"])
    def test_a_missing_package_is_a_configuration_error_with_its_remedy(
        self, missing, host, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, missing, None)
        monkeypatch.delitem(sys.modules, "flask_profile.avatars", raising=False)
        with pytest.raises(ConfigurationError, match=r"flask-profile-api\[avatars\]"):
            host(PROFILE_AVATARS=True)
        assert host().add().post().status_code == 200


class TestCookies:
    @pytest.fixture
    def avatars(self, avatars_of):
        return avatars_of(
            JWT_TOKEN_LOCATION=["cookies"],
            JWT_CSRF_CHECK_FORM=True,
            JWT_COOKIE_CSRF_PROTECT=True,
            PROFILE_AVATAR_MAX_BYTES=LIMIT,
        )

    def put(self, avatars, data, csrf=None):
        made = avatars.host
        token = made.token()
        with made.app.app_context():
            fields = {"csrf_token": csrf or get_csrf_token(token)}
        fields["avatar"] = (BytesIO(data), "me.png")
        headers = {"Cookie": f"access_token_cookie={token}"}
        return made.client.put(URL, data=fields, headers=headers)

    def test_a_form_carries_the_picture_and_the_csrf_token(self, avatars):
        assert self.put(avatars, encoded()).status_code == 200
        assert avatars.files() == [avatars.column()]

    def test_a_wrong_csrf_token_is_refused(self, avatars):
        answer = self.put(avatars, encoded(), csrf="wrong")
        assert answer.status_code == 401
        assert avatars.files() == []

    def test_a_picture_that_is_too_long_is_refused_as_that(self, avatars):
        answer = self.put(avatars, padded(LIMIT + 1))
        assert (answer.status_code, answer.json) == (413, TOO_LARGE)

    def test_of_a_form_that_is_far_too_long_no_token_is_read(self, avatars):
        answer = self.put(avatars, padded(LIMIT + FRAMING))
        assert (answer.status_code, avatars.files()) == (401, [])
