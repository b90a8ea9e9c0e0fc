"""The documented responses, byte for byte, and a function that identifies them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from conftest import JOHN_AS_JSON

# The URLs with the default prefix, and the profile of John that is returned there.
URL, AVATAR_URL = "/api/profile/", "/api/profile/avatar/"
JOHN_PROFILE = json.loads(JOHN_AS_JSON)

NOT_PROVIDED = {"detail": "Authentication credentials were not provided."}
BAD_HEADER = {
    "detail": "Authorization header must contain two space-delimited values",
    "code": "bad_authorization_header",
}
NOT_VALID = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
INACTIVE = {"detail": "User is inactive", "code": "user_inactive"}
NOT_FOUND = {"error": "The user cannot be found in the database."}
FAILED = {"error": "The profile could not be loaded."}
NOT_SAVED = {"error": "The profile could not be saved."}
UNAVAILABLE = {"error": "The profile is temporarily unavailable."}
INCOMPLETE_BODY = {"detail": "The body is incomplete."}
MALFORMED_JSON = {"detail": "Malformed JSON."}
DUPLICATE_KEYS = {"detail": "Duplicate keys in a JSON object."}
TOO_DEEP = {"detail": "The JSON is nested deeper than 100 levels."}
NOT_AN_OBJECT = {"detail": "The body must be a JSON object."}
UNREADABLE_BODIES = (INCOMPLETE_BODY, MALFORMED_JSON, DUPLICATE_KEYS, TOO_DEEP, NOT_AN_OBJECT)
BROKEN_IMAGE_BODY = {"detail": "The image is broken."}
TOO_MANY_PIXELS_BODY = {"detail": "The image has too many pixels."}
TOO_MANY_SCANS_BODY = {"detail": "The image has too many scans."}
MISSING_FILE_BODY = {"detail": 'The form has no file in the field "avatar".'}
CHANGED_BODY = {"detail": "The profile has changed since it was read."}
UNSUPPORTED_IMAGE_BODY = {"detail": "The avatar must be a PNG, JPEG, WebP or GIF image."}
REFERENCED = {"detail": "The profile is still referenced."}
FRESH_REQUIRED = {"detail": "Fresh token required", "code": "fresh_token_required"}
UNACCEPTABLE_BODY = {"detail": "The database does not accept these values."}

# The errors of a field in a 400 response to PATCH.
TAKEN = ["A user with this value already exists."]
READ_ONLY = ["Read-only field."]
UNKNOWN = ["Unknown field."]
NULL = ["Field may not be null."]
NOT_TEXT = ["Not a valid string."]
BAD_CHARACTER = ["Contains a character that cannot be stored."]
NOT_VALID_VALUE = ["Not a valid value."]
NOT_A_UUID = ["Not a valid UUID."]


def out_of_range(bits: int) -> list[str]:
    """Return the error of a number that has more bits than its column, beside the sign."""
    limit = 2**bits
    return [f"Must be greater than or equal to {-limit} and less than or equal to {limit - 1}."]


# The reasons in WWW-Authenticate why a token is not valid.
EXPIRED = "The token has expired"
NOT_YET_VALID = "The token is not yet valid"
BAD_SIGNATURE = "The signature does not match"
BAD_ALGORITHM = "The algorithm is not allowed"
BAD_ISSUER = "The issuer is not the expected one"
BAD_AUDIENCE = "The token is meant for another audience"
NOT_ACCESS_TOKEN = "The token is not an access token"
BAD_CSRF_TOKEN = "The CSRF token is missing or does not match"
MISSING_CLAIM = "The token lacks a required claim"
BAD_SUBJECT = "The subject must be a string"
BAD_JWT_ID = "The JWT ID must be a string"
BAD_ISSUE_TIME = "The time of issue is not a number"
BAD_QUERY_PARAMETER = "The query parameter lacks its prefix"
BAD_KEY = "The key does not fit the algorithm"
UNKNOWN_KEY = "The key of the token is not known"
MALFORMED = "The token is malformed"
REASONS = [
    *(
        EXPIRED,
        NOT_YET_VALID,
        BAD_SIGNATURE,
        BAD_ALGORITHM,
        BAD_ISSUER,
        BAD_AUDIENCE,
        MISSING_CLAIM,
        NOT_ACCESS_TOKEN,
        BAD_CSRF_TOKEN,
    ),
    *(BAD_SUBJECT, BAD_JWT_ID, BAD_ISSUE_TIME, BAD_QUERY_PARAMETER, BAD_KEY, UNKNOWN_KEY),
    MALFORMED,
]

PROFILE, OPTIONS = "profile", "options"
NO_TOKEN, BAD_HEADER_VALUE, INACTIVE_USER = "no token", "bad header", "inactive"
USER_NOT_FOUND, METHOD_NOT_ALLOWED, UNSUPPORTED_MEDIA_TYPE = "not found", "method", "media type"
NOT_MODIFIED, EDITED, REMOVED = "not modified", "edited", "removed"
UNREADABLE, INVALID, CHANGED = "unreadable", "invalid", "changed"
UNACCEPTABLE = "not accepted by the database"
NOT_FRESH, STILL_REFERENCED = "not fresh", "still referenced"
BROKEN_IMAGE, UNSUPPORTED_IMAGE, TOO_LARGE = "broken image", "unsupported image", "too large"
TOO_MANY_PIXELS, TOO_MANY_SCANS, MISSING_FILE = "pixels", "scans", "missing file"

PATCH_TYPES = "application/json, application/merge-patch+json"
METHODS_BY_RESPONSE = {
    PROFILE: {"POST", "GET", "HEAD"},
    NOT_MODIFIED: {"GET", "HEAD"},
    EDITED: {"PATCH", "PUT"},
    REMOVED: {"DELETE"},
    UNREADABLE: {"PATCH"},
    INVALID: {"PATCH"},
    UNACCEPTABLE: {"PATCH"},
    NOT_FRESH: {"DELETE"},
    STILL_REFERENCED: {"DELETE"},
    CHANGED: {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
    TOO_LARGE: {"POST", "GET", "HEAD", "PATCH", "PUT", "DELETE"},  # A token may be in the body.
    **dict.fromkeys((BROKEN_IMAGE, TOO_MANY_PIXELS, TOO_MANY_SCANS, MISSING_FILE), {"PUT"}),
    UNSUPPORTED_IMAGE: {"PUT"},
}

# A JSON string, and the body of a 400 response that lists the errors of each field.
JSON_STRING = r'"(?:[^"\\\x00-\x1f]|\\.)*"'
_FIELD_ERRORS = rf"{JSON_STRING}: \[{JSON_STRING}(?:, {JSON_STRING})*\]"
_TOO_LARGE = re.compile(r'\{"detail": "The body of the request is larger than \d+ bytes\."\}')
VALIDATION_ERRORS = re.compile(rf"\{{{_FIELD_ERRORS}(?:, {_FIELD_ERRORS})*\}}")


def too_large(limit: int) -> dict[str, str]:
    """Return the body of the response to a body that is larger than a limit, in bytes."""
    return {"detail": f"The body of the request is larger than {limit} bytes."}


def identify_response(
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
    """Return the name of a documented response, or the reason why its token is not valid.

    Responses to HEAD have no body. If several documented responses differ only in their body, the
    first one is returned.

    Args:
        status: The status code of the response.
        headers: The headers of the response.
        body: The body of the response.
        method: The method of the request.
        media_type: The media type of the request.
        vary: The expected Vary header.
        profile: The expected profile as JSON, or a pattern that matches it.
        allow: The expected Allow header.

    Raises:
        AssertionError: If the response differs from every documented one in a byte or a header.
    """
    challenge = 'Bearer realm="api"'
    invalid = challenge + ', error="invalid_token", error_description="{}"'
    insufficient = challenge + ', error="insufficient_user_authentication"'
    insufficient += ', error_description="The token is not fresh"'
    reasons = {invalid.format(reason): reason for reason in REASONS}
    method_body = {"detail": f'Method "{method[:100]}" not allowed.'}
    media_type_body = {"detail": f'Unsupported media type "{media_type[:100]}" in request.'}
    rows: list[tuple[str, int, str | re.Pattern[str], str | None]] = [
        (EDITED if method in {"PATCH", "PUT"} else PROFILE, 200, profile, None),
        (OPTIONS, 200, "", None),
        (REMOVED, 204, "", None),
        (NOT_MODIFIED, 304, "", None),
        *((UNREADABLE, 400, json.dumps(body), None) for body in UNREADABLE_BODIES),
        (UNACCEPTABLE, 400, json.dumps(UNACCEPTABLE_BODY), None),
        (BROKEN_IMAGE, 400, json.dumps(BROKEN_IMAGE_BODY), None),
        (TOO_MANY_PIXELS, 400, json.dumps(TOO_MANY_PIXELS_BODY), None),
        (TOO_MANY_SCANS, 400, json.dumps(TOO_MANY_SCANS_BODY), None),
        (MISSING_FILE, 400, json.dumps(MISSING_FILE_BODY), None),
        (INVALID, 400, VALIDATION_ERRORS, None),
        (NO_TOKEN, 401, json.dumps(NOT_PROVIDED), challenge),
        (BAD_HEADER_VALUE, 401, json.dumps(BAD_HEADER), challenge),
        (INACTIVE_USER, 401, json.dumps(INACTIVE), invalid.format("User is inactive")),
        *((reason, 401, json.dumps(NOT_VALID), text) for text, reason in reasons.items()),
        (NOT_FRESH, 401, json.dumps(FRESH_REQUIRED), insufficient),
        (USER_NOT_FOUND, 404, json.dumps(NOT_FOUND), None),
        (METHOD_NOT_ALLOWED, 405, json.dumps(method_body), None),
        (STILL_REFERENCED, 409, json.dumps(REFERENCED), None),
        (CHANGED, 412, json.dumps(CHANGED_BODY), None),
        (TOO_LARGE, 413, _TOO_LARGE, None),
        (UNSUPPORTED_MEDIA_TYPE, 415, json.dumps(media_type_body), None),
        (UNSUPPORTED_IMAGE, 415, json.dumps(UNSUPPORTED_IMAGE_BODY), None),
    ]
    received = (status, headers.get("WWW-Authenticate"))
    text = body.decode("latin-1")

    def has_body(expected: str | re.Pattern[str]) -> bool:
        if method == "HEAD":
            return not text
        if isinstance(expected, re.Pattern):
            return bool(expected.fullmatch(text))
        return text == expected

    name = next(
        (
            name
            for name, code, expected_body, challenge in rows
            if (code, challenge) == received and has_body(expected_body)
        ),
        None,
    )
    assert name, f"not a documented response: {received} {body!r}"
    assert (name == OPTIONS) == (method == "OPTIONS"), f"{method} got the response {name!r}"
    assert name not in METHODS_BY_RESPONSE or method in METHODS_BY_RESPONSE[name], (
        f"{method} got the response {name!r}"
    )
    is_allowed = method in allow.split(", ")
    assert is_allowed == (name != METHOD_NOT_ALLOWED), f"{method} got the response {name!r}"
    is_read = method in {"GET", "HEAD"} and name in {PROFILE, NOT_MODIFIED}
    lists_patch_types = name == OPTIONS or (name == UNSUPPORTED_MEDIA_TYPE and method == "PATCH")
    expected = {
        "Cache-Control": "private, no-cache" if is_read else "no-store",
        "Vary": vary,
        "Allow": allow if name in {METHOD_NOT_ALLOWED, OPTIONS} else None,
        "Accept-Patch": PATCH_TYPES if lists_patch_types and "PATCH" in allow else None,
    }
    is_empty = name in {OPTIONS, REMOVED, NOT_MODIFIED}
    expected["Content-Type"] = None if is_empty else "application/json"
    for header, value in expected.items():
        assert headers.get(header) == value, f"{header} of {name} is {headers.get(header)!r}"
    etag, has_etag = headers.get("ETag", ""), is_read or name == EDITED
    assert bool(re.fullmatch(r'"[\w-]+"', etag)) == has_etag, f"ETag of {name} is {etag!r}"
    assert has_etag or not etag, f"ETag of {name} is {etag!r}"
    return name
