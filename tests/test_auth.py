from __future__ import annotations

import json
import warnings
from datetime import datetime, timedelta

import jwt
import pytest
from flask import abort
from flask_jwt_extended import create_refresh_token
from hypothesis import event, given, settings
from hypothesis import strategies as st

from conftest import JOHN_AS_JSON, SECRET
from hostile import HOSTS, JSON_VALUES, TOKENS, VALID, b64, claims, fits_a_header, signed
from responses import (
    BAD_HEADER,
    FAILED,
    INACTIVE,
    NOT_FOUND,
    NOT_PROVIDED,
    NOT_VALID,
    PROFILE,
    REASONS,
    name_of,
)


def ask(host, authorization, **options):
    return host.client.post("/api/profile/", headers={"Authorization": authorization}, **options)


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
def test_without_a_token_credentials_were_not_provided(headers, john):
    response = john.client.post("/api/profile/", headers=headers)
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer,", "Bearer a b", "Bearer a b c", "Bearer a, Bearer b"],
)
def test_bearer_must_be_followed_by_one_word(authorization, john):
    response = ask(john, authorization)
    assert (response.status_code, response.json) == (401, BAD_HEADER)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


POINTS_IN_TIME = ["date_joined", "last_login"]


def name(response, **request):
    return name_of(response.status_code, response.headers, response.data, **request)


@pytest.fixture
def loader(host):
    """Return what makes a host without a database, whose loader knows John and keeps who it saw."""

    def make(**config):
        made = host(with_db=False, model=None, **config)
        made.loaded = []
        john = json.loads(JOHN_AS_JSON) | {"avatar": "avatars/profile.jpg"}
        john |= {key: datetime.fromisoformat(john[key][:-1] + "+00:00") for key in POINTS_IN_TIME}

        @made.jwt.user_lookup_loader
        def load(_header, payload):
            made.loaded.append(payload["sub"])
            return john if payload["sub"] == "1" else None

        return made

    return make


@pytest.mark.parametrize("case", [case for case in TOKENS if fits_a_header(TOKENS[case].token)])
def test_a_hostile_token_in_a_header_is_answered_as_its_table_says(case, loader):
    token, kind, answer = TOKENS[case]
    made = loader(**HOSTS[kind])
    assert name(ask(made, f"Bearer {token}")) == answer
    assert (made.loaded == []) == (answer in REASONS)


@pytest.mark.parametrize("case", TOKENS)
def test_a_hostile_token_in_a_body_is_answered_as_its_table_says(case, loader):
    token, kind, answer = TOKENS[case]
    made = loader(JWT_TOKEN_LOCATION="json", **HOSTS[kind])
    response = made.client.post("/api/profile/", json={"access_token": token})
    assert name(response, vary=None) == answer


@pytest.mark.parametrize("kind", HOSTS)
def test_algorithms_and_audiences_are_the_hosts(kind, loader):
    made = loader(**HOSTS[kind])
    for token in (VALID[kind], made.token(additional_claims={"aud": "us", "iss": "us"})):
        assert ask(made, f"Bearer {token}").get_data(as_text=True) == JOHN_AS_JSON


def test_a_refused_token_asks_nothing_of_the_database(john):
    with john.app.app_context():
        refresh = create_refresh_token("1")
    expired = john.token(expires_delta=timedelta(seconds=-1))
    with john.statements() as statements:
        for token in (refresh, expired, "abc"):
            assert ask(john, f"Bearer {token}").json == NOT_VALID
    assert statements == []


def test_leeway_is_the_hosts(host):
    made = host(JWT_DECODE_LEEWAY=30).add()
    expired = made.token(expires_delta=timedelta(seconds=-1))
    assert ask(made, f"Bearer {expired}").status_code == 200


def test_a_revoked_token_is_not_valid(john):
    john.jwt.token_in_blocklist_loader(lambda _header, payload: payload["jti"] == "revoked")
    assert john.post().status_code == 200
    response = ask(john, f"Bearer {john.token(additional_claims={'jti': 'revoked'})}")
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert "The token has been revoked" in response.headers["WWW-Authenticate"]


