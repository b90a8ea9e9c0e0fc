"""The requests of .ci/fuzz.py: a function for each kind, and what may be answered."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from fuzz_app import EVE, JOHN_AS_JSON, KEY, MAX_BODY, MAX_PICTURE, MEMBER_AS_JSON
from PIL import Image
from werkzeug.http import generate_etag

import responses as r
from hostile import IDENTITIES, TOKENS, VALID, claims, fits_a_header, signed

NOTHING, BAD, TOO_LARGE, UNKNOWN = "nothing", "gunicorn 400", "gunicorn 431", "gunicorn 501"
BAD_HOST = "Flask 400"
REFUSED = {r.NO_TOKEN, r.NO_WORD, *r.REASONS}
GOOD = VALID["HS256"]
URL = "/HS256/api/profile/"
BEARER = f"Authorization: Bearer {GOOD}"
COOKIE = f"Cookie: access_token_cookie={signed(claims(csrf='c'))}"
JSON, FORM = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Case(NamedTuple):
    """A request, and what may be answered: names of responses.py, "nothing", "gunicorn 400"."""

    data: bytes
    allowed: set[str]
    method: str = "POST"
    media_type: str = ""
    vary: str | None = "Authorization"
    profile: str | re.Pattern[str] = JOHN_AS_JSON
    ends: bool = False
    allow: str = "OPTIONS, POST"

    def is_last(self) -> bool:
        """Tell whether nothing may follow it on its connection."""
        return self.ends or any(name.startswith("gunicorn") for name in self.allowed)


def http(
    allowed: set[str],
    *headers: str,
    app: str = "HS256",
    url: str = "/api/profile/",
    method: str = "POST",
    body: bytes = b"",
    **more: Any,
) -> Case:
    """Make a request that is framed well, whatever else it is given."""
    lines = [f"{method} /{app}{url} HTTP/1.1", "Host: localhost", *headers]
    if body and CHUNKED not in headers:
        lines.append(f"Content-Length: {len(body)}")
    if len(lines[0]) > 4_094:
        allowed = {"gunicorn 414"}
    elif max(map(len, lines)) > 8_188:
        allowed = {TOO_LARGE}
    head = "".join(f"{line}\r\n" for line in [*lines, ""])
    return Case(head.encode("latin-1") + body, allowed, method, **more)


def some_json(rng: random.Random, depth: int = 0) -> Any:
    if depth > 3 or rng.random() < 0.7:
        return rng.choice([None, True, 0, -1.5, 1e300, 2**70, "1", "x", "\ud800", "\0"])
    values = [some_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    return values if rng.random() < 0.5 else {str(n): value for n, value in enumerate(values)}


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at, cut = rng.randint(0, len(data)), rng.randrange(4)
        pieces = [rng.randbytes(cut), b"", data[:40], b"\r\n", b" ", b".", b"=", b"\0", b","]
        data = data[:at] + rng.choice(pieces) + data[at + cut :]
    return data


def a_token_of_the_table(rng: random.Random) -> Case:
    token, host, answer = rng.choice([*TOKENS.values()])
    place = rng.choice(["headers", "json", "query", "cookies"]) if host == "HS256" else "headers"
    if place == "json":
        body = json.dumps({"access_token": token}).encode()
        return http({answer}, JSON, app="json", body=body, vary=None)
    if place == "query":
        url = "/api/profile/?jwt=" + quote(token, safe="", errors="surrogatepass")
        return http({answer}, app="query", url=url, vary=None)
    if place == "cookies" and re.fullmatch(r"[\w.=-]+", token, re.ASCII):
        cookie = f"Cookie: access_token_cookie={token}"
        return http({*r.REASONS}, cookie, "X-CSRF-TOKEN: c", app="cookies", vary="Cookie")
    if fits_a_header(token):
        return http({answer}, f"Authorization: Bearer {token}", app=host.replace(" ", "-"))
    return a_token_of_the_table(rng)


def a_mutated_token(rng: random.Random) -> Case:
    host = rng.choice([*VALID])
    value = mutated(rng, f"Bearer {VALID[host]}".encode()).replace(b"\r\n", b"").decode("latin-1")
    allowed = REFUSED | ({r.PROFILE} if VALID[host] in value else set())
    if CONTROL.search(value):
        allowed = {BAD}
    return http(allowed, f"Authorization: {value}", app=host.replace(" ", "-"))


def a_signed_token(rng: random.Random) -> Case:
    names = ["sub", "type", "exp", "nbf", "iat", "jti", "fresh", "aud", "iss"]
    payload = json.loads(claims()) | {rng.choice(names): some_json(rng) for _ in range(2)}
    header = {"alg": "HS256", rng.choice(["typ", "kid", "crit", "b64", "x"]): some_json(rng)}
    allowed = {*r.REASONS, r.PROFILE if payload["sub"] == "1" else r.NOBODY}
    token = signed(json.dumps(payload).encode(), header)
    return http(allowed, f"Authorization: Bearer {token}")


def an_identity(rng: random.Random) -> Case:
    app, url, key, inactive, profile = rng.choice(
        [
            ("any-sub", "/api/profile", "1", "7", JOHN_AS_JSON),
            ("any-sub", "/v2/me", str(KEY), None, MEMBER_AS_JSON),
            ("username", "/api/profile", "john_doe", "ann", JOHN_AS_JSON),
        ]
    )
    near = mutated(rng, key.encode()).decode("latin-1")
    sub = rng.choice([rng.choice(IDENTITIES), some_json(rng), near, key, "7", "ann"])
    answer = r.NOBODY
    if isinstance(sub, str):
        answer = {key: r.PROFILE, inactive: r.IS_INACTIVE}.get(sub, r.NOBODY)
    token = f"Authorization: Bearer {signed(claims(sub=sub))}"
    return http({answer}, token, JSON, app=app, url=url, profile=profile)


METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
METHODS += ["BREW", "M-SEARCH", "POST!", "P'ST", "A" * 20, "A" * 21, "get", "post", "Post", "P#ST"]


def a_method(rng: random.Random) -> Case:
    name = rng.choice(METHODS)
    allowed = {r.OPTIONS if name == "OPTIONS" else r.METHOD}
    if re.search("[a-z#]", name) or len(name) > 20:
        allowed = {BAD}
    url = rng.choice(["/api/profile", "/api/profile/", "/v2/me", "/v2/me/?x=1", "/api/%70rofile"])
    return http(allowed, BEARER, method=name, url=url, ends=name == "CONNECT")


IS_JSON = ["application/json", "Application/JSON ; charset=x", "application/merge-patch+json"]
NOT_JSON = ["", "json", "text/json", "application/jsonp", "{0}", '"\\', "\xe9{method}", "a" * 8_000]


def a_media_type(rng: random.Random) -> Case:
    name = rng.choice(IS_JSON + NOT_JSON)
    answer = r.PROFILE if name in IS_JSON else r.MEDIA_TYPE
    token = f"Authorization: Bearer {signed(claims(sub='john_doe'))}"
    return http({answer}, token, f"Content-Type: {name}", app="username", media_type=name)


def chunked(data: bytes) -> bytes:
    chunks = [*filter(None, [data[:7], data[7:]]), b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def a_body(rng: random.Random) -> Case:
    good = json.dumps({"access_token": GOOD}).encode()
    near = mutated(rng, good)
    body, allowed = rng.choice(
        [
            (good, {r.PROFILE}),
            (b"\xef\xbb\xbf" + good, {r.PROFILE}),
            (json.dumps(some_json(rng)).encode(), {r.NO_TOKEN}),
            (json.dumps({"access_token": some_json(rng)}).encode(), {r.NO_TOKEN, r.MALFORMED}),
            (b"[" * rng.choice([10, 1_000, 100_000]), {r.NO_TOKEN}),
            (rng.randbytes(rng.randrange(40)), {r.NO_TOKEN}),
            (near, REFUSED | ({r.PROFILE} if GOOD.encode() in near else set())),
        ]
    )
    media_type = rng.choice([JSON, JSON, JSON, "Content-Type: text/plain"])
    app, vary = "json", None
    if media_type != JSON:
        allowed = {r.NO_TOKEN}
    if rng.random() < 0.3:
        app, vary, allowed = "HS256", "Authorization", {r.PROFILE}
    ends = len(body) > 60_000 and (app == "HS256" or media_type != JSON)  # Not read to its end.
    headers = [media_type, BEARER]
    if rng.random() < 0.3:
        headers, body = [*headers, CHUNKED], chunked(body)
    return http(allowed, *headers, app=app, body=body, vary=vary, ends=ends)


BROKEN_CHUNKS = ["", "x\r\n", "-1\r\n", "5\r\nabc", "2\r\nabc\r\n", "1;\r\n", "0\r\nX\r\n\r\n"]


def a_broken_body(rng: random.Random) -> Case:
    app, vary, media_type = rng.choice([("json", None, JSON), ("cookies", "Cookie", FORM)])
    headers = [media_type, COOKIE, rng.choice(["Content-Length: 99", CHUNKED])]
    case = http({r.NO_TOKEN, r.CSRF}, *headers, app=app, vary=vary, ends=True)
    return case._replace(data=case.data + rng.choice(BROKEN_CHUNKS).encode())


PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\nc\r\n'


def a_form(rng: random.Random) -> Case:
    multipart = "Content-Type: multipart/form-data; boundary=x"
    header, body, answer = rng.choice(
        [
            ("X-CSRF-TOKEN: c", "", r.PROFILE),
            ("X-CSRF-TOKEN: cc", "csrf_token=c", r.CSRF),
            ("X-CSRF-TOKEN: \xe9", "", r.MALFORMED),
            (FORM, "csrf_token=c", r.PROFILE),
            (FORM, "csrf_token=", r.CSRF),
            (FORM, "csrf_token=%00&csrf_token=c", r.CSRF),
            (FORM, "&=%;" * 1_000, r.CSRF),
            (multipart, PART.format("csrf_token") + "--x--", r.PROFILE),
            (multipart, PART.format("other") + "--x--", r.CSRF),
            (multipart, PART.format("other") * 2_000 + "--x--", r.NO_TOKEN),
            (multipart, "--x\r\n", r.CSRF),
        ]
    )
    return http({answer}, COOKIE, header, app="cookies", body=body.encode(), vary="Cookie")


HARMLESS = ["Accept", "Accept-Encoding", "Cookie", "If-None-Match", "If-Match", "Range", "Origin"]
HARMLESS += ["X-HTTP-Method-Override", "X-Forwarded-Host", "X-CSRF-TOKEN", "Content-Type"]


def other_headers(rng: random.Random) -> Case:
    noise = CONTROL.sub("", mutated(rng, b"en, *;q=0.1").decode("latin-1"))
    headers, answer = rng.choice(
        [
            ([BEARER, "Authorization: Basic am9objpkb2U="], r.PROFILE),
            ([BEARER, "Authorization:"], r.PROFILE),
            ([BEARER, BEARER], r.NO_WORD),
            (["Authorization: Bearer x", BEARER], r.NO_WORD),
            (["Authorization: Bearer"], r.NO_WORD),
            ([f"{BEARER} x"], r.NO_WORD),
            ([BEARER.replace("Bearer", "bearer")], r.NO_TOKEN),
            ([BEARER.replace("Bearer ", "Bearer\t")], r.PROFILE),
            ([f"Authorization: Bearer {'x' * 8_166}"], r.MALFORMED),
            ([f"Authorization: Bearer {'x' * rng.randint(8_167, 60_000)}"], TOO_LARGE),
            ([BEARER, *(f"X-{n}: {n}" for n in range(90))], r.PROFILE),
            ([BEARER, *(f"X-{n}: {n}" for n in range(200))], TOO_LARGE),
            ([BEARER, "Expect: 100-continue"], r.PROFILE),
            ([BEARER, "Expect: cake"], "gunicorn 417"),
            ([BEARER, "AUTHORIZATION_: Bearer x", "SCRIPT_NAME: /x"], r.PROFILE),
            *(([BEARER, f"{name}: {noise}"], r.PROFILE) for name in HARMLESS),
        ]
    )
    return http({answer}, *headers)


HEAD = f"POST {URL} HTTP/1.1\r\n{BEARER}\r\n"
REFUSED_BY_GUNICORN = [
    *("\r\n\r\n", "\0\r\n\r\n", "x\n\n", "GET /\r\n\r\n", f"POST {URL}\r\n\r\n"),
    *(f"{method} {URL} HTTP/1.1\r\n\r\n" for method in ("post", "", "POST ", "PO", "P ST", "P\0")),
    *(f"POST {url} HTTP/1.1\r\n\r\n" for url in ("*", "localhost:80", "a", f"{URL}\0", "/\xe9")),
    *(f"POST {URL} HTTP/{version}\r\n\r\n" for version in ("2.0", "0.9", "1", "1.1 ", "1.10")),
    *(f"POST {URL} {version}\r\n\r\n" for version in ("http/1.1", "HTTPS/1.1", "x HTTP/1.1")),
    *("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", f"POST {URL} HTTP/1.1\nHost: x\n\n"),
    *(f"{HEAD}{line}\r\n\r\n" for line in (" folded", "\tfolded", "Authorization", ": x", "X : x")),
    *(f"{HEAD}{line}\r\n\r\n" for line in ("X\xe9: x", "X\0: x", "X: \0", "X: \x7f", "X: x\rY: y")),
    *(f"{HEAD}Content-Length: {n}\r\n\r\n" for n in ("-1", "+1", "1_0", "\xb2", "0x1", "", "1, 1")),
    *(f"{HEAD}{line}\r\n{line}\r\n\r\n" for line in ("Content-Length: 1", "Host: x", JSON)),
    *(f"{HEAD}{CHUNKED}{more}\r\n\r\n" for more in (", x", ", chunked", f"\r\n{CHUNKED}")),
    *(f"{HEAD}Transfer-Encoding: {coding}\r\n\r\n" for coding in ("gzip", "identity", "")),
    f"{HEAD}Content-Length: 1\r\n{CHUNKED}\r\n\r\n",
    f"POST {URL} HTTP/1.0\r\n{CHUNKED}\r\n\r\n",
]
RAW: dict[str, set[str]] = {
    **dict.fromkeys(REFUSED_BY_GUNICORN, {BAD, UNKNOWN}),
    f"POST {URL}{'x' * 5_000} HTTP/1.1\r\n\r\n": {"gunicorn 414"},
    f"\r\n{HEAD}\r\n": {r.PROFILE},
    HEAD.replace("1.1", "1.0") + "\r\n": {r.PROFILE},
    HEAD.replace(URL, f"http://example.com{URL}?x#y") + "\r\n": {r.PROFILE},
    f"{HEAD}Content-Length: 99999\r\n\r\nhalf": {r.PROFILE},
    **{f"{HEAD}{CHUNKED}\r\n\r\n{chunks}": {r.PROFILE} for chunks in BROKEN_CHUNKS},
    **dict.fromkeys(["", "P", "POST", HEAD, "\x16\x03\x01\2"], {NOTHING}),
}


def raw(rng: random.Random) -> Case:
    data, allowed = rng.choice([*RAW.items()])
    return Case(data.encode("latin-1"), allowed, ends=True)


def a_mutated_head(rng: random.Random) -> Case:
    line, _, rest = http(set(), BEARER, "Accept: */*").data.partition(b"\r\n")
    rest = mutated(rng, rest)
    allowed = {*REFUSED, NOTHING, BAD, BAD_HOST, TOO_LARGE}
    if GOOD.encode() in rest:
        allowed.add(r.PROFILE)
    return Case(line + b"\r\n" + rest, allowed, ends=True)


def garbage(rng: random.Random) -> Case:
    data = rng.randbytes(rng.randrange(1, 6_000)) + rng.choice([b"", b"\r\n\r\n"])
    return Case(data, {NOTHING, BAD, "gunicorn 414"}, ends=True)


OF_PROFILE, OF_AVATAR = "GET, HEAD, OPTIONS, PATCH, POST", "DELETE, OPTIONS, PUT"
EVES = f"Authorization: Bearer {signed(claims(sub=str(EVE['id'])))}"
SLOTS = {
    "first_name": r.TEXT,
    "last_name": r.TEXT,
    "number_phone": f"(?:null|{r.TEXT})",
    "avatar": r'(?:null|"/media/avatars/[0-9a-f]{32}\.webp")',
}
EVE_AS_JSON = re.escape(json.dumps(json.loads(JOHN_AS_JSON) | EVE | {n: f"<{n}>" for n in SLOTS}))
for _slot, _pattern in SLOTS.items():
    EVE_AS_JSON = EVE_AS_JSON.replace(f'"<{_slot}>"', _pattern)


def to_open(allowed: set[str], *headers: str, **more: Any) -> Case:
    """Make a request to the app that opens every method, where Eve is the one who edits."""
    allow = OF_AVATAR if "/avatar" in more.get("url", "") else OF_PROFILE
    profile = re.compile(EVE_AS_JSON) if EVES in headers else JOHN_AS_JSON
    return http(allowed, *headers, app="open", allow=allow, profile=profile, **more)


TAG = f'"{generate_etag(JOHN_AS_JSON.encode())}"'
TAGS = {
    **dict.fromkeys([TAG, f"W/{TAG}", f'"x", {TAG}', f"{TAG},", "*"], r.NOT_MODIFIED),
    **dict.fromkeys(["", '"', '"x"', "W/", TAG.upper(), f"{TAG[:-2]}{TAG[-1]}"], r.PROFILE),
}


def a_read(rng: random.Random) -> Case:
    tag = rng.choice([*TAGS])
    noise = rng.choice(["Range: bytes=0-1", "If-Range: x", "If-Modified-Since: now", "If-Match: *"])
    headers, answer = rng.choice(
        [
            ([BEARER], r.PROFILE),
            ([BEARER, noise], r.PROFILE),
            ([BEARER, f"If-None-Match: {tag}"], TAGS[tag]),
            ([BEARER, f"If-None-Match: {tag}", noise], TAGS[tag]),
            ([BEARER, f"If-Match: {rng.choice(['*', TAG])}"], r.PROFILE),
            ([BEARER, f"If-Match: {rng.choice(['x', f'W/{TAG}'])}"], r.CHANGED),
            ([f"If-None-Match: {tag}"], r.NO_TOKEN),
        ]
    )
    url = rng.choice(["/api/profile/", "/api/profile", "/api/profile/?x=1"])
    body = rng.choice([b"", b"", b"{}", rng.randbytes(9)])
    return to_open({answer}, *headers, method=rng.choice(["GET", "HEAD"]), url=url, body=body)


EDITS = {"PATCH": "/api/profile/", "PUT": "/api/profile/avatar/", "DELETE": "/api/profile/avatar/"}


def a_token_with_any_method(rng: random.Random) -> Case:
    token, host, answer = rng.choice([*TOKENS.values()])
    if host != "HS256" or not fits_a_header(token) or len(token) > 8_000:
        return a_token_with_any_method(rng)
    # A token that is good would edit the row of John.
    method = rng.choice(["GET", "HEAD", *(() if answer == r.PROFILE else EDITS)])
    url = EDITS.get(method, "/api/profile/")
    bearer = f"Authorization: Bearer {token}"
    return to_open({answer}, bearer, JSON, method=method, url=url, body=b'{"first_name": "x"}')


def a_method_of_open(rng: random.Random) -> Case:
    url = rng.choice(
        ["/api/profile/", "/api/profile", "/api/profile/avatar/", "/api/profile/avatar"]
    )
    allow = OF_AVATAR if "avatar" in url else OF_PROFILE
    methods = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "TRACE", "BREW", "OPTIONS"]
    method = rng.choice([name for name in methods if name == "OPTIONS" or name not in allow])
    return to_open({r.OPTIONS if method == "OPTIONS" else r.METHOD}, EVES, method=method, url=url)


TEXTS = ["", "x", "Ève 😀", "\u202e", "x" * 200, "é" * 200, "</script>", "'; DROP TABLE user --"]
WRONG = [None, True, 0, -1.5, 1e300, 2**70, [], ["x"], {}, {"x": "x"}, "\0", "a\0b", "\ud800"]
NAMES = ["first_name", "last_name"]
READ_ONLY = [n for n in json.loads(JOHN_AS_JSON) if n not in {*NAMES, "number_phone"}]
UNKNOWN_NAMES = ["", "password_hash", "__class__", "_id", "First_Name", "metadata", "x" * 999, "\0"]
NO_OBJECT = [
    *(b"", b" ", b"{", b"}", b"[]", b"1", b"null", b'"x"', b"{}{}", b"{'first_name': 'x'}"),
    *(b'{"first_name": "a", "first_name": "b"}', b'{"first_name": {"a": 1, "a": 1}}'),
    *(b'{"first_name": NaN}', b'{"first_name": -Infinity}', b'{"first_name": "\n"}'),
    *(b'{"first_name": "x",}', b'{"first_name": "\xff"}', b'{"first_name": "\xed\xa0\x80"}'),
    *(b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 20_000, b'{"a":' * 5_000),
    b'{"first_name": ' + b"9" * 5_000 + b"}",
]


def a_patch_body(rng: random.Random) -> tuple[bytes, set[str]]:
    name, text = rng.choice(NAMES), rng.choice(TEXTS)
    phone = rng.choice([None, "", "1" * 10, "é" * 10])
    made = json.dumps({name: text}, ensure_ascii=rng.random() < 0.5).encode()
    good: Any = rng.choice([{}, {name: text}, {"number_phone": phone, name: text}])
    bad: Any = rng.choice(
        [
            {name: rng.choice(WRONG)},
            {name: "x" * rng.choice([201, 9_000])},
            {"number_phone": "1" * 11},
            {"number_phone": rng.choice(WRONG[1:])},
            {rng.choice(READ_ONLY): rng.choice([*WRONG, *TEXTS])},
            {rng.choice(UNKNOWN_NAMES): rng.choice([*WRONG, *TEXTS])},
            dict.fromkeys(map(str, range(500)), "x"),
            {rng.choice(READ_ONLY): None, rng.choice(UNKNOWN_NAMES): None},
        ]
    )
    some: Any = some_json(rng)
    of_some = r.UNREADABLE if not isinstance(some, dict) else r.INVALID if some else r.EDITED
    return rng.choice(
        [
            (json.dumps(good).encode(), {r.EDITED}),
            (made, {r.EDITED}),
            (json.dumps(good | bad).encode(), {r.INVALID}),
            (json.dumps(bad).encode(), {r.INVALID}),
            (json.dumps(some).encode(), {of_some}),
            (rng.choice(NO_OBJECT), {r.UNREADABLE}),
            (mutated(rng, made), {r.EDITED, r.INVALID, r.UNREADABLE}),
            (b" " * (MAX_BODY - len(made)) + made, {r.EDITED}),
            (b" " * (MAX_BODY + 1 - len(made)) + made, {r.TOO_LARGE}),
        ]
    )


def framed(
    rng: random.Random, allowed: set[str], broken: str, *headers: str, body: bytes, **more: Any
) -> Case:
    """Make an edit of Eve's: on a condition, in chunks, or with a body that breaks off."""
    if rng.random() < 0.2:
        condition, holds = rng.choice(
            [("*", True), ('"x"', False), (f"W/{TAG}", False), ("", False), ('"', False)]
        )
        headers = (*headers, f"If-Match: {condition}")
        if not holds:
            allowed = {r.CHANGED if name in {r.EDITED, r.REMOVED} else name for name in allowed}
    how, more["ends"] = rng.random(), len(body) > 60_000  # Which gunicorn does not read to its end.
    if body and how < 0.1:  # What has come may be whole as it is: Werkzeug does not miss the rest.
        declared, limit = len(body) + 9, MAX_BODY if more["method"] == "PATCH" else MAX_PICTURE
        allowed = {*allowed, broken} | ({r.TOO_LARGE} if declared > limit else set())
        case = to_open(allowed, EVES, *headers, f"Content-Length: {declared}", **more)
        return case._replace(data=case.data + body, ends=True)
    if how < 0.2:
        return to_open(allowed, EVES, *headers, CHUNKED, body=chunked(body), **more)
    return to_open(allowed, EVES, *headers, body=body, **more)


