"""Requests with unusual or invalid methods, headers, framing and bytes."""

from __future__ import annotations

import random
import re

import contract as c
from fuzz_cases import (
    BAD_HOST,
    BAD_REQUEST,
    BEARER,
    CHUNKED,
    CONTROL_CHARACTERS,
    COOKIE,
    FORM,
    HEADERS_TOO_LARGE,
    JSON,
    NO_RESPONSE,
    NOT_IMPLEMENTED,
    TOKEN_ERRORS,
    URL,
    VALID_TOKEN,
    Case,
    make_request,
    mutate,
)
from hostile import claims, make_token

METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
METHODS += ["BREW", "M-SEARCH", "POST!", "P'ST", "A" * 20, "A" * 21, "get", "post", "Post", "P#ST"]


def make_method(rng: random.Random) -> Case:
    name = rng.choice(METHODS)
    allowed = {c.OPTIONS if name == "OPTIONS" else c.METHOD_NOT_ALLOWED}
    if re.search("[a-z#]", name) or len(name) > 20:
        allowed = {BAD_REQUEST}
    url = rng.choice(["/api/profile", "/api/profile/", "/v2/me", "/v2/me/?x=1", "/api/%70rofile"])
    return make_request(allowed, BEARER, method=name, url=url, closes_connection=name == "CONNECT")


JSON_TYPES = ["application/json", "Application/JSON ; charset=x", "application/merge-patch+json"]
OTHER_TYPES = ["", "json", "text/json", "application/jsonp", "{0}", '"\\', "\xe9{method}"]
OTHER_TYPES += ["a" * 8_000]


def make_media_type(rng: random.Random) -> Case:
    name = rng.choice(JSON_TYPES + OTHER_TYPES)
    expected = c.PROFILE if name in JSON_TYPES else c.UNSUPPORTED_MEDIA_TYPE
    token = f"Authorization: Bearer {make_token(claims(sub='john_doe'))}"
    return make_request({expected}, token, f"Content-Type: {name}", app="username", media_type=name)


BROKEN_CHUNKS = ["", "x\r\n", "-1\r\n", "5\r\nabc", "2\r\nabc\r\n", "1;\r\n", "0\r\nX\r\n\r\n"]


def make_broken_body(rng: random.Random) -> Case:
    app, vary, media_type = rng.choice([("json", None, JSON), ("cookies", "Cookie", FORM)])
    headers = [media_type, COOKIE, rng.choice(["Content-Length: 99", CHUNKED])]
    case = make_request(
        {c.NO_TOKEN, c.BAD_CSRF_TOKEN},
        *headers,
        app=app,
        vary=vary,
        closes_connection=True,
    )
    return case._replace(data=case.data + rng.choice(BROKEN_CHUNKS).encode())


IGNORED_HEADERS = ["Accept", "Accept-Encoding", "Cookie", "If-None-Match", "If-Match", "Range"]
IGNORED_HEADERS += ["Origin", "X-HTTP-Method-Override", "X-Forwarded-Host", "X-CSRF-TOKEN"]
IGNORED_HEADERS += ["Content-Type"]


def make_headers(rng: random.Random) -> Case:
    noise = CONTROL_CHARACTERS.sub("", mutate(rng, b"en, *;q=0.1").decode("latin-1"))
    headers, expected = rng.choice(
        [
            ([BEARER, "Authorization: Basic am9objpkb2U="], c.PROFILE),
            ([BEARER, "Authorization:"], c.PROFILE),
            ([BEARER, BEARER], c.BAD_HEADER_VALUE),
            (["Authorization: Bearer x", BEARER], c.BAD_HEADER_VALUE),
            (["Authorization: Bearer"], c.BAD_HEADER_VALUE),
            ([f"{BEARER} x"], c.BAD_HEADER_VALUE),
            ([BEARER.replace("Bearer", "bearer")], c.NO_TOKEN),
            ([BEARER.replace("Bearer ", "Bearer\t")], c.PROFILE),
            ([f"Authorization: Bearer {'x' * 8_166}"], c.MALFORMED),
            ([f"Authorization: Bearer {'x' * rng.randint(8_167, 60_000)}"], HEADERS_TOO_LARGE),
            ([BEARER, *(f"X-{n}: {n}" for n in range(90))], c.PROFILE),
            ([BEARER, *(f"X-{n}: {n}" for n in range(200))], HEADERS_TOO_LARGE),
            ([BEARER, "Expect: 100-continue"], c.PROFILE),
            ([BEARER, "Expect: cake"], "gunicorn 417"),
            ([BEARER, "AUTHORIZATION_: Bearer x", "SCRIPT_NAME: /x"], c.PROFILE),
            *(([BEARER, f"{name}: {noise}"], c.PROFILE) for name in IGNORED_HEADERS),
        ]
    )
    return make_request({expected}, *headers)