def test_claims_that_the_host_refuses_are_not_valid(john):
    john.jwt.token_verification_loader(lambda _header, payload: payload.get("tenant") == "a")
    response = john.post()
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert "The claims of the token are refused" in response.headers["WWW-Authenticate"]


def test_a_key_loader_that_does_not_know_a_kid_refuses_the_token(john):
    keys = {"current": SECRET}
    john.jwt.decode_key_loader(lambda header, _payload: keys[header["kid"]])
    known = john.token(additional_headers={"kid": "current"})
    assert ask(john, f"Bearer {known}").status_code == 200
    for unknown in (john.token(), john.token(additional_headers={"kid": "../../etc/passwd"})):
        response = ask(john, f"Bearer {unknown}")
        assert (response.status_code, response.json) == (401, NOT_VALID)


@pytest.mark.parametrize("error", [OSError, jwt.PyJWKClientConnectionError])
def test_a_key_loader_that_fails_is_a_failure_of_the_host(error, john):
    @john.jwt.decode_key_loader
    def unreachable(_header, _payload):
        raise error("no route to the key server")

    assert john.post().status_code == 500


LOCATIONS = {
    "headers": lambda t: {"headers": {"Authorization": f"Bearer {t}"}},
    "query_string": lambda t: {"query_string": {"jwt": t}},
    "json": lambda t: {"json": {"access_token": t}},
    "cookies": lambda t: {"headers": {"Cookie": f"access_token_cookie={t}"}},
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_token_is_read_where_the_host_configured_it(location, host):
    made = host(JWT_TOKEN_LOCATION=[location], JWT_COOKIE_CSRF_PROTECT=False).add()
    for place, request in LOCATIONS.items():
        response = made.client.post("/api/profile/", **request(made.token()))
        assert response.status_code == (200 if place == location else 401)
        assert place == location or response.json == NOT_PROVIDED


@pytest.mark.parametrize(
    ("locations", "vary"),
    [
        ("headers", "Authorization"),
        (["cookies"], "Cookie"),
        (["cookies", "headers"], "Authorization, Cookie"),
        (["query_string", "json"], None),
    ],
)
def test_vary_names_what_the_token_is_read_from(locations, vary, host):
    made = host(JWT_TOKEN_LOCATION=locations)
    for method in ("POST", "GET"):
        assert made.client.open("/api/profile/", method=method).headers.get("Vary") == vary


def test_another_header_and_scheme_are_the_hosts(host):
    made = host(JWT_HEADER_NAME="X-Token", JWT_HEADER_TYPE="JWT").add()
    response = made.client.post("/api/profile/", headers={"X-Token": f"JWT {made.token()}"})
    assert response.status_code == 200
    assert response.headers["Vary"] == "X-Token"
    refused = made.client.post("/api/profile/", headers={"X-Token": "JWT"})
    assert refused.json == BAD_HEADER


def test_a_stray_authorization_header_is_none_of_a_cookie_hosts_business(host):
    made = host(JWT_TOKEN_LOCATION=["cookies"])
    assert ask(made, "Bearer abc").json == NOT_PROVIDED


@pytest.mark.parametrize(
    "body", ["", "[1]", "1", '"text"', "null", "{", "[" * 100_000, '{"access_token": ""}', "\xff"]
)
def test_a_body_that_holds_no_token_provides_none(body, host):
    made = host(JWT_TOKEN_LOCATION="json")
    response = made.client.post("/api/profile/", data=body, content_type="application/json")
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)


class Broken:
    """The body of a client that hangs up."""

    def read(self, *_):
        raise OSError("the client hung up")


def test_a_body_that_breaks_off_provides_no_token(host):
    made = host(JWT_TOKEN_LOCATION="json")
    broken = {"wsgi.input": Broken(), "wsgi.input_terminated": True}
    options = {"content_type": "application/json", "environ_overrides": broken}
    response = made.client.post("/api/profile/", **options)
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)


