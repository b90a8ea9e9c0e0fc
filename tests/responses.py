"""The contract's answers, byte for byte, and what tells which of them an answer is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from conftest import JOHN_AS_JSON

NOT_PROVIDED = {"detail": "Authentication credentials were not provided."}
BAD_HEADER = {
    "detail": "Authorization header must contain two space-delimited values",
    "code": "bad_authorization_header",
}
NOT_VALID = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
INACTIVE = {"detail": "User is inactive", "code": "user_inactive"}
NOT_FOUND = {"error": "The user cannot be found in the database."}
FAILED = {"error": "The profile could not be loaded."}
UNREADABLE_BODY = {"detail": "The body must be a JSON object that has each of its names once."}
BROKEN_PICTURE = {"detail": "The picture is broken or has too many pixels."}
CHANGED_SINCE = {"detail": "The profile has changed since it was read."}
BODY_TOO_LARGE = {"detail": "The body of the request is too large."}
NO_PICTURE = {"detail": "The avatar must be a PNG, JPEG, WebP or GIF picture."}

# Why a token that was sent is not valid, as WWW-Authenticate says it.
EXPIRED = "The token has expired"
EARLY = "The token is not yet valid"
SIGNATURE = "The signature does not match"
ALGORITHM = "The algorithm is not allowed"
ISSUER = "The issuer is not the expected one"
AUDIENCE = "The token is meant for another audience"
REFRESH = "The token is not an access token"
CSRF = "The CSRF token is missing or does not match"
UNCLAIMED = "The token lacks a required claim"
LACKS_CLAIM = "The token is malformed or lacks a claim"
MALFORMED = "The token is malformed"
REASONS = [
    *(EXPIRED, EARLY, SIGNATURE, ALGORITHM, ISSUER, AUDIENCE, UNCLAIMED, REFRESH, CSRF),
    *(LACKS_CLAIM, MALFORMED),
]

PROFILE, OPTIONS = "profile", "options"
NO_TOKEN, NO_WORD, IS_INACTIVE = "no token", "bad header", "inactive"
NOBODY, METHOD, MEDIA_TYPE = "not found", "method", "media type"
NOT_MODIFIED, EDITED, REMOVED = "not modified", "edited", "removed"
UNREADABLE, INVALID, CHANGED = "unreadable", "invalid", "changed"
PICTURE, FORMAT, TOO_LARGE = "broken picture", "no picture", "too large"

PATCH_TYPES = "application/json, application/merge-patch+json"
ONLY_TO = {
    PROFILE: {"POST", "GET", "HEAD"},
    NOT_MODIFIED: {"GET", "HEAD"},
    EDITED: {"PATCH", "PUT"},
    REMOVED: {"DELETE"},
    UNREADABLE: {"PATCH"},
    INVALID: {"PATCH"},
    CHANGED: {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
    TOO_LARGE: {"PATCH", "PUT"},
    PICTURE: {"PUT"},
    FORMAT: {"PUT"},
}

# What JSON writes for a text, and for the messages of the fields that are refused.
TEXT = r'"(?:[^"\\\x00-\x1f]|\\.)*"'
_OF_FIELD = rf"{TEXT}: \[{TEXT}(?:, {TEXT})*\]"
MESSAGES = re.compile(rf"\{{{_OF_FIELD}(?:, {_OF_FIELD})*\}}")


def name_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str = "POST",
    media_type: str = "",
    vary: str | None = "Authorization",
    profile: str | re.Pattern[str] = JOHN_AS_JSON,
    allow: str = "OPTIONS, POST",
) -> str:
    """Return which answer of the contract this is; a token that is not valid by its reason.

    To HEAD a body tells nothing: what is as a whole the same has the first of its names.

    Args:
        status: Of the answer, like its headers and its body.
        headers: The same.
        body: The same.
        method: Of the request, like its media type.
        media_type: The same.
        vary: What the app reads tokens from.
        profile: The JSON that is right for the user, or a pattern of it.
        allow: The methods of the resource.

    Raises:
        AssertionError: When it is none of them, to the last byte and header.
    """
    challenge = 'Bearer realm="api"'
    invalid = challenge + ', error="invalid_token", error_description="{}"'
    reasons = {invalid.format(reason): reason for reason in REASONS}
    about_method = {"detail": f'Method "{method}" not allowed.'}
    about_media_type = {"detail": f'Unsupported media type "{media_type}" in request.'}
    rows: list[tuple[str, int, str | re.Pattern[str], str | None]] = [
        (EDITED if method in {"PATCH", "PUT"} else PROFILE, 200, profile, None),
        (OPTIONS, 200, "", None),
        (REMOVED, 204, "", None),
        (NOT_MODIFIED, 304, "", None),
        (UNREADABLE, 400, json.dumps(UNREADABLE_BODY), None),
        (PICTURE, 400, json.dumps(BROKEN_PICTURE), None),
        (INVALID, 400, MESSAGES, None),
        (NO_TOKEN, 401, json.dumps(NOT_PROVIDED), challenge),
        (NO_WORD, 401, json.dumps(BAD_HEADER), challenge),
        (IS_INACTIVE, 401, json.dumps(INACTIVE), invalid.format("User is inactive")),
        *((reason, 401, json.dumps(NOT_VALID), text) for text, reason in reasons.items()),
        (NOBODY, 404, json.dumps(NOT_FOUND), None),
        (METHOD, 405, json.dumps(about_method), None),
        (CHANGED, 412, json.dumps(CHANGED_SINCE), None),
        (TOO_LARGE, 413, json.dumps(BODY_TOO_LARGE), None),
        (MEDIA_TYPE, 415, json.dumps(about_media_type), None),
        (FORMAT, 415, json.dumps(NO_PICTURE), None),
    ]
    given = (status, headers.get("WWW-Authenticate"))
    text = body.decode("latin-1")

    def is_body(right: str | re.Pattern[str]) -> bool:
        if method == "HEAD":
            return not text
        return bool(right.fullmatch(text)) if isinstance(right, re.Pattern) else text == right

    name = next((n for n, code, b, sent in rows if (code, sent) == given and is_body(b)), None)
    assert name, f"no answer of the contract: {given} {body!r}"
    assert (name == OPTIONS) == (method == "OPTIONS"), f"{method} is answered with {name}"
    assert name not in ONLY_TO or method in ONLY_TO[name], f"{method} is answered with {name}"
    is_allowed = method in allow.split(", ")
    assert is_allowed == (name != METHOD), f"{method} is answered with {name}"
    is_read = method in {"GET", "HEAD"} and name in {PROFILE, NOT_MODIFIED}
    of_patch = name == OPTIONS or (name == MEDIA_TYPE and method == "PATCH")
    expected = {
        "Cache-Control": "private, no-cache" if is_read else "no-store",
        "Vary": vary,
        "Allow": allow if name in {METHOD, OPTIONS} else None,
        "Accept-Patch": PATCH_TYPES if of_patch and "PATCH" in allow else None,
    }
    if name != OPTIONS:
        has_body = name not in {REMOVED, NOT_MODIFIED}
        expected["Content-Type"] = "application/json" if has_body else None
    for header, value in expected.items():
        assert headers.get(header) == value, f"{header} of {name} is {headers.get(header)!r}"
    tag, is_tagged = headers.get("ETag", ""), is_read or name == EDITED
    assert bool(re.fullmatch(r'"[\w-]+"', tag)) == is_tagged, f"ETag of {name} is {tag!r}"
    assert is_tagged or not tag, f"ETag of {name} is {tag!r}"
    return name
