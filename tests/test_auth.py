from __future__ import annotations

import io
import json
import warnings
from datetime import datetime, timedelta
from functools import cache

import jwt
import pytest
from flask import Flask, abort
from flask_jwt_extended import JWTManager, create_refresh_token
from hypothesis import event, given
from hypothesis import strategies as st

from conftest import JOHN_AS_JSON, SECRET, Host
from contract import (
    BAD_HEADER,
    FAILED,
    INACTIVE,
    NOT_FOUND,
    NOT_PROVIDED,
    NOT_VALID,
    PROFILE,
    REASONS,
    identify_response,
    too_large,
)
from flask_profile import ProfileBlueprint
from hostile import HOSTS, JSON_VALUES, TOKENS, VALID, b64, claims, fits_in_header, make_token


def send(host_app, authorization, **options):
    return host_app.client.post(
        "/api/profile/", headers={"Authorization": authorization}, **options
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": " "},
        {"Authorization": ", ,"},
        {"Authorization": "Basic am9objpkb2U="},
        {"Authorization": "Token abc"},
        {"Authorization": "bearer abc"},
        {"Cookie": "access_token_cookie=abc"},
        {"X-Authorization": "Bearer abc"},
    ],
)
def test_a_request_without_a_token_returns_401(headers, john):
    response = john.client.post("/api/profile/", headers=headers)
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer,", "Bearer a b", "Bearer a b c", "Bearer a, Bearer b"],
)
def test_bearer_must_be_followed_by_exactly_one_value(authorization, john):
    response = send(john, authorization)
    assert (response.status_code, response.json) == (401, BAD_HEADER)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


DATETIMES = ["date_joined", "last_login"]


def identify(response, **request):
    return identify_response(response.status_code, response.headers, response.data, **request)


class HostWithLoader(Host):
    """A host without a database, whose user loader knows only John.

    Its ``loaded`` lists the identities that the loader was called with.
    """

    def __init__(self, **config):
        app = Flask("host")
        app.config.update({"JWT_SECRET_KEY": SECRET} | config)
        JWTManager(app)
        app.register_blueprint(ProfileBlueprint())
        super().__init__(app, None, None)
        self.loaded = []
        self.john = json.loads(JOHN_AS_JSON) | {"avatar": "avatars/profile.jpg"}
        self.john |= {
            name: datetime.fromisoformat(self.john[name][:-1] + "+00:00") for name in DATETIMES
        }
        self.jwt.user_lookup_loader(self.load)

    def load(self, _header, payload):
        self.loaded.append(payload["sub"])
        return self.john if payload["sub"] == "1" else None


@cache
def host_with_loader(location="headers", host_name="HS256"):
    """Return the host of a name in ``HOSTS``, the same for all tokens: no request changes it."""
    return HostWithLoader(JWT_TOKEN_LOCATION=location, **HOSTS[host_name])


@pytest.mark.parametrize("case", [case for case in TOKENS if fits_in_header(TOKENS[case].token)])
def test_a_hostile_token_in_a_header_gets_the_expected_response(case):
    token, host_name, expected = TOKENS[case]
    host_app = host_with_loader("headers", host_name)
    host_app.loaded.clear()
    assert identify(send(host_app, f"Bearer {token}")) == expected
    assert (host_app.loaded == []) == (expected in REASONS)


@pytest.mark.parametrize("case", TOKENS)
def test_a_hostile_token_in_a_body_gets_the_expected_response(case):
    token, host_name, expected = TOKENS[case]
    host_app = host_with_loader("json", host_name)
    response = host_app.client.post("/api/profile/", json={"access_token": token})
    assert identify(response, vary=None) == expected


@pytest.mark.parametrize("host_name", HOSTS)
def test_algorithms_and_audiences_are_read_from_the_config(host_name):
    host_app = host_with_loader("headers", host_name)
    for token in (VALID[host_name], host_app.token(additional_claims={"aud": "us", "iss": "us"})):
        assert send(host_app, f"Bearer {token}").get_data(as_text=True) == JOHN_AS_JSON


