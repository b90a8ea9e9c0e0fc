"""What is said of a token that cannot be verified: the client's fault, or an outage of the host."""

from __future__ import annotations

import json
import logging
import operator
from contextlib import contextmanager
from http import HTTPStatus

import jwt
import pytest
from flask import Flask, Response, abort, got_request_exception
from jwt import PyJWKClient
from jwt.algorithms import RSAAlgorithm

from contract import BAD_KEY, BAD_SUBJECT, FAILED, NOT_VALID, UNKNOWN_KEY
from hostile.signing import RSA
from servers import serve

JWK = RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "ours", "use": "sig"}
KEY_SET = json.dumps({"keys": [JWK]}).encode()
# What a broken endpoint sends with status 200.
UNUSABLE_KEY_SETS = {
    "a page": b"<!doctype html><title>Down for maintenance</title>",
    "a page in latin-1": "<title>Störung</title>".encode("latin-1"),
    "nothing": b"",
    "no keys": b"{}",
    "an empty list of keys": b'{"keys": []}',
    "a list": b"[]",
    "null": b"null",
    "keys that are no list": b'{"keys": "x"}',
    "keys that are no objects": b'{"keys": [1]}',
    "a broken key": b'{"keys": [{"kty": "RSA", "kid": "ours"}]}',
    "keys for encryption": json.dumps({"keys": [JWK | {"use": "enc"}]}).encode(),
    "half of the keys": KEY_SET[:-9],
}


@contextmanager
def key_server(body, status=200):
    """Serve a JWK Set, or what is there in its place, and yield its URL."""
    app = Flask("keys")
    app.add_url_rule("/keys", view_func=lambda: Response(body, status))
    with serve(app) as port:
        yield f"http://127.0.0.1:{port}/keys"


@pytest.fixture
def make_host(host):
    """Return a function that makes a host with a ``decode_key_loader``."""

    def make(loader, **config):
        host_app = host(JWT_ALGORITHM="RS256", JWT_DECODE_ALGORITHMS=["RS256"], **config).add()
        host_app.jwt.decode_key_loader(loader)
        return host_app

    return make


@pytest.fixture
def make_host_with_key_set(make_host):
    """Return a function that makes a host which fetches its keys from a URL."""

    def make(url, **config):
        client = PyJWKClient(url, timeout=5)
        return make_host(
            lambda header, _claims: client.get_signing_key(header["kid"]).key, **config
        )

    return make


def post(host, kid="ours"):
    token = jwt.encode({"sub": "1"}, RSA, "RS256", headers={"kid": kid})
    return host.client.post("/api/profile/", headers={"Authorization": f"Bearer {token}"})


def log_of(host, caplog):
    """Return what was logged; another test may have enabled debug messages for good."""
    records = [r for r in caplog.records if r.name == host.app.name and r.levelno > logging.DEBUG]
    return [(record.levelname, record.exc_info is not None) for record in records]


def reason(response):
    assert (response.status_code, response.json) == (401, NOT_VALID)
    return response.headers["WWW-Authenticate"].partition("error_description=")[2].strip('"')


class TestOutage:
    """Keys that cannot be fetched or read are a failure inside: users must not be signed out."""

    def assert_failure(self, host, caplog):
        exceptions = []

        def record(_sender, exception):
            exceptions.append(exception)

        with got_request_exception.connected_to(record, host.app):
            response = post(host)
        assert (response.status_code, response.json) == (500, FAILED)
        assert log_of(host, caplog) == [("ERROR", True)]
        assert len(exceptions) == 1

    @pytest.mark.parametrize("name", UNUSABLE_KEY_SETS)
    def test_a_key_set_that_cannot_be_read_returns_500(self, name, make_host_with_key_set, caplog):
        with key_server(UNUSABLE_KEY_SETS[name]) as url:
            self.assert_failure(make_host_with_key_set(url), caplog)

    @pytest.mark.parametrize("status", [302, 404, 500, 503])
    def test_a_key_set_that_cannot_be_fetched_returns_500(
        self, status, make_host_with_key_set, caplog
    ):
        with key_server(HTTPStatus(status).phrase.encode(), status) as url:
            self.assert_failure(make_host_with_key_set(url), caplog)

    def test_an_endpoint_that_is_not_there_returns_500(self, make_host_with_key_set, caplog):
        with key_server(KEY_SET) as url:
            pass
        self.assert_failure(make_host_with_key_set(url), caplog)

    @pytest.mark.parametrize(
        "error", [FileNotFoundError, PermissionError, ConnectionResetError, TimeoutError]
    )
    def test_a_key_file_that_cannot_be_read_returns_500(self, error, make_host, caplog):
        def read_key(_header, _claims):
            raise error("key.pem")

        self.assert_failure(make_host(read_key), caplog)

    def test_the_failure_propagates_in_testing_mode(self, make_host_with_key_set):
        with key_server(b"{}") as url, pytest.raises(jwt.PyJWKSetError):
            post(make_host_with_key_set(url, TESTING=True))

    def test_users_are_served_again_after_the_outage(self, make_host_with_key_set):
        with key_server(KEY_SET) as url:
            host_app = make_host_with_key_set(url)
            assert post(host_app).status_code == 200


