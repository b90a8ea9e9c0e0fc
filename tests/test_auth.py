from __future__ import annotations

import base64
import json
import time
import warnings
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flask import abort, jsonify
from flask_jwt_extended import create_access_token, create_refresh_token, set_access_cookies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import JOHN_AS_JSON, SECRET

NOT_PROVIDED = {"detail": "Authentication credentials were not provided."}
BAD_HEADER = {
    "detail": "Authorization header must contain two space-delimited values",
    "code": "bad_authorization_header",
}
NOT_VALID = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
NOT_FOUND = {"error": "The user cannot be found in the database."}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload, header=None, secret=SECRET):
    """Sign any bytes at all, as a token that no library would make."""
    head = b64(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode())
    signing_input = f"{head}.{b64(payload)}".encode()
    key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{signing_input.decode()}.{b64(key.sign(signing_input, secret.encode()))}"


def claims(**changed):
    values = {"sub": "1", "type": "access", "fresh": False, "jti": "x", "exp": time.time() + 60}
    return json.dumps(values | changed).encode()


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


NONSENSE = {
    "a word": "abc",
    "dots": "..",
    "one dot": "a.b",
    "four segments": "a.b.c.d",
    "latin-1": "\xe9.\xe9.\xe9",
    "not base64": "!!!.???.###",
    "a header that is a list": f"{b64(b'[]')}.{b64(b'{}')}.",
    "a header that is a number": f"{b64(b'1')}.{b64(b'{}')}.",
    "a header of deep lists": f"{b64(b'[' * 40_000)}.{b64(b'{}')}.",
    "a kid that is a number": signed(claims(), {"alg": "HS256", "kid": 1}),
    "an alg that is a list": signed(claims(), {"alg": ["HS256"]}),
    "an alg that is an object": signed(claims(), {"alg": {}}),
    "an alg that is null": signed(claims(), {"alg": None}),
    "no alg": signed(claims(), {"typ": "JWT"}),
    "crit": signed(claims(), {"alg": "HS256", "crit": ["exp"]}),
    "b64": signed(claims(), {"alg": "HS256", "b64": False}),
    "a payload that is a list": signed(b"[]"),
    "a payload that is a number": signed(b"1"),
    "a payload that is no JSON": signed(b"{"),
    "a payload that is no UTF-8": signed(b"\xff\xfe"),
    "a payload of deep lists": signed(b"[" * 40_000),
    "a payload of deep objects": signed(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a payload with a huge number": signed(b'{"sub": "1", "exp": ' + b"9" * 5_000 + b"}"),
    "a payload of 60 kB": signed(b"x" * 45_000),
    "exp that is null": signed(claims(exp=None)),
    "exp that is a list": signed(claims(exp=[])),
    "exp that is infinite": signed(claims(exp=float("inf"))),
    "exp that is no number": signed(claims(exp=float("nan"))),
    "nbf that is an object": signed(claims(nbf={})),
    "iat that is text": signed(claims(iat="now")),
    "sub that is a number": signed(claims(sub=1)),
    "sub that is null": signed(claims(sub=None)),
    "sub that is a list": signed(claims(sub=["1"])),
    "jti that is an object": signed(claims(jti={})),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_a_nonsense_token_is_not_valid(case, john):
    response = ask(john, f"Bearer {NONSENSE[case]}")
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert 'error="invalid_token", error_description="' in response.headers["WWW-Authenticate"]


def expired(host):
    return host.token(expires_delta=timedelta(seconds=-1))


def early(host):
    return host.token(additional_claims={"nbf": time.time() + 60})


def tampered(host):
    head, _, signature = host.token().split(".")
    return f"{head}.{b64(claims(sub='2'))}.{signature}"


def unsigned(host):
    return host.token().rpartition(".")[0] + "."


def refresh(host):
    with host.app.app_context():
        return create_refresh_token("1")


def other_algorithm(_host):
    return jwt.encode(json.loads(claims()), SECRET * 2, algorithm="HS512")


def algorithm_none(_host):
    return jwt.encode(json.loads(claims()), None, algorithm="none")


def other_secret(_host):
    return signed(claims(), secret="not the secret of the host, but as long")


def without_identity(_host):
    return signed(b'{"type": "access"}')


REFUSED = [
    (expired, "The token has expired"),
    (early, "The token is not yet valid"),
    (tampered, "The signature does not match"),
    (unsigned, "The signature does not match"),
    (other_secret, "The signature does not match"),
    (other_algorithm, "The algorithm is not allowed"),
    (algorithm_none, "The algorithm is not allowed"),
    (refresh, "The token is not an access token"),
    (without_identity, "The token is malformed or lacks a claim"),
]


@pytest.mark.parametrize(("token", "reason"), REFUSED)
def test_a_refused_token_is_not_valid_for_a_reason(token, reason, john):
    with john.statements() as statements:
        response = ask(john, f"Bearer {token(john)}")
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer realm="api", error="invalid_token", error_description="{reason}"'
    )
    assert statements == []


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"iss": "them"}, "The issuer is not the expected one"),
        ({"aud": "them"}, "The token is meant for another audience"),
        ({"iss": None}, "The token lacks a required claim"),
        ({"aud": None}, "The token lacks a required claim"),
    ],
)
def test_issuer_and_audience_are_the_hosts(claim, reason, host):
    made = host(JWT_DECODE_ISSUER="us", JWT_DECODE_AUDIENCE="us").add()
    right = {"iss": "us", "aud": "us"}
    assert ask(made, f"Bearer {signed(claims(**right))}").status_code == 200
    wrong = {k: v for k, v in (right | claim).items() if v is not None}
    response = ask(made, f"Bearer {signed(claims(**wrong))}")
    assert (response.status_code, response.json) == (401, NOT_VALID)
    assert reason in response.headers["WWW-Authenticate"]