def test_a_refused_token_causes_no_database_statement(john):
    with john.app.app_context():
        refresh = create_refresh_token("1")
    expired = john.token(expires_delta=timedelta(seconds=-1))
    with john.statements() as statements:
        for token in (refresh, expired, "abc"):
            assert send(john, f"Bearer {token}").json == NOT_VALID
    assert statements == []


def test_leeway_is_read_from_the_config(host):
    host_app = host(JWT_DECODE_LEEWAY=30).add()
    expired = host_app.token(expires_delta=timedelta(seconds=-1))
    assert send(host_app, f"Bearer {expired}").status_code == 200


def test_a_revoked_token_is_not_valid(john):
    john.jwt.token_in_blocklist_loader(lambda _header, payload: payload["jti"] == "revoked")
    assert john.post().status_code == 200
    response = send(john, f"Bearer {john.token(additional_claims={'jti': 'revoked'})}")
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert "The token has been revoked" in response.headers["WWW-Authenticate"]


def test_a_token_whose_claims_the_host_refuses_is_not_valid(john):
    john.jwt.token_verification_loader(lambda _header, payload: payload.get("tenant") == "a")
    response = john.post()
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert "The claims of the token are refused" in response.headers["WWW-Authenticate"]


def test_a_token_whose_kid_the_key_loader_does_not_know_is_not_valid(john):
    keys = {"current": SECRET}
    john.jwt.decode_key_loader(lambda header, _payload: keys[header["kid"]])
    known = john.token(additional_headers={"kid": "current"})
    assert send(john, f"Bearer {known}").status_code == 200
    for unknown in (john.token(), john.token(additional_headers={"kid": "../../etc/passwd"})):
        response = send(john, f"Bearer {unknown}")
        assert (response.status_code, response.json) == (401, NOT_VALID)


@pytest.mark.parametrize("error", [OSError, jwt.PyJWKClientConnectionError])
def test_an_error_in_a_key_loader_returns_500(error, john):
    @john.jwt.decode_key_loader
    def fail(_header, _payload):
        raise error("no route to the key server")

    assert john.post().status_code == 500


LOCATIONS = {
    "headers": lambda token: {"headers": {"Authorization": f"Bearer {token}"}},
    "query_string": lambda token: {"query_string": {"jwt": token}},
    "json": lambda token: {"json": {"access_token": token}},
    "cookies": lambda token: {"headers": {"Cookie": f"access_token_cookie={token}"}},
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_token_is_read_only_from_the_configured_location(location, host):
    host_app = host(JWT_TOKEN_LOCATION=[location], JWT_COOKIE_CSRF_PROTECT=False).add()
    for sent_in, request_options in LOCATIONS.items():
        response = host_app.client.post("/api/profile/", **request_options(host_app.token()))
        assert response.status_code == (200 if sent_in == location else 401)
        assert sent_in == location or response.json == NOT_PROVIDED


@pytest.mark.parametrize(
    ("locations", "vary"),
    [
        ("headers", "Authorization"),
        (["cookies"], "Cookie"),
        (["cookies", "headers"], "Authorization, Cookie"),
        (["query_string", "json"], None),
    ],
)
def test_vary_names_the_headers_that_the_token_is_read_from(locations, vary, host):
    host_app = host(JWT_TOKEN_LOCATION=locations)
    for method in ("POST", "GET"):
        assert host_app.client.open("/api/profile/", method=method).headers.get("Vary") == vary


def test_the_header_name_and_type_are_read_from_the_config(host):
    host_app = host(JWT_HEADER_NAME="X-Token", JWT_HEADER_TYPE="JWT").add()
    response = host_app.client.post("/api/profile/", headers={"X-Token": f"JWT {host_app.token()}"})
    assert response.status_code == 200
    assert response.headers["Vary"] == "X-Token"
    refused = host_app.client.post("/api/profile/", headers={"X-Token": "JWT"})
    assert refused.json == BAD_HEADER
    assert refused.headers["WWW-Authenticate"] == 'JWT realm="api"'


def test_without_a_header_type_the_challenge_says_bearer(host):
    refused = host(JWT_HEADER_TYPE="").client.post("/api/profile/")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_an_authorization_header_is_ignored_if_tokens_are_read_from_cookies(host):
    host_app = host(JWT_TOKEN_LOCATION=["cookies"])
    assert send(host_app, "Bearer abc").json == NOT_PROVIDED


@pytest.mark.parametrize(
    "body", ["", "[1]", "1", '"text"', "null", "{", "[" * 100_000, '{"access_token": ""}', "\xff"]
)
def test_a_body_without_a_token_provides_no_credentials(body, host):
    host_app = host(JWT_TOKEN_LOCATION="json")
    response = host_app.client.post("/api/profile/", data=body, content_type="application/json")
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)