MERGE_PATCHES = ["application/json", "Application/JSON ; charset=x", "application/merge-patch+json"]
NO_PATCHES = ["", "json", "text/json", "application/x+json", "application/json-patch+json", "{0}"]


def a_patch(rng: random.Random) -> Case:
    body, allowed = a_patch_body(rng)
    media_type = rng.choice(MERGE_PATCHES)
    if rng.random() < 0.1:
        media_type = rng.choice(NO_PATCHES)
        allowed = {r.MEDIA_TYPE}
    header, more = f"Content-Type: {media_type}", {"media_type": media_type}
    url = rng.choice(["/api/profile/", "/api/profile"])
    return framed(rng, allowed, r.UNREADABLE, header, body=body, method="PATCH", url=url, **more)


def encoded(format_: str, mode: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, format_)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


SIZES = [(1, 1), (3, 40), (24, 24)]
OF_FORMATS = [("PNG", "RGBA"), ("PNG", "1"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "RGB")]
OF_FORMATS += [("JPEG", "CMYK"), ("JPEG", "L"), ("WEBP", "RGBA"), ("GIF", "P"), ("GIF", "L")]
PICTURES = [encoded(format_, mode, size) for format_, mode in OF_FORMATS for size in SIZES]
BOMBS = [
    b"\x89PNG\r\n\x1a\n"
    + png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    + png_chunk(b"IDAT", zlib.compress(b""))
    for side in (6_400, 50_000)
]
NO_PICTURES = [
    encoded("BMP", "RGB", (2, 2)),
    encoded("TIFF", "RGB", (2, 2)),
    b"<svg/>",
    b"%PDF-1.7",
]
NO_PICTURES += [b"PK\3\4", b"<html><script>", b"\0", b"x" * 3_000, b"%!PS-Adobe-3.0 EPSF-3.0\n"]
PART_OF = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="../x.html"\r\n\r\n%s\r\n'
END_OF_PARTS = b"--x--\r\n"