def test_a_body_that_is_too_large_to_read_provides_no_token(host):
    made = host(JWT_TOKEN_LOCATION="json", MAX_CONTENT_LENGTH=10)
    response = made.client.post("/api/profile/", json={"access_token": "abc"})
    assert (response.status_code, response.json) == (401, NOT_PROVIDED)


@pytest.mark.parametrize("token", ["1", "[1]", '"\\ud800"', "true", '"abc"', "1e999"])
def test_a_token_of_another_type_in_a_body_is_not_valid(token, host):
    made = host(JWT_TOKEN_LOCATION="json")
    body = f'{{"access_token": {token}}}'
    response = made.client.post("/api/profile/", data=body, content_type="application/json")
    assert (response.status_code, response.json) == (401, NOT_VALID)


def test_a_query_parameter_without_its_prefix_is_not_valid(host):
    made = host(JWT_TOKEN_LOCATION="query_string", JWT_QUERY_STRING_VALUE_PREFIX="Bearer ")
    response = made.client.post("/api/profile/?jwt=abc")
    assert (response.status_code, response.json) == (401, NOT_VALID)


def test_a_csrf_claim_of_another_type_is_not_valid(host):
    made = host(JWT_TOKEN_LOCATION="cookies").add()
    for token in (signed(claims(csrf=1)), signed(claims())):
        headers = {"Cookie": f"access_token_cookie={token}", "X-CSRF-TOKEN": "1"}
        response = made.client.post("/api/profile/", headers=headers)
        assert (response.status_code, response.json) == (401, NOT_VALID)


def test_the_identity_claim_is_the_hosts(host):
    made = host(JWT_IDENTITY_CLAIM="uid").add()
    assert made.post().status_code == 200
    assert ask(made, f"Bearer {signed(claims())}").json == NOT_VALID


class TestUserLoader:
    def test_the_user_that_the_host_loads_is_the_one_served(self, john):
        john.jwt.user_lookup_loader(
            lambda _header, payload: john.db.session.get(john.User, payload["sub"])
        )
        with john.statements() as statements:
            for _ in range(2):
                assert john.post().get_data(as_text=True) == JOHN_AS_JSON
        assert len(statements) == 2

    def test_it_needs_neither_a_model_nor_a_database(self, host):
        made = host(with_db=False, model=None)
        user = json.loads(JOHN_AS_JSON) | {"date_joined": None, "last_login": None}
        made.jwt.user_lookup_loader(lambda _header, _payload: user)
        assert made.post().json == user

    def test_a_user_that_it_does_not_find_is_not_in_the_database(self, john):
        john.jwt.user_lookup_loader(lambda _header, _payload: None)
        response = john.post()
        assert (response.status_code, response.json) == (404, NOT_FOUND)

    def test_an_inactive_user_is_refused(self, host):
        made = host(with_db=False, model=None)
        made.jwt.user_lookup_loader(lambda *_: json.loads(JOHN_AS_JSON) | {"is_active": False})
        assert made.post().json == INACTIVE

    def test_a_user_without_what_the_schema_names_is_a_configuration_error(self, host):
        made = host(with_db=False, model=None)
        made.jwt.user_lookup_loader(lambda _header, _payload: {"id": 1, "is_active": True})
        assert made.post().status_code == 500


CALLBACKS = ["user_lookup_loader", "token_in_blocklist_loader", "token_verification_loader"]


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("error", [KeyError, ValueError, RecursionError, OSError])
def test_a_callback_that_fails_is_a_failure_of_the_host(callback, error, john):
    def broken(_header, _payload):
        raise error("broken")

    getattr(john.jwt, callback)(broken)
    response = john.post()
    assert (response.status_code, response.json) == (500, FAILED)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_callback_may_abort_the_request_as_anywhere_in_flask(callback, john):
    getattr(john.jwt, callback)(lambda _header, _payload: abort(418))
    assert john.post().status_code == 418