class InterruptedBody:
    """A request body whose client disconnects."""

    def read(self, *_):
        raise OSError("the client disconnected")


def test_a_body_whose_client_disconnects_provides_no_credentials(host):
    host_app = host(JWT_TOKEN_LOCATION="json")
    environ = {"wsgi.input": InterruptedBody(), "wsgi.input_terminated": True}
    options = {"content_type": "application/json", "environ_overrides": environ}
    response = host_app.client.post("/api/profile/", **options)
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)


# A test client sets Content-Length, which a request in chunks does not have.
CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.parametrize(
    "limit", ["MAX_CONTENT_LENGTH", "PROFILE_MAX_CONTENT_LENGTH"], ids=["of the host", "ours"]
)
@pytest.mark.parametrize("length_is_known", [True, False])
class TestTokenInBody:
    def post(self, host, body, *, length_is_known, content_type="application/json"):
        options = {"content_type": content_type, "data": body}
        if not length_is_known:
            options = {
                "content_type": content_type,
                "input_stream": io.BytesIO(body),
                "environ_overrides": CHUNKED,
            }
        return host.client.post("/api/profile/", **options)

    def test_a_body_that_is_too_large_returns_413(self, limit, length_is_known, host):
        host_app = host(JWT_TOKEN_LOCATION="json").add()
        body = json.dumps({"access_token": host_app.token()}).encode()
        cases = [(len(body), 200, body), (len(body) - 1, 413, body), (10, 413, body)]
        cases += [(len(body), 413, body + b" "), (len(body), 413, body.ljust(1_000_000))]
        for number, status, sent in cases:
            limited = host(JWT_TOKEN_LOCATION="json", **{limit: number}).add()
            response = self.post(limited, sent, length_is_known=length_is_known)
            assert (number, response.status_code) == (number, status)
            assert status == 200 or response.json == too_large(number)

    def test_a_body_that_nobody_reads_is_not_limited(self, limit, length_is_known, host):
        host_app = host(**{limit: 10}).add()
        for locations in ("headers", ["headers", "json"]):
            host_app.app.config["JWT_TOKEN_LOCATION"] = locations
            assert host_app.post(data=b"x" * 100).status_code == 200


def test_a_csrf_token_in_a_form_that_is_too_large_returns_413(host):
    host_app = host(
        JWT_TOKEN_LOCATION="cookies", JWT_CSRF_CHECK_FORM=True, PROFILE_MAX_CONTENT_LENGTH=100
    ).add()
    token = host_app.token()
    headers = {"Cookie": f"access_token_cookie={token}"}
    for content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        response = host_app.client.post(
            "/api/profile/",
            headers=headers,
            data={"csrf_token": "x" * 100},
            content_type=content_type,
        )
        assert (response.status_code, response.json) == (413, too_large(100))


