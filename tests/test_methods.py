"""The hostile tokens and identities of hostile.py, against every method.

What is right for POST is the business of test_auth.py and test_queries.py: the others refuse as it
does, and then do nothing.
"""

from __future__ import annotations

import io

import pytest
from PIL import Image
from sqlalchemy import Integer, String, Uuid, select

from conftest import keyed
from hostile import HOSTS, IDENTITIES, KEY, TOKENS, fits_a_header
from responses import PROFILE


def picture():
    made = io.BytesIO()
    Image.new("RGB", (1, 1)).save(made, "PNG")
    return made.getvalue()


URL, AVATAR = "/api/profile/", "/api/profile/avatar/"
REQUESTS = {
    "GET": (URL, {}),
    "HEAD": (URL, {}),
    "PATCH": (URL, {"json": {"first_name": "Mallory"}}),
    "PUT": (AVATAR, {"data": picture(), "content_type": "image/png"}),
    "DELETE": (AVATAR, {}),
}
HEADERS = ["WWW-Authenticate", "Cache-Control", "Vary", "Content-Type", "Allow", "ETag"]


@pytest.fixture
def open_host(host, tmp_path):
    """Return what makes a host that opens every method, with John in it."""

    def make(*, key=1, **config):
        config |= {"PROFILE_METHODS": ["GET", "PATCH", "POST"], "PROFILE_AVATARS": True}
        made = host(PROFILE_MEDIA_STORAGE=tmp_path / "media", **config).add(id=key)
        made.files = lambda: [*(tmp_path / "media").rglob("*.*")]
        return made

    return make


def rows(host):
    with host.app.app_context():
        return host.db.session.execute(select(host.User.__table__)).all()


def ask(host, method, token, location="headers"):
    url, options = REQUESTS.get(method, (URL, {}))
    if location == "headers":
        options = options | {"headers": {"Authorization": f"Bearer {token}"}}
    else:
        options = {"json": options.get("json", {}) | {"access_token": token}}
    return host.client.open(url, method=method, **options)


def seen(response, body):
    return response.status_code, body, *(response.headers.get(name) for name in HEADERS)


def assert_all_refuse_like_post(host, tokens, location="headers"):
    """Send each token with each method; no statement may write, and no file may come to be."""
    before = rows(host)
    with host.statements() as statements:
        for case, token in tokens.items():
            refused = ask(host, "POST", token, location)
            assert refused.status_code in {401, 404}, case
            for method in REQUESTS:
                response = ask(host, method, token, location)
                body = b"" if method == "HEAD" else refused.data
                assert seen(response, response.data) == seen(refused, body), (case, method)
    assert {statement.split()[0] for statement in statements} <= {"SELECT"}
    assert rows(host) == before
    assert host.files() == []


@pytest.mark.parametrize("location", ["headers", "json"])
@pytest.mark.parametrize("kind", HOSTS)
def test_a_token_that_post_refuses_is_refused_alike_by_every_method(kind, location, open_host):
    made = open_host(JWT_TOKEN_LOCATION=location, **HOSTS[kind])
    tokens = {
        case: token
        for case, (token, of, answer) in TOKENS.items()
        if of == kind and answer != PROFILE and (location == "json" or fits_a_header(token))
    }
    assert_all_refuse_like_post(made, tokens, location)


@pytest.mark.parametrize("kind", ["HS256", "us", "ES256"])
def test_a_token_that_post_accepts_is_accepted_by_every_method(kind, open_host):
    made = open_host(**HOSTS[kind])
    accepted = {
        case: token
        for case, (token, of, answer) in TOKENS.items()
        if of == kind and answer == PROFILE and fits_a_header(token)
    }
    assert accepted
    for case, token in accepted.items():
        headers = {"Authorization": f"Bearer {token}"}
        assert ask(made, "PUT", token).json["avatar"].startswith("/media/avatars/"), case
        assert len(made.files()) == 1, case
        assert (ask(made, "DELETE", token).status_code, made.files()) == (204, []), case
        patched = made.client.patch(URL, headers=headers, json={"first_name": case})
        assert (patched.json["first_name"], patched.json["avatar"]) == (case, None)
        for method in ("GET", "HEAD"):
            response = ask(made, method, token)
            body = b"" if method == "HEAD" else patched.data
            assert (response.status_code, response.data, response.headers["ETag"]) == (
                (200, body, patched.headers["ETag"])
            ), (case, method)


KEYS = {
    "integer": (Integer(), 1, {}),
    "text": (String(36), "josé 😀", {}),
    "UUID": (Uuid(), KEY, {}),
    "username": (Integer(), 1, {"PROFILE_IDENTITY_FIELD": "username"}),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_hostile_identity_is_not_found_by_any_method(case, open_host):
    type_, key, config = KEYS[case]
    made = open_host(model=keyed(type_), key=key, JWT_VERIFY_SUB=False, **config)
    assert_all_refuse_like_post(
        made, {n: made.token(identity) for n, identity in enumerate(IDENTITIES)}
    )


@pytest.mark.parametrize("token", ["inactive", "deleted"])
def test_a_user_whom_post_does_not_serve_is_served_by_no_method(token, open_host):
    made = open_host()
    made.add(id=2, username="ann", email="ann@example.com", is_active=False)
    assert_all_refuse_like_post(made, {token: made.token({"inactive": "2", "deleted": "3"}[token])})
