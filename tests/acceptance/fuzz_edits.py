"""Edits of a profile by merge patches, and their framing and preconditions."""

from __future__ import annotations

import json
import os
import random
import re
from typing import Any

import contract as c
from conftest import JOHN_AS_JSON
from fuzz_app import EVE, MAX_BODY, MAX_IMAGE
from fuzz_cases import CHUNKED, JSON, Case, encode_chunks, mutate, random_json
from fuzz_full_app import ETAG, EVE_BEARER, make_full_app_request

TEXTS = ["", "x", "Ève 😀", "\u202e", "x" * 200, "é" * 200, "</script>", "'; DROP TABLE user --"]
WRONG_VALUES: list[Any] = [None, True, 0, -1.5, 1e300, 2**70, [], ["x"], {}, {"x": "x"}]
WRONG_VALUES += ["\0", "a\0b", "\ud800"]
EDITABLE_NAMES = ["first_name", "last_name"]
READ_ONLY = [n for n in json.loads(JOHN_AS_JSON) if n not in {*EDITABLE_NAMES, "number_phone"}]
UNKNOWN_NAMES = ["", "password_hash", "__class__", "_id", "First_Name", "metadata", "x" * 999, "\0"]
NOT_OBJECTS = [
    *(b"", b" ", b"{", b"}", b"[]", b"1", b"null", b'"x"', b"{}{}", b"{'first_name': 'x'}"),
    *(b'{"first_name": "a", "first_name": "b"}', b'{"first_name": {"a": 1, "a": 1}}'),
    *(b'{"first_name": NaN}', b'{"first_name": -Infinity}', b'{"first_name": "\n"}'),
    *(b'{"first_name": "x",}', b'{"first_name": "\xff"}', b'{"first_name": "\xed\xa0\x80"}'),
    *(b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 20_000, b'{"a":' * 5_000),
    b'{"first_name": ' + b"9" * 5_000 + b"}",
]


def make_patch_body(rng: random.Random) -> tuple[bytes, set[str]]:
    name, text = rng.choice(EDITABLE_NAMES), rng.choice(TEXTS)
    phone = rng.choice([None, "", "1" * 10, "é" * 10])
    made = json.dumps({name: text}, ensure_ascii=rng.random() < 0.5).encode()
    good: Any = rng.choice([{}, {name: text}, {"number_phone": phone, name: text}])
    bad: Any = rng.choice(
        [
            {name: rng.choice(WRONG_VALUES)},
            {name: "x" * rng.choice([201, 9_000])},
            {"number_phone": "1" * 11},
            {"number_phone": rng.choice(WRONG_VALUES[1:])},
            {rng.choice(READ_ONLY): rng.choice([*WRONG_VALUES, *TEXTS])},
            {rng.choice(UNKNOWN_NAMES): rng.choice([*WRONG_VALUES, *TEXTS])},
            dict.fromkeys(map(str, range(500)), "x"),
            {rng.choice(READ_ONLY): None, rng.choice(UNKNOWN_NAMES): None},
        ]
    )
    value: Any = random_json(rng)
    expected = c.UNREADABLE if not isinstance(value, dict) else c.INVALID if value else c.EDITED
    return rng.choice(
        [
            (json.dumps(good).encode(), {c.EDITED}),
            (made, {c.EDITED}),
            (json.dumps(good | bad).encode(), {c.INVALID}),
            (json.dumps(bad).encode(), {c.INVALID}),
            (json.dumps(value).encode(), {expected}),
            (rng.choice(NOT_OBJECTS), {c.UNREADABLE}),
            (mutate(rng, made), {c.EDITED, c.INVALID, c.UNREADABLE}),
            (b" " * (MAX_BODY - len(made)) + made, {c.EDITED}),
            (b" " * (MAX_BODY + 1 - len(made)) + made, {c.TOO_LARGE}),
        ]
    )


