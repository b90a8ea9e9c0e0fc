"""The body of a PATCH: its media type, its length and its JSON."""

from __future__ import annotations

import io
import json
import logging
import socket
import struct
import threading
from contextlib import contextmanager

import pytest

from conftest import JOHN_AS_JSON
from contract import (
    DUPLICATE_KEYS,
    INCOMPLETE_BODY,
    MALFORMED_JSON,
    NOT_AN_OBJECT,
    PATCH_TYPES,
    TOO_DEEP,
    UNKNOWN,
    URL,
    too_large,
)
from editing.requests import parse, patch
from host_databases import read_users
from servers import serve


class TestMediaType:
    @pytest.mark.parametrize("required", [False, True])
    def test_json_and_merge_patch_are_accepted(self, required, editable_host):
        host = editable_host(PROFILE_REQUIRE_JSON=required)
        for name in (
            *PATCH_MEDIA_TYPES,
            *(f"{media_type}; charset=utf-8" for media_type in PATCH_MEDIA_TYPES),
        ):
            response = patch(host, {"first_name": name}, content_type=name)
            assert (response.status_code, response.json["first_name"]) == (200, name)

    @pytest.mark.parametrize("required", [False, True])
    def test_any_other_media_type_is_a_415_that_names_the_accepted_ones(
        self, required, editable_host
    ):
        host = editable_host(PROFILE_REQUIRE_JSON=required)
        for media_type in (
            None,
            "text/plain",
            "application/json-patch+json",
            "application/xml; charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "nonsense",
        ):
            response = patch(host, {"first_name": "Jack"}, content_type=media_type)
            detail = f'Unsupported media type "{media_type or ""}" in request.'
            assert parse(response) == (415, {"detail": detail})
            assert response.headers["Accept-Patch"] == ", ".join(PATCH_MEDIA_TYPES)
        assert read_users(host, "first_name") == ["John"]

    def test_options_names_the_accepted_media_types(self, editable_host):
        response = editable_host().client.options(URL)
        assert response.headers["Accept-Patch"] == ", ".join(PATCH_MEDIA_TYPES)
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH, POST"

    def test_without_patch_no_response_names_media_types(self, host):
        host_app = host(PROFILE_REQUIRE_JSON=True).add()
        assert "Accept-Patch" not in host_app.client.options(URL).headers
        assert host_app.post().status_code == 415
        assert "Accept-Patch" not in host_app.post().headers


PATCH_MEDIA_TYPES = PATCH_TYPES.split(", ")
INVALID_BODIES = {
    b"": MALFORMED_JSON,
    b"{": MALFORMED_JSON,
    b"first_name=Jack": MALFORMED_JSON,
    b"[]": NOT_AN_OBJECT,
    b'[{"first_name": "Jack"}]': NOT_AN_OBJECT,
    b"null": NOT_AN_OBJECT,
    b"true": NOT_AN_OBJECT,
    b"1": NOT_AN_OBJECT,
    b'"first_name"': NOT_AN_OBJECT,
    b'{"first_name": "Jack",}': MALFORMED_JSON,
    b"{'first_name': 'Jack'}": MALFORMED_JSON,
    b'{"first_name": "Jack"} {}': MALFORMED_JSON,
    b'{"first_name": "Jack", "first_name": "Jim"}': DUPLICATE_KEYS,
    b'{"first_name": "Jack", "first_n\\u0061me": "Jim"}': DUPLICATE_KEYS,
    b'{"first_name": {"a": 1, "a": 2}}': DUPLICATE_KEYS,
    b'{"first_name": [{"a": 1, "a": 1}]}': DUPLICATE_KEYS,
    b'{"first_name": NaN}': MALFORMED_JSON,
    b'{"first_name": -Infinity}': MALFORMED_JSON,
    b'{"first_name": "\xff"}': MALFORMED_JSON,
    b'{"first_name": "\xed\xa0\x80"}': MALFORMED_JSON,
    b'\xef\xbb\xbf{"first_name": "Jack"}': MALFORMED_JSON,
    '{"first_name": "Jack"}'.encode("utf-16"): MALFORMED_JSON,
    '{"first_name": "Jack"}'.encode("utf-16-le"): MALFORMED_JSON,
    '{"first_name": "Jack"}'.encode("utf-32"): MALFORMED_JSON,
    b"[" * 100_000: TOO_DEEP,
    b'{"first_name": ' + b"[" * 40_000 + b"]" * 40_000 + b"}": TOO_DEEP,
    b'{"a":' * 15_000 + b"1" + b"}" * 15_000: TOO_DEEP,
    b'{"a":' * 600 + b"1" + b"}" * 600: TOO_DEEP,
    b'{"first_name": ' + b"[" * 100 + b"]" * 100 + b"}": TOO_DEEP,
    b'{"first_name": ' + b"9" * 100_000 + b"}": MALFORMED_JSON,
}