@pytest.mark.parametrize("token", ["1", "[1]", '"\\ud800"', "true", '"abc"', "1e999"])
def test_a_malformed_token_in_a_body_is_not_valid(token, host):
    host_app = host(JWT_TOKEN_LOCATION="json")
    body = f'{{"access_token": {token}}}'
    response = host_app.client.post("/api/profile/", data=body, content_type="application/json")
    assert (response.status_code, response.json) == (401, NOT_VALID)


def test_a_query_parameter_without_the_configured_prefix_is_not_valid(host):
    host_app = host(JWT_TOKEN_LOCATION="query_string", JWT_QUERY_STRING_VALUE_PREFIX="Bearer ")
    response = host_app.client.post("/api/profile/?jwt=abc")
    assert (response.status_code, response.json) == (401, NOT_VALID)


def test_a_missing_or_malformed_csrf_claim_is_not_valid(host):
    host_app = host(JWT_TOKEN_LOCATION="cookies").add()
    for token in (make_token(claims(csrf=1)), make_token(claims())):
        headers = {"Cookie": f"access_token_cookie={token}", "X-CSRF-TOKEN": "1"}
        response = host_app.client.post("/api/profile/", headers=headers)
        assert (response.status_code, response.json) == (401, NOT_VALID)


def test_the_identity_claim_is_read_from_the_config(host):
    host_app = host(JWT_IDENTITY_CLAIM="uid").add()
    assert host_app.post().status_code == 200
    assert send(host_app, f"Bearer {make_token(claims())}").json == NOT_VALID


class TestUserLoader:
    def test_the_profile_of_the_loaded_user_is_returned(self, john):
        john.jwt.user_lookup_loader(
            lambda _header, payload: john.db.session.get(john.User, payload["sub"])
        )
        with john.statements() as statements:
            for _ in range(2):
                assert john.post().get_data(as_text=True) == JOHN_AS_JSON
        assert len(statements) == 2

    def test_a_user_loader_needs_neither_a_model_nor_a_database(self, host):
        host_app = host(with_db=False, model=None)
        user = json.loads(JOHN_AS_JSON) | {"date_joined": None, "last_login": None}
        host_app.jwt.user_lookup_loader(lambda _header, _payload: user)
        assert host_app.post().json == user

    def test_a_user_that_the_loader_does_not_find_returns_404(self, john):
        john.jwt.user_lookup_loader(lambda _header, _payload: None)
        response = john.post()
        assert (response.status_code, response.json) == (404, NOT_FOUND)

    def test_an_inactive_user_returns_401(self, host):
        host_app = host(with_db=False, model=None)
        host_app.jwt.user_lookup_loader(lambda *_: json.loads(JOHN_AS_JSON) | {"is_active": False})
        assert host_app.post().json == INACTIVE

    def test_a_user_without_the_fields_of_the_schema_returns_500(self, host):
        host_app = host(with_db=False, model=None)
        host_app.jwt.user_lookup_loader(lambda _header, _payload: {"id": 1, "is_active": True})
        assert host_app.post().status_code == 500


CALLBACKS = ["user_lookup_loader", "token_in_blocklist_loader", "token_verification_loader"]


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("error", [KeyError, ValueError, RecursionError, OSError])
def test_an_error_in_a_callback_returns_500(callback, error, john):
    def fail(_header, _payload):
        raise error("broken")

    getattr(john.jwt, callback)(fail)
    response = john.post()
    assert (response.status_code, response.json) == (500, FAILED)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_callback_may_abort_the_request(callback, john):
    getattr(john.jwt, callback)(lambda _header, _payload: abort(418))
    assert john.post().status_code == 418