def frame_edit(
    rng: random.Random, allowed: set[str], broken: str, *headers: str, body: bytes, **more: Any
) -> Case:
    """Return an edit by Eve, perhaps with If-Match, in chunks, or with an incomplete body."""
    if rng.random() < 0.2:
        condition, holds = rng.choice(
            [("*", True), ('"x"', False), (f"W/{ETAG}", False), ("", False), ('"', False)]
        )
        headers = (*headers, f"If-Match: {condition}")
        if not holds:
            allowed = {c.CHANGED if name in {c.EDITED, c.REMOVED} else name for name in allowed}
    framing = rng.random()
    more["closes_connection"] = len(body) > 60_000  # gunicorn does not read such a body to its end.
    if body and framing < 0.1:
        is_patch = more["method"] == "PATCH"
        declared, limit = len(body) + 9, MAX_BODY if is_patch else MAX_IMAGE
        if is_patch:  # A form that is complete so far is accepted, and DELETE reads no body.
            allowed -= {c.EDITED, c.INVALID, c.CHANGED}
        allowed = {*allowed, broken} | ({c.TOO_LARGE} if declared > limit else set())
        case = make_full_app_request(
            allowed, EVE_BEARER, *headers, f"Content-Length: {declared}", **more
        )
        return case._replace(data=case.data + body, closes_connection=True)
    if framing < 0.2:
        return make_full_app_request(
            allowed, EVE_BEARER, *headers, CHUNKED, body=encode_chunks(body), **more
        )
    return make_full_app_request(allowed, EVE_BEARER, *headers, body=body, **more)


PREFS_OF_EVE = re.compile(rf'{{"id": {EVE["id"]}, "prefs": .*}}')
MERGE_PATCHES = ["application/json", "Application/JSON ; charset=x", "application/merge-patch+json"]
NOT_MERGE_PATCHES = ["", "json", "text/json", "application/x+json", "application/json-patch+json"]
NOT_MERGE_PATCHES += ["{0}"]


def make_patch(rng: random.Random) -> Case:
    body, allowed = make_patch_body(rng)
    media_type = rng.choice(MERGE_PATCHES)
    if rng.random() < 0.1:
        media_type = rng.choice(NOT_MERGE_PATCHES)
        allowed = {c.UNSUPPORTED_MEDIA_TYPE}
    header, more = f"Content-Type: {media_type}", {"media_type": media_type}
    url = rng.choice(["/api/profile/", "/api/profile"])
    return frame_edit(
        rng, allowed, c.UNREADABLE, header, body=body, method="PATCH", url=url, **more
    )


def make_merge(rng: random.Random) -> Case:
    """Return a patch of the JSON column."""
    deep: Any = 1
    for _ in range(rng.choice([1, 90, 200])):
        deep = {"a": deep} if rng.random() < 0.5 else [deep]
    members = {str(n): random_json(rng) for n in range(rng.randrange(4))}
    value = rng.choice([random_json(rng), members, members, members | {"1": None}, deep])
    body = json.dumps({"prefs": value}).encode()
    allowed = {c.EDITED}
    if b"\\u" in body:  # The only escapes are those of texts that cannot be stored.
        allowed = {c.INVALID}
    elif body.count(b"[") + body.count(b"{") > 101:
        allowed = {c.UNREADABLE}
    elif body.count(b"[") + body.count(b"{") > 31 and os.environ["DATABASE"].startswith("mysql"):
        allowed = {c.EDITED, c.UNACCEPTABLE}  # MariaDB stores JSON of at most 32 levels.
    case = frame_edit(rng, allowed, c.UNREADABLE, JSON, body=body, method="PATCH", url="/prefs/")
    if allowed == {c.INVALID} and b"If-Match" in case.data:
        allowed = case.allowed | {c.CHANGED}  # What is merged is validated after the condition.
        case = case._replace(allowed=allowed)
    return case._replace(profile=PREFS_OF_EVE)