class TestBody:
    def test_a_body_that_is_not_an_unambiguous_json_object_is_rejected(self, editable_host):
        host = editable_host()
        for body, error in INVALID_BODIES.items():
            case = body[:45]
            assert (case, *parse(patch(host, data=body))) == (case, 400, error)
        assert host.post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize(
        ("config", "limit"),
        [
            ({}, 102_400),
            ({"MAX_CONTENT_LENGTH": 1024}, 1024),
            ({"MAX_CONTENT_LENGTH": 10_000_000}, 102_400),
            ({"PROFILE_MAX_CONTENT_LENGTH": 200_000}, 200_000),
            ({"PROFILE_MAX_CONTENT_LENGTH": 200_000, "MAX_CONTENT_LENGTH": 1024}, 1024),
        ],
    )
    def test_a_body_has_a_maximum_length(self, config, limit, editable_host):
        host = editable_host(**config)
        body = json.dumps({"first_name": "Jack"}).encode()
        for length, status in ((limit, 200), (limit + 1, 413), (10_000_000, 413)):
            response = patch(host, data=body.ljust(length))
            assert (length, response.status_code) == (length, status)
        assert response.json == too_large(limit)

    def test_at_most_100_fields_are_reported(self, editable_host):
        host = editable_host()
        response = patch(host, {f"field{number}": 1 for number in range(5_000)})
        assert response.status_code == 400
        assert len(response.json) == 100
        assert [*response.json.values()] == [UNKNOWN] * 100

    @pytest.mark.parametrize("config", [{}, {"MAX_CONTENT_LENGTH": 30}])
    def test_a_body_that_breaks_off_after_its_json_is_a_400(self, config, editable_host):
        """Gunicorn ends the stream without an exception."""
        host = editable_host(**config)
        for body in (b'{"first_name": "Jack"}', b"{}"):
            response = host.client.patch(
                URL,
                headers=host.bearer(),
                content_type="application/json",
                input_stream=io.BytesIO(body),
                environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "30"},
            )
            assert parse(response) == (400, INCOMPLETE_BODY)
        assert read_users(host, "first_name") == ["John"]

    @pytest.mark.parametrize(("limit", "status"), [(None, 200), (22, 200), (21, 413)])
    @pytest.mark.parametrize("key", ["MAX_CONTENT_LENGTH", "PROFILE_MAX_CONTENT_LENGTH"])
    def test_a_body_of_unknown_length_is_limited(self, key, limit, status, editable_host):
        host = editable_host(**({key: limit} if limit else {}))
        response = host.client.patch(
            URL,
            headers=host.bearer(),
            content_type="application/json",
            input_stream=io.BytesIO(b'{"first_name": "Jack"}'),
            environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
        )
        assert response.status_code == status
        assert read_users(host, "first_name") == ["Jack" if status == 200 else "John"]

    def test_a_body_shorter_than_its_content_length_is_a_400_and_changes_nothing(
        self, concurrent_host, caplog
    ):
        host = concurrent_host()
        with connect_to(host) as (connect, _), connect() as client:
            client.sendall(build_unfinished_request(host))
            client.shutdown(socket.SHUT_WR)
            response = b"".join(iter(lambda: client.recv(4096), b""))
        assert response.startswith(b"HTTP/1.1 400 ")
        assert json.loads(response.partition(b"\r\n\r\n")[2]) == INCOMPLETE_BODY
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert read_users(host, "first_name") == ["John"]

    def test_a_connection_reset_is_not_logged_as_an_error(self, concurrent_host, caplog):
        host = concurrent_host()
        with connect_to(host) as (connect, done):
            with connect() as client:
                client.sendall(build_unfinished_request(host))
                reset_on_close = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
            assert done.wait(30)
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert read_users(host, "first_name") == ["John"]


@contextmanager
def connect_to(host):
    """Serve a host on a socket.

    Yield a function that connects to it, and an event that is set when a request ends.
    """
    done = threading.Event()
    host.app.teardown_request(lambda _error: done.set())
    with serve(host.app, threaded=True) as port:
        yield lambda: socket.create_connection(("127.0.0.1", port), timeout=30), done


def build_unfinished_request(host):
    """Return a request whose body is shorter than its Content-Length."""
    head = [
        f"PATCH {URL} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {host.token()}",
        "Content-Type: application/json",
        "Content-Length: 1000",
    ]
    return "\r\n".join([*head, "", '{"first_name": "Jack"']).encode()


def test_a_token_in_the_body_is_not_a_field(editable_host):
    host = editable_host(JWT_TOKEN_LOCATION="json")
    body = {"access_token": host.token(), "first_name": "Jack"}
    response = host.client.patch("/api/profile/", json=body)
    assert (response.status_code, response.json["first_name"]) == (200, "Jack")
