from __future__ import annotations

import logging

import pytest
from flask import got_request_exception
from flask_jwt_extended.exceptions import NoAuthorizationError
from jwt import DecodeError
from marshmallow import Schema, fields
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import QueuePool
from werkzeug.exceptions import NotFound

from conftest import JOHN
from contract import FAILED, INACTIVE, UNAVAILABLE, UNKNOWN
from flask_profile import ConfigurationError, ProfileSchema


class FailingSchema(Schema):
    id = fields.Function(lambda user: 1 / 0)


def request_responses(host):
    """Return a response of each status except 500."""
    host_app = host(PROFILE_REQUIRE_JSON=True, PROFILE_METHODS=["GET", "POST"]).add()
    host_app.add(id=2, username="ann", email="ann@example.com", is_active=False)
    json = {"headers": {"Content-Type": "application/json"}}
    return {
        "200": host_app.post(**json),
        "401": host_app.client.post("/api/profile/"),
        "401 inactive": host_app.post("2", **json),
        "404": host_app.post("3", **json),
        "405": host_app.client.put("/api/profile/"),
        "415": host_app.post(),
    }


def test_every_response_is_json_that_caches_do_not_store(host):
    failing_host = host(PROFILE_SCHEMA=FailingSchema).add()
    for status, response in {**request_responses(host), "500": failing_host.post()}.items():
        assert response.status_code == int(status[:3])
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Authorization"
        assert isinstance(response.json, dict)


def test_only_a_401_response_has_a_challenge(host):
    for status, response in request_responses(host).items():
        assert ("WWW-Authenticate" in response.headers) == status.startswith("401")


def test_the_realm_is_read_from_the_config(host):
    response = host(PROFILE_REALM="Profiles of Example").client.post("/api/profile/")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="Profiles of Example"'


def test_an_inactive_user_returns_401(host):
    response = host().add(is_active=False).post()
    assert (response.status_code, response.json) == (401, INACTIVE)
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="api", error="invalid_token", error_description="User is inactive"'
    )


def test_an_inactive_user_is_returned_if_the_config_allows_it(host):
    host_app = host(PROFILE_REQUIRE_ACTIVE=False).add(is_active=False)
    assert host_app.post().json["is_active"] is False


# The router looks for "--"; the last three are attributes of Flask's view classes.
OTHER_METHODS = [
    *("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "BREW", "--"),
    *("AS_VIEW", "DISPATCH_REQUEST", "METHODS"),
]


@pytest.mark.parametrize("method", OTHER_METHODS)
@pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
def test_a_method_that_is_not_enabled_returns_405(method, url, john):
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
def test_a_json_content_type_is_accepted_if_json_is_required(content_type, host):
    host_app = host(PROFILE_REQUIRE_JSON=True).add()
    assert host_app.post(content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "escaped"),
    [
        ("text/plain", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ('a"{b}', 'a\\"{b}'),
        (None, ""),
    ],
)
def test_another_content_type_returns_415_if_json_is_required(content_type, escaped, host):
    host_app = host(PROFILE_REQUIRE_JSON=True).add()
    response = host_app.post(content_type=content_type)
    assert response.status_code == 415
    expected = f'{{"detail": "Unsupported media type \\"{escaped}\\" in request."}}'
    if '"' not in (content_type or ""):
        assert response.get_data(as_text=True) == expected
    assert response.json["detail"].endswith('" in request.')


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 100])
def test_by_default_any_content_type_is_accepted_and_the_body_is_ignored(content_type, body, john):
    assert john.post(content_type=content_type, data=body).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_json_is_required_only_of_requests_with_a_body(method, host):
    methods = ["GET", "POST", "PATCH"]
    host_app = host(PROFILE_REQUIRE_JSON=True, PROFILE_METHODS=methods).add()
    options = {"headers": host_app.bearer(), "data": "{}", "content_type": "text/plain"}
    for reading_method in ("GET", "HEAD"):
        response = host_app.client.open("/api/profile/", method=reading_method, **options)
        assert response.status_code == 200
    assert host_app.client.open("/api/profile/", method=method, **options).status_code == 415


