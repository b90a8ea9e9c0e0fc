"""The body of an upload: its length, its form, and the connection it comes by."""

from __future__ import annotations

import gc
import json
import shutil
import socket
import subprocess
import tempfile
from io import BytesIO

import pytest
from werkzeug.serving import WSGIRequestHandler

from avatars.uploads import (
    AVATAR_DISPOSITION,
    FORM_TYPE,
    FRAMING,
    LIMIT,
    CountingBody,
    build_form,
    encode_padded,
)
from conftest import JOHN
from contract import (
    AVATAR_URL,
    BROKEN_IMAGE_BODY,
    MISSING_FILE_BODY,
    NOT_SAVED,
    UNSUPPORTED_IMAGE_BODY,
    too_large,
)
from images import encode
from servers import serve


@pytest.fixture
def collect_garbage():
    """Collect garbage after a test, so that no later test reports its unclosed files."""
    yield
    gc.collect()


def ignore_unclosed_files(test):
    """Ignore a warning: Werkzeug does not close the files of a form that ends too early."""
    ignored = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile:ResourceWarning")
    return ignored(pytest.mark.usefixtures("collect_garbage")(test))


@ignore_unclosed_files
def test_a_full_disk_is_not_the_fault_of_the_client(make_avatars, monkeypatch):
    avatars = make_avatars()
    monkeypatch.setattr(tempfile, "tempdir", "/a directory that does not exist")
    form = build_form(AVATAR_DISPOSITION, encode_padded(600_000))
    response = avatars.put(form, content_type=FORM_TYPE)
    assert (response.status_code, response.json) == (500, NOT_SAVED)