class TestUnknownKey:
    """What else a loader raises refuses the token, since a client can provoke it."""

    def fail_with_key_error(header, _claims):
        return {"ours": "…"}[header["kid"]]

    def fail_with_a_bug(_header, _claims):
        return 1 / 0

    def fail_with_http_error(_header, _claims):
        abort(503)

    def fail_with_token_error(_header, _claims):
        raise jwt.ExpiredSignatureError

    @pytest.mark.parametrize(
        "loader",
        [fail_with_key_error, fail_with_a_bug, fail_with_http_error, fail_with_token_error],
        ids=lambda loader: loader.__name__,
    )
    def test_it_returns_401_and_logs_one_line(self, loader, make_host, caplog):
        host_app = make_host(loader)
        assert reason(post(host_app, kid="theirs\nand a line")) == UNKNOWN_KEY
        assert log_of(host_app, caplog) == [("WARNING", False)]
        message = caplog.records[0].getMessage()
        assert "\n" not in message
        assert len(message) < 200

    def test_a_loader_without_a_frame_of_its_own_is_recognized(self, make_host, caplog):
        host_app = make_host(operator.getitem)
        assert reason(post(host_app)) == UNKNOWN_KEY
        assert log_of(host_app, caplog) == [("WARNING", False)]

    def test_the_traceback_is_logged_at_debug_level(self, make_host, caplog):
        host_app = make_host(TestUnknownKey.fail_with_a_bug)
        with caplog.at_level(logging.DEBUG, logger=host_app.app.name):
            post(host_app)
        levels = [(record.levelname, bool(record.exc_info)) for record in caplog.records]
        assert levels == [("WARNING", False), ("DEBUG", True)]
        assert "1 / 0" in caplog.text

    def test_a_kid_that_the_key_set_does_not_have_returns_401(self, make_host_with_key_set, caplog):
        with key_server(KEY_SET) as url:
            host_app = make_host_with_key_set(url)
            assert reason(post(host_app, kid="theirs")) == UNKNOWN_KEY
        assert log_of(host_app, caplog) == [("WARNING", False)]

    @pytest.mark.parametrize(
        "key", ["no key", "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----"]
    )
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_a_configured_key_that_cannot_be_used_is_logged(self, key, algorithm, host, caplog):
        host_app = host(
            JWT_PUBLIC_KEY=key, JWT_ALGORITHM=algorithm, JWT_DECODE_ALGORITHMS=[algorithm]
        )
        header = jwt.utils.base64url_encode(json.dumps({"alg": algorithm}).encode()).decode()
        token = f"{header}.{'e30'}.{'AA'}"
        response = host_app.client.post(
            "/api/profile/", headers={"Authorization": f"Bearer {token}"}
        )
        assert reason(response) == BAD_KEY
        assert log_of(host_app, caplog) == [("WARNING", False)]
        assert token not in caplog.text


class TestSubject:
    """``create_access_token(user.id)`` is the usual mistake."""

    def test_the_reason_says_that_the_subject_must_be_a_string(self, john, caplog):
        assert reason(john.post(1)) == BAD_SUBJECT
        assert log_of(john, caplog) == []

    def test_in_debug_mode_the_log_names_the_fix(self, host, caplog):
        host_app = host(DEBUG=True).add()
        assert reason(host_app.post(1)) == BAD_SUBJECT
        assert "create_access_token(str(user.id))" in caplog.text
        assert host_app.token(1) not in caplog.text

    def test_a_number_is_accepted_if_the_host_accepts_it(self, host):
        assert host(JWT_VERIFY_SUB=False).add().post(1).status_code == 200