class TestRepeatedText:
    """What a response repeats of the client's text is cut at 100 characters."""

    def test_a_method(self, john):
        response = john.client.open("/api/profile/", method="X" * 5_000)
        assert response.json == {"detail": f'Method "{"X" * 100}" not allowed.'}

    def test_a_media_type(self, host):
        host_app = host(PROFILE_REQUIRE_JSON=True).add()
        response = host_app.post(content_type="text/" + "x" * 5_000)
        assert response.json == {"detail": f'Unsupported media type "text/{"x" * 95}" in request.'}

    def test_the_name_of_a_field(self, host):
        host_app = host(PROFILE_METHODS=["PATCH"]).add()
        response = host_app.client.patch(
            "/api/profile/", json={"x" * 5_000: 1}, headers=host_app.bearer()
        )
        assert (response.status_code, response.json) == (400, {"x" * 100: UNKNOWN})

    def test_the_name_of_a_nested_field(self, host):
        class Settings(Schema):
            theme = fields.String()

        class Nesting(ProfileSchema):
            settings = fields.Nested(Settings, load_only=True)

        host_app = host(PROFILE_METHODS=["PATCH"], PROFILE_SCHEMA=Nesting).add()
        response = host_app.client.patch(
            "/api/profile/", json={"settings": {"x" * 5_000: 1}}, headers=host_app.bearer()
        )
        assert response.status_code == 400
        assert len(response.data) < 200


FLAGS = {"is_active": True, "is_staff": False, "is_superuser": False}


class TestUnavailable:
    """No connection of the pool is free in time."""

    @pytest.fixture
    def busy_host(self, host, persistent_config):
        """A host whose only connection another request holds."""
        pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}

        def make(**config):
            host_app = host(
                SQLALCHEMY_ENGINE_OPTIONS=pool,
                PROFILE_METHODS=["GET", "POST", "PATCH", "DELETE"],
                PROFILE_FRESH_METHODS=[],
                PROFILE_AVATARS=True,
                **persistent_config,
                **config,
            ).add()
            with host_app.app.app_context():
                host_app.held_connection = host_app.db.engine.connect()
            connections.append(host_app.held_connection)
            return host_app

        connections = []
        yield make
        for connection in connections:
            connection.close()

    @pytest.mark.parametrize("config", [{}, {"DEBUG": True}, {"TESTING": True}])
    @pytest.mark.parametrize(
        ("method", "url"),
        [
            *(("GET", "/api/profile/"), ("POST", "/api/profile/"), ("PATCH", "/api/profile/")),
            *(("PUT", "/api/profile/avatar/"), ("DELETE", "/api/profile/avatar/")),
            ("DELETE", "/api/profile/"),
        ],
    )
    def test_it_returns_503(self, method, url, config, busy_host, caplog):
        host_app = busy_host(**config)
        exceptions = []

        def record(_sender, exception):
            exceptions.append(exception)

        with got_request_exception.connected_to(record, host_app.app):
            response = host_app.client.open(url, method=method, headers=host_app.bearer(), json={})
        assert (response.status_code, response.json) == (503, UNAVAILABLE)
        assert response.headers["Retry-After"] == "1"
        assert response.headers["Cache-Control"] == "no-store"
        assert [(r.levelname, r.exc_info) for r in caplog.records] == [("WARNING", None)]
        assert exceptions == []

    def test_a_schema_that_gets_no_connection_returns_503(self, busy_host):
        class Counting(ProfileSchema):
            users = fields.Function(lambda user: host_app.db.session.query(host_app.User).count())

        host_app = busy_host(PROFILE_SCHEMA=Counting)
        host_app.jwt.user_lookup_loader(lambda _header, _claims: JOHN | FLAGS)
        assert host_app.post().status_code == 503

    def test_a_user_lookup_loader_that_gets_no_connection_returns_503(self, busy_host):
        host_app = busy_host()
        host_app.jwt.user_lookup_loader(lambda *_: host_app.db.session.get(host_app.User, 1))
        assert host_app.post().status_code == 503

    def test_it_returns_200_when_a_connection_is_free_again(self, busy_host):
        host_app = busy_host()
        assert host_app.post().status_code == 503
        host_app.held_connection.close()
        assert host_app.post().status_code == 200


