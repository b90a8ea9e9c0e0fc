from __future__ import annotations

import logging

import pytest
from flask import got_request_exception
from flask_jwt_extended.exceptions import NoAuthorizationError
from jwt import DecodeError
from marshmallow import Schema, fields
from sqlalchemy.exc import OperationalError, ProgrammingError
from werkzeug.exceptions import NotFound

from flask_profile import ConfigurationError
from responses import FAILED, INACTIVE


class Failing(Schema):
    id = fields.Function(lambda user: 1 / 0)


def answers(host):
    """Return an answer of each status but 500."""
    made = host(PROFILE_REQUIRE_JSON=True, PROFILE_METHODS=["GET", "POST"]).add()
    made.add(id=2, username="ann", email="ann@example.com", is_active=False)
    json = {"headers": {"Content-Type": "application/json"}}
    return {
        "200": made.post(**json),
        "401": made.client.post("/api/profile/"),
        "401 inactive": made.post("2", **json),
        "404": made.post("3", **json),
        "405": made.client.put("/api/profile/"),
        "415": made.post(),
    }


def test_every_answer_is_json_that_no_cache_keeps(host):
    failed = host(PROFILE_SCHEMA=Failing).add()
    for status, response in {**answers(host), "500": failed.post()}.items():
        assert response.status_code == int(status[:3])
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Authorization"
        assert isinstance(response.json, dict)


def test_only_a_401_carries_a_challenge(host):
    for status, response in answers(host).items():
        assert ("WWW-Authenticate" in response.headers) == status.startswith("401")


def test_the_realm_is_the_hosts(host):
    response = host(PROFILE_REALM="Profiles of Example").client.post("/api/profile/")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="Profiles of Example"'


def test_an_inactive_user_is_refused(host):
    response = host().add(is_active=False).post()
    assert (response.status_code, response.json) == (401, INACTIVE)
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="api", error="invalid_token", error_description="User is inactive"'
    )


def test_an_inactive_user_is_served_where_the_host_says_so(host):
    made = host(PROFILE_REQUIRE_ACTIVE=False).add(is_active=False)
    assert made.post().json["is_active"] is False


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
def test_another_method_is_not_allowed(method, url, john):
    response = john.client.open(url, method=method, headers=john.bearer())
    assert response.status_code == 405
    assert response.headers["Allow"] == "OPTIONS, POST"
    if method != "HEAD":
        assert (
            response.get_data(as_text=True) == f'{{"detail": "Method \\"{method}\\" not allowed."}}'
        )


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/x+json"]
)
def test_json_is_accepted_where_it_is_required(content_type, host):
    made = host(PROFILE_REQUIRE_JSON=True).add()
    assert made.post(content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        ("text/plain", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ('a"{b}', 'a\\"{b}'),
        (None, ""),
    ],
)
def test_another_content_type_is_refused_where_json_is_required(content_type, named, host):
    made = host(PROFILE_REQUIRE_JSON=True).add()
    response = made.post(content_type=content_type)
    assert response.status_code == 415
    expected = f'{{"detail": "Unsupported media type \\"{named}\\" in request."}}'
    if '"' not in (content_type or ""):
        assert response.get_data(as_text=True) == expected
    assert response.json["detail"].endswith('" in request.')


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 100])
def test_by_default_any_content_type_is_served_and_no_body_read(content_type, body, john):
    assert john.post(content_type=content_type, data=body).status_code == 200


class TestFailure:
    @pytest.fixture
    def failing(self, host):
        return host(PROFILE_SCHEMA=Failing).add()

    def test_it_is_a_500_without_its_cause(self, failing):
        response = failing.post()
        assert (response.status_code, response.json) == (500, FAILED)

    @pytest.mark.parametrize("error", [NoAuthorizationError, DecodeError, NotFound, KeyError])
    def test_whatever_a_schema_raises_is_one(self, error, host):
        class Raising(Schema):
            id = fields.Method("get_id")

            def get_id(self, user):
                raise error("from the schema")

        response = host(PROFILE_SCHEMA=Raising).add().post()
        assert (response.status_code, response.json) == (500, FAILED)

    def test_its_cause_is_logged_with_its_traceback_and_without_a_token(self, failing, caplog):
        token = failing.token()
        with caplog.at_level(logging.DEBUG):
            failing.client.post("/api/profile/", headers={"Authorization": f"Bearer {token}"})
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert record.exc_info[0] is ZeroDivisionError
        assert "1 / 0" in caplog.text
        assert token not in caplog.text

    def test_its_cause_reaches_got_request_exception(self, failing):
        causes = []

        def note(_sender, exception):
            causes.append(type(exception))

        with got_request_exception.connected_to(note, failing.app):
            failing.post()
        assert causes == [ZeroDivisionError]

    @pytest.mark.parametrize("key", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
    def test_it_propagates_as_flask_has_it(self, key, host):
        causes = []
        made = host(PROFILE_SCHEMA=Failing, **{key: True}).add()

        def note(_sender, exception):
            causes.append(exception)

        with got_request_exception.connected_to(note, made.app), pytest.raises(ZeroDivisionError):
            made.post()
        assert len(causes) == 1

    def test_it_does_not_propagate_where_the_host_says_so(self, host):
        made = host(PROFILE_SCHEMA=Failing, TESTING=True, PROPAGATE_EXCEPTIONS=False).add()
        assert made.post().json == FAILED

    def test_hooks_of_the_host_run_once(self, failing):
        @failing.app.after_request
        def count(response):
            response.headers.add("X-Hook", "1")
            return response

        assert failing.post().headers.getlist("X-Hook") == ["1"]

    def test_a_database_without_the_table_is_one(self, host, caplog):
        response = host().post()
        assert (response.status_code, response.json) == (500, FAILED)
        assert caplog.records[0].exc_info[0] in {OperationalError, ProgrammingError}

    @pytest.mark.parametrize(
        ("lacks", "remedy"),
        [("with_jwt", r"JWTManager\(app\)"), ("with_db", r"db\.init_app\(app\)")],
    )
    def test_a_missing_extension_is_a_configuration_error_with_its_remedy(
        self, lacks, remedy, host
    ):
        made = host(TESTING=True, **{lacks: False})
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=f"(?s){remedy}"):
                made.client.post("/api/profile/")

    def test_in_production_a_configuration_error_is_one(self, host, caplog):
        response = host(with_jwt=False).client.post("/api/profile/")
        assert (response.status_code, response.json) == (500, FAILED)
        assert caplog.records[0].exc_info[0] is ConfigurationError
        assert "Vary" not in response.headers