def a_picture(rng: random.Random) -> tuple[bytes, set[str]]:
    good = rng.choice(PICTURES)
    return rng.choice(
        [
            (good, {r.EDITED}),
            (good + b"<script>alert(1)</script>", {r.EDITED}),
            (good + bytes(MAX_PICTURE - len(good)), {r.EDITED}),
            (good + bytes(MAX_PICTURE + 1 - len(good)), {r.TOO_LARGE}),
            (good[: rng.randrange(len(good))], {r.EDITED, r.PICTURE, r.FORMAT}),
            (mutated(rng, good), {r.EDITED, r.PICTURE, r.FORMAT}),
            (rng.choice(BOMBS), {r.PICTURE}),
            (rng.choice(NO_PICTURES), {r.FORMAT}),
            (rng.randbytes(rng.randrange(1, 99)), {r.FORMAT}),
        ]
    )


def an_avatar(rng: random.Random) -> Case:
    picture, allowed = a_picture(rng)
    media_type = rng.choice(["image/png", "text/html", "application/json", FORM[14:], "x", ""])
    body = picture
    if rng.random() < 0.5:
        media_type = "multipart/form-data; boundary=x"
        whole = PART_OF % (b"avatar", picture) + END_OF_PARTS
        other = PART_OF % (b"other", b"x")
        body, allowed = rng.choice(
            [
                (whole, allowed),
                (other + whole, allowed),
                (PART_OF % (b"avatar", picture) + whole, allowed),
                (other + END_OF_PARTS, {r.FORMAT}),
                (other * 2_000 + END_OF_PARTS, {r.TOO_LARGE}),
                (PART_OF % (b"avatar", bytes(MAX_BODY)) + END_OF_PARTS, {r.TOO_LARGE}),
                (whole[: rng.randrange(len(whole))], {*allowed, r.FORMAT, r.PICTURE}),
                (mutated(rng, whole), {r.EDITED, r.FORMAT, r.PICTURE, r.TOO_LARGE}),
            ]
        )
    header = f"Content-Type: {media_type}"
    return framed(rng, allowed, r.PICTURE, header, body=body, method="PUT", url=EDITS["PUT"])


def no_avatar(rng: random.Random) -> Case:
    body = rng.choice([b"", b"", b"{}", rng.randbytes(50)])
    more = {"method": "DELETE", "url": EDITS["DELETE"]}
    return framed(rng, {r.REMOVED}, r.REMOVED, JSON, body=body, **more)


KINDS: dict[Callable[[random.Random], Case], int] = {
    a_token_of_the_table: 30,
    a_mutated_token: 15,
    a_signed_token: 10,
    an_identity: 15,
    a_method: 5,
    a_media_type: 4,
    a_body: 8,
    a_broken_body: 1,
    a_form: 3,
    other_headers: 8,
    raw: 4,
    a_mutated_head: 4,
    garbage: 1,
    a_read: 8,
    a_token_with_any_method: 10,
    a_method_of_open: 2,
    a_patch: 12,
    an_avatar: 8,
    no_avatar: 2,
}


def some(rng: random.Random, number: int) -> list[Case]:
    """Return requests that can be sent down one connection, one after the other."""
    cases = [kind(rng) for kind in rng.choices([*KINDS], [*KINDS.values()], k=number)]
    cases.sort(key=Case.is_last)
    return cases[: 1 + sum(not case.is_last() for case in cases)]
