"""Requests with hostile, mutated and random tokens, wherever an app reads tokens from."""

from __future__ import annotations

import json
import random
import re
from urllib.parse import quote

import contract as c
from conftest import JOHN_AS_JSON
from fuzz_app import MEMBER_AS_JSON
from fuzz_cases import (
    BAD_REQUEST,
    BEARER,
    CHUNKED,
    CONTROL_CHARACTERS,
    COOKIE,
    FORM,
    JSON,
    TOKEN_ERRORS,
    VALID_TOKEN,
    Case,
    encode_chunks,
    make_request,
    mutate,
    random_json,
)
from hostile import IDENTITIES, TOKENS, USER_UUID, VALID, claims, fits_in_header, make_token


def make_hostile_token(rng: random.Random) -> Case:
    token, host, expected = rng.choice([*TOKENS.values()])
    place = rng.choice(["headers", "json", "query", "cookies"]) if host == "HS256" else "headers"
    if place == "json":
        body = json.dumps({"access_token": token}).encode()
        return make_request({expected}, JSON, app="json", body=body, vary=None)
    if place == "query":
        url = "/api/profile/?jwt=" + quote(token, safe="", errors="surrogatepass")
        return make_request({expected}, app="query", url=url, vary=None)
    if place == "cookies" and re.fullmatch(r"[\w.=-]+", token, re.ASCII):
        cookie = f"Cookie: access_token_cookie={token}"
        return make_request({*c.REASONS}, cookie, "X-CSRF-TOKEN: c", app="cookies", vary="Cookie")
    if fits_in_header(token):
        return make_request(
            {expected}, f"Authorization: Bearer {token}", app=host.replace(" ", "-")
        )
    return make_hostile_token(rng)


def make_mutated_token(rng: random.Random) -> Case:
    host = rng.choice([*VALID])
    value = mutate(rng, f"Bearer {VALID[host]}".encode()).replace(b"\r\n", b"").decode("latin-1")
    allowed = TOKEN_ERRORS | ({c.PROFILE} if VALID[host] in value else set())
    if CONTROL_CHARACTERS.search(value):
        allowed = {BAD_REQUEST}
    return make_request(allowed, f"Authorization: {value}", app=host.replace(" ", "-"))


def make_signed_token(rng: random.Random) -> Case:
    names = ["sub", "type", "exp", "nbf", "iat", "jti", "fresh", "aud", "iss"]
    payload = json.loads(claims()) | {rng.choice(names): random_json(rng) for _ in range(2)}
    header = {"alg": "HS256", rng.choice(["typ", "kid", "crit", "b64", "x"]): random_json(rng)}
    allowed = {
        *c.REASONS,
        c.PROFILE if payload["sub"] == "1" else c.USER_NOT_FOUND,
    }
    token = make_token(json.dumps(payload).encode(), header)
    return make_request(allowed, f"Authorization: Bearer {token}")


def make_identity(rng: random.Random) -> Case:
    app, url, key, inactive, profile = rng.choice(
        [
            ("any-sub", "/api/profile", "1", "7", JOHN_AS_JSON),
            ("any-sub", "/v2/me", str(USER_UUID), None, MEMBER_AS_JSON),
            ("username", "/api/profile", "john_doe", "ann", JOHN_AS_JSON),
        ]
    )
    near = mutate(rng, key.encode()).decode("latin-1")
    sub = rng.choice([rng.choice(IDENTITIES), random_json(rng), near, key, "7", "ann"])
    expected = c.USER_NOT_FOUND
    if isinstance(sub, str):
        expected = {key: c.PROFILE, inactive: c.INACTIVE_USER}.get(sub, c.USER_NOT_FOUND)
    token = f"Authorization: Bearer {make_token(claims(sub=sub))}"
    return make_request({expected}, token, JSON, app=app, url=url, profile=profile)


def make_token_body(rng: random.Random) -> Case:
    good = json.dumps({"access_token": VALID_TOKEN}).encode()
    near = mutate(rng, good)
    body, allowed = rng.choice(
        [
            (good, {c.PROFILE}),
            (b"\xef\xbb\xbf" + good, {c.PROFILE}),
            (json.dumps(random_json(rng)).encode(), {c.NO_TOKEN}),
            (
                json.dumps({"access_token": random_json(rng)}).encode(),
                {c.NO_TOKEN, c.MALFORMED},
            ),
            (b"[" * rng.choice([10, 1_000, 100_000]), {c.NO_TOKEN}),
            (good.ljust(110_000), {c.TOO_LARGE}),
            (rng.randbytes(rng.randrange(40)), {c.NO_TOKEN}),
            (near, TOKEN_ERRORS | ({c.PROFILE} if VALID_TOKEN.encode() in near else set())),
        ]
    )
    media_type = rng.choice([JSON, JSON, JSON, "Content-Type: text/plain"])
    app, vary = "json", None
    if media_type != JSON:
        allowed = {c.NO_TOKEN}
    if rng.random() < 0.3:
        app, vary, allowed = "HS256", "Authorization", {c.PROFILE}
    # gunicorn does not read the rest of a long body that the app has left unread.
    is_read = app != "HS256" and media_type == JSON and len(body) < 102_400
    closes_connection = len(body) > 60_000 and not is_read
    headers = [media_type, BEARER]
    if rng.random() < 0.3:
        headers, body = [*headers, CHUNKED], encode_chunks(body)
    return make_request(
        allowed, *headers, app=app, body=body, vary=vary, closes_connection=closes_connection
    )


CSRF_PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\nc\r\n'


def make_csrf_form(rng: random.Random) -> Case:
    multipart = "Content-Type: multipart/form-data; boundary=x"
    header, body, expected = rng.choice(
        [
            ("X-CSRF-TOKEN: c", "", c.PROFILE),
            ("X-CSRF-TOKEN: cc", "csrf_token=c", c.BAD_CSRF_TOKEN),
            ("X-CSRF-TOKEN: \xe9", "", c.MALFORMED),
            (FORM, "csrf_token=c", c.PROFILE),
            (FORM, "csrf_token=", c.BAD_CSRF_TOKEN),
            (FORM, "csrf_token=%00&csrf_token=c", c.BAD_CSRF_TOKEN),
            (FORM, "&=%;" * 1_000, c.BAD_CSRF_TOKEN),
            (multipart, CSRF_PART.format("csrf_token") + "--x--", c.PROFILE),
            (multipart, CSRF_PART.format("other") + "--x--", c.BAD_CSRF_TOKEN),
            (multipart, CSRF_PART.format("other") * 2_000 + "--x--", c.TOO_LARGE),
            (FORM, "csrf_token=c&" + "x" * 110_000, c.TOO_LARGE),
            (multipart, "--x\r\n", c.BAD_CSRF_TOKEN),
        ]
    )
    return make_request(
        {expected},
        COOKIE,
        header,
        app="cookies",
        body=body.encode(),
        vary="Cookie",
        closes_connection=expected == c.TOO_LARGE,  # gunicorn does not read the rest.
    )