class TestFailure:
    @pytest.fixture
    def failing_host(self, host):
        return host(PROFILE_SCHEMA=FailingSchema).add()

    def test_it_returns_500_without_details(self, failing_host):
        response = failing_host.post()
        assert (response.status_code, response.json) == (500, FAILED)

    @pytest.mark.parametrize("error", [NoAuthorizationError, DecodeError, NotFound, KeyError])
    def test_any_exception_in_a_schema_returns_500(self, error, host):
        class RaisingSchema(Schema):
            id = fields.Method("get_id")

            def get_id(self, user):
                raise error("from the schema")

        response = host(PROFILE_SCHEMA=RaisingSchema).add().post()
        assert (response.status_code, response.json) == (500, FAILED)

    def test_the_exception_is_logged_with_its_traceback_and_without_the_token(
        self, failing_host, caplog
    ):
        token = failing_host.token()
        with caplog.at_level(logging.DEBUG):
            failing_host.client.post("/api/profile/", headers={"Authorization": f"Bearer {token}"})
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert record.exc_info[0] is ZeroDivisionError
        assert "1 / 0" in caplog.text
        assert token not in caplog.text

    def test_the_exception_is_sent_to_got_request_exception(self, failing_host):
        exceptions = []

        def record(_sender, exception):
            exceptions.append(type(exception))

        with got_request_exception.connected_to(record, failing_host.app):
            failing_host.post()
        assert exceptions == [ZeroDivisionError]

    @pytest.mark.parametrize("key", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
    def test_the_exception_propagates_if_flask_is_configured_to_propagate(self, key, host):
        exceptions = []
        host_app = host(PROFILE_SCHEMA=FailingSchema, **{key: True}).add()

        def record(_sender, exception):
            exceptions.append(exception)

        with (
            got_request_exception.connected_to(record, host_app.app),
            pytest.raises(ZeroDivisionError),
        ):
            host_app.post()
        assert len(exceptions) == 1

    def test_the_exception_does_not_propagate_if_the_config_disables_it(self, host):
        host_app = host(
            PROFILE_SCHEMA=FailingSchema, TESTING=True, PROPAGATE_EXCEPTIONS=False
        ).add()
        assert host_app.post().json == FAILED

    def test_after_request_hooks_of_the_host_run_once(self, failing_host):
        @failing_host.app.after_request
        def add_header(response):
            response.headers.add("X-Hook", "1")
            return response

        assert failing_host.post().headers.getlist("X-Hook") == ["1"]

    def test_a_missing_table_returns_500(self, host, caplog):
        response = host().post()
        assert (response.status_code, response.json) == (500, FAILED)
        assert caplog.records[0].exc_info[0] in {OperationalError, ProgrammingError}

    @pytest.mark.parametrize(
        ("option", "remedy"),
        [("with_jwt", r"JWTManager\(app\)"), ("with_db", r"db\.init_app\(app\)")],
    )
    def test_a_missing_extension_is_a_configuration_error_with_a_remedy(self, option, remedy, host):
        host_app = host(TESTING=True, **{option: False})
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=f"(?s){remedy}"):
                host_app.client.post("/api/profile/")

    def test_in_production_a_configuration_error_returns_500(self, host, caplog):
        response = host(with_jwt=False).client.post("/api/profile/")
        assert (response.status_code, response.json) == (500, FAILED)
        assert caplog.records[0].exc_info[0] is ConfigurationError
        assert "Vary" not in response.headers
