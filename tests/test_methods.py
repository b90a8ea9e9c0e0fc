"""Sends the hostile tokens and identities of ``hostile`` with every method.

test_auth.py and test_identities.py test the responses to POST. These tests check that the other
methods return the same errors, and that they change nothing.
"""

from __future__ import annotations

from functools import partial
from itertools import cycle

import pytest
from sqlalchemy import Integer, String, Uuid

from conftest import model_with_id
from contract import AVATAR_URL, PROFILE, URL
from host_databases import read_users
from hostile import HOSTS, IDENTITIES, TOKENS, USER_UUID, fits_in_header
from images import encode_solid

REQUESTS = {
    "GET": (URL, {}),
    "HEAD": (URL, {}),
    "PATCH": (URL, {"json": {"first_name": "Mallory"}}),
    "PUT": (AVATAR_URL, {"data": encode_solid(size=(1, 1)), "content_type": "image/png"}),
    "DELETE": (AVATAR_URL, {}),
    "DELETE of the account": (URL, {}),
}
HEADERS = ["WWW-Authenticate", "Cache-Control", "Vary", "Content-Type", "Allow", "ETag"]


@pytest.fixture
def host_with_all_methods(host, tmp_path):
    """Return a function that makes a host with every method enabled and John in its database."""

    def make(*, user_id=1, **config):
        config |= {
            "PROFILE_METHODS": ["DELETE", "GET", "PATCH", "POST"],
            "PROFILE_FRESH_METHODS": [],
            "PROFILE_AVATARS": True,
        }
        host_app = host(PROFILE_MEDIA_STORAGE=tmp_path / "media", **config).add(id=user_id)
        host_app.files = lambda: [*(tmp_path / "media").rglob("*.*")]
        return host_app

    return make


def send(host_app, method, token, location="headers"):
    url, options = REQUESTS.get(method, (URL, {}))
    if location == "headers":
        options = options | {"headers": {"Authorization": f"Bearer {token}"}}
    else:
        options = {"json": options.get("json", {}) | {"access_token": token}}
    return host_app.client.open(url, method=method.split()[0], **options)


def summarize(response, body):
    return response.status_code, body, *(response.headers.get(name) for name in HEADERS)


@pytest.fixture
def assert_methods_refuse_like_post(request):
    """Return a function that sends tokens, and checks that no row and no file is written.

    Each token is sent with POST and with one of the other methods in turn; with --thorough, with
    all of them.
    """
    methods_in_turn = [[method] for method in REQUESTS]
    if request.config.getoption("--thorough"):
        methods_in_turn = [[*REQUESTS]]
    return partial(assert_refused_like_post, methods_in_turn)


def assert_refused_like_post(methods_in_turn, host_app, tokens, location="headers"):
    before = read_users(host_app)
    with host_app.statements() as statements:
        for (case, token), methods in zip(tokens.items(), cycle(methods_in_turn), strict=False):
            refused = send(host_app, "POST", token, location)
            assert refused.status_code in {401, 404}, case
            for method in methods:
                response = send(host_app, method, token, location)
                body = b"" if method == "HEAD" else refused.data
                assert summarize(response, response.data) == summarize(refused, body), (
                    case,
                    method,
                )
    assert {statement.split()[0] for statement in statements} <= {"SELECT"}
    assert read_users(host_app) == before
    assert host_app.files() == []


@pytest.mark.parametrize("location", ["headers", "json"])
@pytest.mark.parametrize("host_name", HOSTS)
def test_a_token_that_post_refuses_gets_the_same_response_from_every_method(
    host_name, location, host_with_all_methods, assert_methods_refuse_like_post
):
    host_app = host_with_all_methods(JWT_TOKEN_LOCATION=location, **HOSTS[host_name])
    tokens = {
        case: token
        for case, (token, host, response) in TOKENS.items()
        if host == host_name
        and response != PROFILE
        and (location == "json" or fits_in_header(token))
    }
    assert_methods_refuse_like_post(host_app, tokens, location)


@pytest.mark.parametrize("host_name", ["HS256", "aud and iss", "ES256"])
def test_a_token_that_post_accepts_is_accepted_by_every_method(host_name, host_with_all_methods):
    host_app = host_with_all_methods(**HOSTS[host_name])
    accepted = {
        case: token
        for case, (token, host, response) in TOKENS.items()
        if host == host_name and response == PROFILE and fits_in_header(token)
    }
    assert accepted
    for case, token in accepted.items():
        headers = {"Authorization": f"Bearer {token}"}
        assert send(host_app, "PUT", token).json["avatar"].startswith("/media/avatars/"), case
        assert len(host_app.files()) == 1, case
        assert (send(host_app, "DELETE", token).status_code, host_app.files()) == (204, []), case
        patched = host_app.client.patch(URL, headers=headers, json={"first_name": case})
        assert (patched.json["first_name"], patched.json["avatar"]) == (case, None)
        for method in ("GET", "HEAD"):
            response = send(host_app, method, token)
            body = b"" if method == "HEAD" else patched.data
            assert (response.status_code, response.data, response.headers["ETag"]) == (
                (200, body, patched.headers["ETag"])
            ), (case, method)


ID_TYPES = {
    "integer": (Integer(), 1, {}),
    "text": (String(36), "josé 😀", {}),
    "UUID": (Uuid(), USER_UUID, {}),
    "username": (Integer(), 1, {"PROFILE_IDENTITY_FIELD": "username"}),
}


@pytest.mark.parametrize("case", ID_TYPES)
def test_a_hostile_identity_is_not_found_by_any_method(
    case, host_with_all_methods, assert_methods_refuse_like_post
):
    type_, user_id, config = ID_TYPES[case]
    host_app = host_with_all_methods(
        model=model_with_id(type_), user_id=user_id, JWT_VERIFY_SUB=False, **config
    )
    assert_methods_refuse_like_post(
        host_app, {n: host_app.token(identity) for n, identity in enumerate(IDENTITIES)}
    )


@pytest.mark.parametrize("user", ["inactive", "deleted"])
def test_a_user_that_post_refuses_is_refused_by_every_method(user, host_with_all_methods):
    host_app = host_with_all_methods()
    host_app.add(id=2, username="ann", email="ann@example.com", is_active=False)
    token = host_app.token({"inactive": "2", "deleted": "3"}[user])
    assert_refused_like_post([[*REQUESTS]], host_app, {user: token})