REQUEST_HEAD = f"POST {URL} HTTP/1.1\r\n{BEARER}\r\n"
REFUSED_BY_GUNICORN = [
    *("\r\n\r\n", "\0\r\n\r\n", "x\n\n", "GET /\r\n\r\n", f"POST {URL}\r\n\r\n"),
    *(f"{method} {URL} HTTP/1.1\r\n\r\n" for method in ("post", "", "POST ", "PO", "P ST", "P\0")),
    *(f"POST {url} HTTP/1.1\r\n\r\n" for url in ("*", "localhost:80", "a", f"{URL}\0", "/\xe9")),
    *(f"POST {URL} HTTP/{version}\r\n\r\n" for version in ("2.0", "0.9", "1", "1.1 ", "1.10")),
    *(f"POST {URL} {version}\r\n\r\n" for version in ("http/1.1", "HTTPS/1.1", "x HTTP/1.1")),
    *("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", f"POST {URL} HTTP/1.1\nHost: x\n\n"),
    *(
        f"{REQUEST_HEAD}{line}\r\n\r\n"
        for line in (" folded", "\tfolded", "Authorization", ": x", "X : x")
    ),
    *(
        f"{REQUEST_HEAD}{line}\r\n\r\n"
        for line in ("X\xe9: x", "X\0: x", "X: \0", "X: \x7f", "X: x\rY: y")
    ),
    *(
        f"{REQUEST_HEAD}Content-Length: {n}\r\n\r\n"
        for n in ("-1", "+1", "1_0", "\xb2", "0x1", "", "1, 1")
    ),
    *(f"{REQUEST_HEAD}{line}\r\n{line}\r\n\r\n" for line in ("Content-Length: 1", "Host: x", JSON)),
    *(f"{REQUEST_HEAD}{CHUNKED}{more}\r\n\r\n" for more in (", x", ", chunked", f"\r\n{CHUNKED}")),
    *(f"{REQUEST_HEAD}Transfer-Encoding: {coding}\r\n\r\n" for coding in ("gzip", "identity", "")),
    f"{REQUEST_HEAD}Content-Length: 1\r\n{CHUNKED}\r\n\r\n",
    f"POST {URL} HTTP/1.0\r\n{CHUNKED}\r\n\r\n",
]
RAW_REQUESTS: dict[str, set[str]] = {
    **dict.fromkeys(REFUSED_BY_GUNICORN, {BAD_REQUEST, NOT_IMPLEMENTED}),
    f"POST {URL}{'x' * 5_000} HTTP/1.1\r\n\r\n": {"gunicorn 414"},
    f"\r\n{REQUEST_HEAD}\r\n": {c.PROFILE},
    REQUEST_HEAD.replace("1.1", "1.0") + "\r\n": {c.PROFILE},
    REQUEST_HEAD.replace(URL, f"http://example.com{URL}?x#y") + "\r\n": {c.PROFILE},
    f"{REQUEST_HEAD}Content-Length: 99999\r\n\r\nhalf": {c.PROFILE},
    **{f"{REQUEST_HEAD}{CHUNKED}\r\n\r\n{chunks}": {c.PROFILE} for chunks in BROKEN_CHUNKS},
    **dict.fromkeys(["", "P", "POST", REQUEST_HEAD, "\x16\x03\x01\2"], {NO_RESPONSE}),
}


def make_raw_request(rng: random.Random) -> Case:
    data, allowed = rng.choice([*RAW_REQUESTS.items()])
    return Case(data.encode("latin-1"), allowed, closes_connection=True)


def make_mutated_head(rng: random.Random) -> Case:
    line, _, rest = make_request(set(), BEARER, "Accept: */*").data.partition(b"\r\n")
    rest = mutate(rng, rest)
    allowed = {*TOKEN_ERRORS, NO_RESPONSE, BAD_REQUEST, BAD_HOST, HEADERS_TOO_LARGE}
    if VALID_TOKEN.encode() in rest:
        allowed.add(c.PROFILE)
    return Case(line + b"\r\n" + rest, allowed, closes_connection=True)


def make_random_bytes(rng: random.Random) -> Case:
    data = rng.randbytes(rng.randrange(1, 6_000)) + rng.choice([b"", b"\r\n\r\n"])
    return Case(data, {NO_RESPONSE, BAD_REQUEST, "gunicorn 414"}, closes_connection=True)
