"""Requests to the app that enables every method: reads, and methods that are not allowed."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from werkzeug.http import generate_etag

import contract as c
from conftest import JOHN_AS_JSON
from fuzz_app import DOOMED, EVE
from fuzz_cases import BEARER, JSON, Case, make_request
from hostile import TOKENS, claims, fits_in_header, make_token

PROFILE_ALLOW = "DELETE, GET, HEAD, OPTIONS, PATCH, POST"
AVATAR_ALLOW = "DELETE, OPTIONS, PUT"
EVE_BEARER = f"Authorization: Bearer {make_token(claims(sub=str(EVE['id'])))}"
EDITED_FIELDS = {
    "first_name": c.JSON_STRING,
    "last_name": c.JSON_STRING,
    "number_phone": f"(?:null|{c.JSON_STRING})",
    "avatar": r'(?:null|"/media/avatars/[0-9a-f]{32}\.webp")',
}
EVE_AS_JSON = re.escape(
    json.dumps(json.loads(JOHN_AS_JSON) | EVE | {n: f"<{n}>" for n in EDITED_FIELDS})
)
for _name, _pattern in EDITED_FIELDS.items():
    EVE_AS_JSON = EVE_AS_JSON.replace(f'"<{_name}>"', _pattern)


def make_full_app_request(allowed: set[str], *headers: str, **more: Any) -> Case:
    """Return a request to the app that enables every method. In this app, Eve edits her profile."""
    allow = AVATAR_ALLOW if "/avatar" in more.get("url", "") else PROFILE_ALLOW
    profile = re.compile(EVE_AS_JSON) if EVE_BEARER in headers else JOHN_AS_JSON
    return make_request(allowed, *headers, app="full", allow=allow, profile=profile, **more)


ETAG = f'"{generate_etag(JOHN_AS_JSON.encode())}"'
GZIPPED = f'{ETAG[:-1]}-gzip"'
ETAGS = {
    **dict.fromkeys([ETAG, GZIPPED, f"W/{ETAG}", f'"x", {ETAG}', f"{ETAG},", "*"], c.NOT_MODIFIED),
    **dict.fromkeys(["", '"', '"x"', "W/", ETAG.upper(), f"{ETAG[:-2]}{ETAG[-1]}"], c.PROFILE),
}


def make_read(rng: random.Random) -> Case:
    tag = rng.choice([*ETAGS])
    noise = rng.choice(["Range: bytes=0-1", "If-Range: x", "If-Modified-Since: now", "If-Match: *"])
    headers, expected = rng.choice(
        [
            ([BEARER], c.PROFILE),
            ([BEARER, noise], c.PROFILE),
            ([BEARER, f"If-None-Match: {tag}"], ETAGS[tag]),
            ([BEARER, f"If-None-Match: {tag}", noise], ETAGS[tag]),
            ([BEARER, f"If-Match: {rng.choice(['*', ETAG, f'W/{ETAG}', GZIPPED])}"], c.PROFILE),
            ([BEARER, f"If-Match: {rng.choice(['x', f'W/{ETAG.upper()}'])}"], c.CHANGED),
            ([f"If-None-Match: {tag}"], c.NO_TOKEN),
        ]
    )
    url = rng.choice(["/api/profile/", "/api/profile", "/api/profile/?x=1"])
    body = rng.choice([b"", b"", b"{}", rng.randbytes(9)])
    return make_full_app_request(
        {expected}, *headers, method=rng.choice(["GET", "HEAD"]), url=url, body=body
    )


PROFILE_URL, AVATAR_URL = "/api/profile/", "/api/profile/avatar/"
EDIT_URLS = {"PATCH": PROFILE_URL, "PUT": AVATAR_URL, "DELETE": AVATAR_URL}


def make_token_for_any_method(rng: random.Random) -> Case:
    token, host, expected = rng.choice([*TOKENS.values()])
    if host != "HS256" or not fits_in_header(token) or len(token) > 8_000:
        return make_token_for_any_method(rng)
    # With an edit method, a valid token would change John's row.
    method = rng.choice(["GET", "HEAD", *(() if expected == c.PROFILE else EDIT_URLS)])
    url = EDIT_URLS.get(method, "/api/profile/")
    bearer = f"Authorization: Bearer {token}"
    allowed = {expected}
    if method == "DELETE" and rng.random() < 0.5:
        url = PROFILE_URL  # Some reasons are found only after the token is known not to be fresh.
        allowed.add(c.NOT_FRESH)
    return make_full_app_request(
        allowed, bearer, JSON, method=method, url=url, body=b'{"first_name": "x"}'
    )


def make_account_removal(rng: random.Random) -> Case:
    """Return a deletion by a user who may be gone already, or by Eve, whose token is not fresh."""
    doomed = claims(sub=str(rng.choice(DOOMED)), fresh=True)
    allowed, bearer = {c.REMOVED, c.USER_NOT_FOUND}, f"Authorization: Bearer {make_token(doomed)}"
    headers: list[str] = []
    if rng.random() < 0.2:
        allowed, bearer = {c.NOT_FRESH}, EVE_BEARER
    elif rng.random() < 0.5:
        allowed = {c.CHANGED, c.USER_NOT_FOUND}
        headers = [f"If-Match: {rng.choice(['x', ETAG, '', 'W/'])}"]
    url = rng.choice([PROFILE_URL, PROFILE_URL.rstrip("/")])
    body = rng.choice([b"", b"{}", rng.randbytes(9)])
    return make_full_app_request(allowed, bearer, *headers, method="DELETE", url=url, body=body)


def make_disallowed_method(rng: random.Random) -> Case:
    url = rng.choice(
        ["/api/profile/", "/api/profile", "/api/profile/avatar/", "/api/profile/avatar"]
    )
    allow = AVATAR_ALLOW if "avatar" in url else PROFILE_ALLOW
    methods = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "TRACE", "BREW", "OPTIONS"]
    method = rng.choice([name for name in methods if name == "OPTIONS" or name not in allow])
    return make_full_app_request(
        {c.OPTIONS if method == "OPTIONS" else c.METHOD_NOT_ALLOWED},
        EVE_BEARER,
        method=method,
        url=url,
    )