@pytest.mark.usefixtures("no_logged_errors")
class TestLength:
    def put(self, avatars, body, *, length=None, in_form=False):
        environ = {"wsgi.input": body, "CONTENT_TYPE": FORM_TYPE if in_form else "image/png"}
        if length is None:
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        else:
            environ["CONTENT_LENGTH"] = str(length)
        headers = avatars.host.bearer()
        return avatars.host.client.put(AVATAR_URL, headers=headers, environ_overrides=environ)

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
        assert avatars.rejects(encode_padded(LIMIT + 1), 413, too_large(LIMIT))
        response = avatars.put_form(encode_padded(LIMIT + 1))
        assert (response.status_code, response.json) == (413, too_large(LIMIT))
        assert avatars.list_files() == []

    @ignore_unclosed_files
    @pytest.mark.parametrize("in_form", [False, True])
    def test_an_upload_of_unknown_length_is_rejected_over_the_limit(self, in_form, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        for excess in (1, 2, 1000, 10_000_000):
            sent = encode_padded(LIMIT + excess)
            body = CountingBody(build_form(AVATAR_DISPOSITION, sent) if in_form else sent)
            response = self.put(avatars, body, in_form=in_form)
            assert (response.status_code, response.json) == (413, too_large(LIMIT))
            assert body.read_bytes <= LIMIT + (FRAMING if in_form else 1)
        assert avatars.list_files() == []

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_body_with_too_large_a_content_length_is_rejected_unread(self, in_form, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        body = CountingBody(b"", endless=True)
        response = self.put(avatars, body, length=LIMIT + FRAMING, in_form=in_form)
        assert (response.status_code, response.json, body.read_bytes) == (413, too_large(LIMIT), 0)

    @ignore_unclosed_files
    @pytest.mark.parametrize("in_form", [False, True])
    def test_an_endless_body_is_read_up_to_the_limit_only(self, in_form, make_avatars):
        avatars = make_avatars(PROFILE_AVATAR_MAX_BYTES=LIMIT)
        for start in (b"", encode(), build_form(AVATAR_DISPOSITION, b"")[:-7]):
            body = CountingBody(start, endless=True)
            response = self.put(avatars, body, in_form=in_form)
            assert (response.status_code, response.json) == (413, too_large(LIMIT))
            assert body.read_bytes <= LIMIT + FRAMING

    @pytest.mark.parametrize("in_form", [False, True])
    def test_a_lower_max_content_length_of_the_host_applies(self, in_form, make_avatars):
        avatars = make_avatars(MAX_CONTENT_LENGTH=1000)
        put = avatars.put_form if in_form else avatars.put
        assert put(encode_padded(700)).status_code == 200
        response = put(encode_padded(1001))
        assert (response.status_code, response.json) == (413, too_large(1000))

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
        assert (response.status_code, response.json) == (413, too_large(10_485_760))
        assert avatars.list_files() == []

    def test_other_fields_of_the_form_are_ignored(self, avatars):
        fields = {"note": "x", "other": (BytesIO(b"no picture"), "x")}
        response = avatars.put(fields | {"avatar": (BytesIO(encode()), "me.png")})
        assert response.status_code == 200

    def test_a_form_without_the_file_is_rejected(self, avatars):
        for fields in ({}, {"avatar": "no file"}, {"picture": (BytesIO(encode()), "me.png")}):
            response = avatars.put(fields, content_type="multipart/form-data")
            assert (response.status_code, response.json) == (400, MISSING_FILE_BODY)

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
            assert response.json in (BROKEN_IMAGE_BODY, MISSING_FILE_BODY)
        assert avatars.list_files() == []


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        pass


@pytest.mark.usefixtures("no_logged_errors")
class TestConnection:
    @pytest.fixture
    def avatars(self, make_avatars):
        return make_avatars(on_disk=True, PROFILE_AVATAR_MAX_BYTES=LIMIT)

    @pytest.fixture
    def port(self, avatars):
        with serve(avatars.host.app, request_handler=_Handler) as port:
            yield port

    @pytest.fixture
    def send(self, avatars, port):
        """Return a function that sends a request and returns the response's status and JSON."""
        token = avatars.host.bearer()["Authorization"]

        def send(*body, disconnect=False, **headers):
            lines = [f"PUT {AVATAR_URL} HTTP/1.1", "Host: x", f"Authorization: {token}"]
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
        assert send() == (415, UNSUPPORTED_IMAGE_BODY)
        assert send(encode()) == (415, UNSUPPORTED_IMAGE_BODY)

    @ignore_unclosed_files
    def test_a_body_shorter_than_its_content_length_stores_no_broken_image(self, send, avatars):
        sent = encode()
        assert send(sent, Content_Length=len(sent) + 10) == (400, BROKEN_IMAGE_BODY)
        body = build_form(AVATAR_DISPOSITION, encode())
        headers = {"Content_Type": FORM_TYPE}
        assert send(body, Content_Length=len(body) + 10, **headers)[0] in {200, 400}
        assert send(body[:-30], Content_Length=len(body), **headers) == (400, BROKEN_IMAGE_BODY)
        assert avatars.read_column() in {JOHN["avatar"], *avatars.list_files()}

    def test_a_body_is_read_up_to_its_content_length_only(self, send, avatars):
        sent = encode()
        assert send(sent, Content_Length=len(sent) // 2) == (400, BROKEN_IMAGE_BODY)
        assert send(sent + b"GET / HTTP/1.1\r\n\r\n", Content_Length=len(sent))[0] == 200
        assert avatars.list_files() == [avatars.read_column()]

    @ignore_unclosed_files
    @pytest.mark.parametrize("end", [b"", b"--x", b"\r\n--x", b"\r\n--x\r\nContent-Dispo"])
    def test_a_form_without_its_final_boundary_is_rejected(self, end, send, avatars):
        body = build_form(AVATAR_DISPOSITION, encode()).removesuffix(b"\r\n--x--\r\n") + end
        headers = {"Content_Type": FORM_TYPE}
        assert send(body, Content_Length=len(body), **headers) == (400, MISSING_FILE_BODY)
        assert avatars.list_files() == []

    @pytest.mark.parametrize(
        "body", [b"zz\r\nabc\r\n", b"5\r\nab", b"", b"-1\r\n\r\n", b"ffffffffff\r\nab"]
    )
    def test_malformed_chunks_are_rejected(self, body, send, avatars):
        assert send(body, Transfer_Encoding="chunked")[1] in (
            BROKEN_IMAGE_BODY,
            MISSING_FILE_BODY,
            UNSUPPORTED_IMAGE_BODY,
            too_large(LIMIT),
        )
        assert avatars.list_files() == []

    @pytest.mark.parametrize("length", ["-1", "x", "1e9", "", "10, 10"])
    def test_an_invalid_content_length_is_rejected(self, length, send, avatars):
        assert send(encode(), Content_Length=length)[1] in (
            BROKEN_IMAGE_BODY,
            UNSUPPORTED_IMAGE_BODY,
        )
        assert avatars.list_files() == []

    def test_a_body_that_is_too_long_is_rejected_before_it_is_sent(self, send):
        assert send(Content_Length=10**9) == (413, too_large(LIMIT))
        body = self.encode_chunks(encode_padded(LIMIT + 1))
        assert send(body, Transfer_Encoding="chunked") == (413, too_large(LIMIT))

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
        path = AVATAR_URL.rstrip("/") if "-T" in curl_options else AVATAR_URL
        command += [f"http://127.0.0.1:{port}{path}"]
        response = subprocess.run(command, capture_output=True, check=True, timeout=20)
        assert json.loads(response.stdout)["avatar"] == f"/media/{avatars.read_column()}"
        assert avatars.list_files() == [avatars.read_column()]