GOOD_TOKEN = make_token(claims(csrf="c"))
GOOD_ENVIRON = {
    "HTTP_AUTHORIZATION": f"Bearer {GOOD_TOKEN}",
    "HTTP_COOKIE": f"access_token_cookie={GOOD_TOKEN}",
    "HTTP_X_CSRF_TOKEN": "c",
    "QUERY_STRING": f"jwt={GOOD_TOKEN}",
    "CONTENT_TYPE": "application/json",
}
GOOD_BODY = json.dumps({"access_token": GOOD_TOKEN}).encode()
FRAGMENTS = ["Bearer", "access_token_cookie", "jwt", "c", GOOD_TOKEN, *' ,;=&"\t\r\n\0\xe9']
HEADER_VALUES = (
    st.sampled_from(["", *GOOD_ENVIRON.values()])
    | st.text(st.characters(max_codepoint=0xFF))
    | st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join)
)
OTHER_HEADERS = ["HTTP_ACCEPT", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "CONTENT_LENGTH"]


@pytest.mark.parametrize("location", LOCATIONS)
def test_any_request_gets_a_documented_response(location):
    host_app = HostWithLoader(JWT_TOKEN_LOCATION=location, PROFILE_REQUIRE_JSON=True, TESTING=True)
    vary = {"headers": "Authorization", "cookies": "Cookie"}.get(location)

    @given(
        method=st.just("POST") | st.sampled_from(["HEAD", "OPTIONS", "BREW"]),
        changed=st.dictionaries(
            st.sampled_from([*GOOD_ENVIRON, *OTHER_HEADERS]), HEADER_VALUES, max_size=4
        ),
        body=st.just(GOOD_BODY) | st.binary() | JSON_VALUES.map(json.dumps).map(str.encode),
    )
    def check(method, changed, body):
        environ = GOOD_ENVIRON | changed
        response = host_app.client.open(
            "/api/profile/", method=method, data=body, environ_overrides=environ
        )
        media_type = environ["CONTENT_TYPE"]
        name = identify(response, method=method, media_type=media_type, vary=vary)
        event(name)
        sent = body.decode("latin-1") + "".join(environ.values())
        assert name != PROFILE or GOOD_TOKEN in sent

    check()


@st.composite
def altered_tokens(draw):
    """Return a valid token with some of its characters or segments replaced."""
    token = VALID["HS256"]
    if draw(st.booleans()):
        segments = st.sampled_from([*token.split("."), "", b64(claims(sub="2"))]) | st.text()
        return ".".join(draw(st.lists(segments, max_size=6)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(token)))
        new = draw(st.text(st.sampled_from("AZaz09-_=.+/ \n\0é"), max_size=3))
        end = start + draw(st.sampled_from([len(new), 0, 1, 2]))
        token = token[:start] + new + token[end:]
    return token


def test_an_altered_token_gets_a_documented_response():
    host_app = HostWithLoader(JWT_TOKEN_LOCATION="json", TESTING=True)

    @given(altered_tokens())
    def check(token):
        response = host_app.client.post("/api/profile/", json={"access_token": token})
        name = identify(response, vary=None)
        event(name)
        assert (name == PROFILE) == (token in {VALID["HS256"], VALID["HS256"] + "="})

    check()


def objects_with(*names):
    return st.dictionaries(st.sampled_from(names), JSON_VALUES, max_size=3)


def test_a_signed_token_with_any_content_gets_a_documented_response():
    host_app = HostWithLoader(TESTING=True)

    @given(
        objects_with("alg", "typ", "kid", "crit", "b64", "zip", "jku", "jwk", "cty", "x"),
        objects_with("sub", "type", "exp", "nbf", "iat", "jti", "fresh", "csrf", "aud", "iss", "x"),
        st.booleans(),
    )
    def check(header, payload, is_whole):
        header, payload = {"alg": "HS256"} | header, {"sub": "1"} | payload
        text = json.dumps(payload)[: None if is_whole else -1].encode()
        name = identify(send(host_app, f"Bearer {make_token(text, header)}"))
        event(name)
        may_be_valid = is_whole and payload["sub"] == "1" and header["alg"] == "HS256"
        assert name != PROFILE or may_be_valid

    check()


def test_a_short_secret_only_causes_a_warning(host):
    host_app = host(JWT_SECRET_KEY="short").add()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        assert host_app.post().status_code == 200