def test_leeway_is_the_hosts(host):
    made = host(JWT_DECODE_LEEWAY=30).add()
    assert ask(made, f"Bearer {expired(made)}").status_code == 200


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


def pem_pair(key):
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {"JWT_PRIVATE_KEY": private.decode(), "JWT_PUBLIC_KEY": public.decode()}


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", rsa.generate_private_key(65537, 2048)),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["RS256", "ES256"],
)
def test_algorithms_are_the_hosts(algorithm, key, host):
    made = host(JWT_ALGORITHM=algorithm, **pem_pair(key)).add()
    assert made.post().get_data(as_text=True) == JOHN_AS_JSON


def test_a_public_key_is_no_secret(host):
    keys = pem_pair(rsa.generate_private_key(65537, 2048))
    config = {"JWT_ALGORITHM": "RS256", "JWT_DECODE_ALGORITHMS": ["RS256", "HS256"]}
    made = host(**config, **keys).add()
    confused = signed(claims(), secret=keys["JWT_PUBLIC_KEY"])
    response = ask(made, f"Bearer {confused}")
    assert (response.status_code, response.json) == (401, NOT_VALID)


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


def test_cookies_need_their_csrf_token(host):
    made = host(JWT_TOKEN_LOCATION="cookies").add()

    @made.app.post("/sign-in")
    def sign_in():
        response = jsonify()
        set_access_cookies(response, create_access_token("1"))
        return response

    client = made.app.test_client()
    client.post("/sign-in")
    csrf = client.get_cookie("csrf_access_token").value
    for headers in ({}, {"X-CSRF-TOKEN": "wrong"}, {"X-CSRF-TOKEN": "caf\xe9"}):
        response = client.post("/api/profile/", headers=headers)
        assert (response.status_code, response.json) == (401, NOT_VALID)
    assert client.post("/api/profile/", headers={"X-CSRF-TOKEN": csrf}).status_code == 200


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
        assert made.post().json == {"detail": "User is inactive", "code": "user_inactive"}

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
    assert (response.status_code, response.json) == (
        500,
        {"error": "The profile could not be loaded."},
    )


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_callback_may_abort_the_request_as_anywhere_in_flask(callback, john):
    getattr(john.jwt, callback)(lambda _header, _payload: abort(418))
    assert john.post().status_code == 418


@pytest.mark.parametrize("location", LOCATIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0;"), max_size=60))
def test_whatever_a_client_sends_is_answered_as_documented(location, text, host):
    made = host(JWT_TOKEN_LOCATION=location, with_db=False, model=None)
    made.jwt.user_lookup_loader(lambda _header, _payload: None)
    request = LOCATIONS[location](text)
    if location == "headers":
        request = {"headers": {"Authorization": text}}
    response = made.client.post("/api/profile/", **request)
    assert response.status_code == 401
    assert response.json in (NOT_PROVIDED, BAD_HEADER, NOT_VALID)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    payload=st.dictionaries(
        st.sampled_from(["sub", "type", "exp", "nbf", "iat", "jti", "fresh", "aud", "iss", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=4,
        ),
    )
)
def test_whatever_a_signed_token_claims_is_answered_as_documented(payload, john):
    response = ask(john, f"Bearer {signed(json.dumps(payload).encode())}")
    assert (response.status_code, response.json) in [(401, NOT_VALID), (404, NOT_FOUND)] or (
        response.status_code == 200 and payload["sub"] == "1"
    )


def test_a_short_secret_only_warns(host):
    made = host(JWT_SECRET_KEY="short").add()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        assert made.post().status_code == 200
