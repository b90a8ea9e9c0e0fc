"""A request of the fuzz test with its allowed responses, and what all kinds of requests use."""

from __future__ import annotations

import random
import re
from typing import Any, NamedTuple

import contract as c
from conftest import JOHN_AS_JSON
from hostile import VALID, claims, make_token

NO_RESPONSE, BAD_REQUEST, BAD_HOST = "no response", "gunicorn 400", "Flask 400"
HEADERS_TOO_LARGE, NOT_IMPLEMENTED = "gunicorn 431", "gunicorn 501"
TOKEN_ERRORS = {c.NO_TOKEN, c.BAD_HEADER_VALUE, *c.REASONS}
VALID_TOKEN = VALID["HS256"]
URL = "/HS256/api/profile/"
BEARER = f"Authorization: Bearer {VALID_TOKEN}"
COOKIE = f"Cookie: access_token_cookie={make_token(claims(csrf='c'))}"
JSON, FORM = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Case(NamedTuple):
    """A request, and the names of the responses that are allowed.

    A name is one of contract.py, NO_RESPONSE, BAD_HOST, or "gunicorn" with a status.
    """

    data: bytes
    allowed: set[str]
    method: str = "POST"
    media_type: str = ""
    vary: str | None = "Authorization"
    profile: str | re.Pattern[str] = JOHN_AS_JSON
    closes_connection: bool = False
    allow: str = "OPTIONS, POST"

    def is_last(self) -> bool:
        """Return whether it must be the last request on its connection."""
        return self.closes_connection or any(name.startswith("gunicorn") for name in self.allowed)


def make_request(
    allowed: set[str],
    *headers: str,
    app: str = "HS256",
    url: str = "/api/profile/",
    method: str = "POST",
    body: bytes = b"",
    **more: Any,
) -> Case:
    """Return a request with a correct length, even if its other parts are not valid."""
    lines = [f"{method} /{app}{url} HTTP/1.1", "Host: localhost", *headers]
    if body and CHUNKED not in headers:
        lines.append(f"Content-Length: {len(body)}")
    if len(lines[0]) > 4_094:
        allowed = {"gunicorn 414"}
    elif max(map(len, lines)) > 8_188:
        allowed = {HEADERS_TOO_LARGE}
    head = "".join(f"{line}\r\n" for line in [*lines, ""])
    return Case(head.encode("latin-1") + body, allowed, method, **more)


def random_json(rng: random.Random, depth: int = 0) -> Any:
    if depth > 3 or rng.random() < 0.7:
        return rng.choice([None, True, 0, -1.5, 1e300, 2**70, "1", "x", "\ud800", "\0"])
    values = [random_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    return values if rng.random() < 0.5 else {str(n): value for n, value in enumerate(values)}


def mutate(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at, cut = rng.randint(0, len(data)), rng.randrange(4)
        pieces = [rng.randbytes(cut), b"", data[:40], b"\r\n", b" ", b".", b"=", b"\0", b","]
        data = data[:at] + rng.choice(pieces) + data[at + cut :]
    return data


def encode_chunks(data: bytes) -> bytes:
    chunks = [*filter(None, [data[:7], data[7:]]), b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