GOOD = signed(claims(csrf="c"))
GOOD_ENVIRON = {
    "HTTP_AUTHORIZATION": f"Bearer {GOOD}",
    "HTTP_COOKIE": f"access_token_cookie={GOOD}",
    "HTTP_X_CSRF_TOKEN": "c",
    "QUERY_STRING": f"jwt={GOOD}",
    "CONTENT_TYPE": "application/json",
}
GOOD_BODY = json.dumps({"access_token": GOOD}).encode()
SCRAPS = ["Bearer", "access_token_cookie", "jwt", "c", GOOD, *' ,;=&"\t\r\n\0\xe9']
RAW = (
    st.sampled_from(["", *GOOD_ENVIRON.values()])
    | st.text(st.characters(max_codepoint=0xFF))
    | st.lists(st.sampled_from(SCRAPS), max_size=6).map("".join)
)
OTHER_HEADERS = ["HTTP_ACCEPT", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "CONTENT_LENGTH"]


@pytest.mark.parametrize("location", LOCATIONS)
def test_whatever_a_client_sends_is_answered_as_documented(location, loader):
    made = loader(JWT_TOKEN_LOCATION=location, PROFILE_REQUIRE_JSON=True, TESTING=True)
    vary = {"headers": "Authorization", "cookies": "Cookie"}.get(location)

    @settings(deadline=None, max_examples=250)
    @given(
        method=st.just("POST") | st.sampled_from(["HEAD", "OPTIONS", "BREW"]),
        changed=st.dictionaries(st.sampled_from([*GOOD_ENVIRON, *OTHER_HEADERS]), RAW, max_size=4),
        body=st.just(GOOD_BODY) | st.binary() | JSON_VALUES.map(json.dumps).map(str.encode),
    )
    def answered(method, changed, body):
        environ = GOOD_ENVIRON | changed
        response = made.client.open(
            "/api/profile/", method=method, data=body, environ_overrides=environ
        )
        media_type = environ["CONTENT_TYPE"]
        answer = name(response, method=method, media_type=media_type, vary=vary)
        event(answer)
        sent = body.decode("latin-1") + "".join(environ.values())
        assert answer != PROFILE or GOOD in sent

    answered()


@st.composite
def resembling(draw):
    """Return a valid token with some of its characters, or of its parts, exchanged."""
    token = VALID["HS256"]
    if draw(st.booleans()):
        part = st.sampled_from([*token.split("."), "", b64(claims(sub="2"))]) | st.text()
        return ".".join(draw(st.lists(part, max_size=6)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(token)))
        new = draw(st.text(st.sampled_from("AZaz09-_=.+/ \n\0é"), max_size=3))
        token = token[:at] + new + token[at + draw(st.sampled_from([len(new), 0, 1, 2])) :]
    return token


def test_whatever_resembles_a_token_is_answered_as_documented(loader):
    made = loader(JWT_TOKEN_LOCATION="json", TESTING=True)

    @settings(deadline=None, max_examples=250)
    @given(resembling())
    def answered(token):
        answer = name(made.client.post("/api/profile/", json={"access_token": token}), vary=None)
        event(answer)
        assert (answer == PROFILE) == (token in {VALID["HS256"], VALID["HS256"] + "="})

    answered()


def objects_of(*names):
    return st.dictionaries(st.sampled_from(names), JSON_VALUES, max_size=3)


def test_whatever_a_signed_token_says_is_answered_as_documented(loader):
    made = loader(TESTING=True)

    @settings(deadline=None, max_examples=150)
    @given(
        objects_of("alg", "typ", "kid", "crit", "b64", "zip", "jku", "jwk", "cty", "x"),
        objects_of("sub", "type", "exp", "nbf", "iat", "jti", "fresh", "csrf", "aud", "iss", "x"),
        st.booleans(),
    )
    def answered(header, payload, is_whole):
        header, payload = {"alg": "HS256"} | header, {"sub": "1"} | payload
        text = json.dumps(payload)[: None if is_whole else -1].encode()
        answer = name(ask(made, f"Bearer {signed(text, header)}"))
        event(answer)
        good = is_whole and payload["sub"] == "1" and header["alg"] == "HS256"
        assert answer != PROFILE or good

    answered()


def test_a_short_secret_only_warns(host):
    made = host(JWT_SECRET_KEY="short").add()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        assert made.post().status_code == 200
