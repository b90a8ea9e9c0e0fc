"""The contract's answers, byte for byte, and what tells which of them an answer is."""

from __future__ import annotations

import json
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


def name_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str = "POST",
    media_type: str = "",
    vary: str | None = "Authorization",
    profile: str = JOHN_AS_JSON,
) -> str:
    """Return which answer of the contract this is; a token that is not valid by its reason.

    Args:
        status: Of the answer, like its headers and its body.
        headers: The same.
        body: The same.
        method: Of the request, like its media type.
        media_type: The same.
        vary: What the app reads tokens from.
        profile: The JSON that is right for the user.

    Raises:
        AssertionError: When it is none of them, to the last byte and header.
    """
    challenge = 'Bearer realm="api"'
    invalid = challenge + ', error="invalid_token", error_description="{}"'
    reasons = {invalid.format(reason): reason for reason in REASONS}
    about_method = {"detail": f'Method "{method}" not allowed.'}
    about_media_type = {"detail": f'Unsupported media type "{media_type}" in request.'}
    rows = [
        (PROFILE, 200, profile, None),
        (OPTIONS, 200, "", None),
        (NO_TOKEN, 401, json.dumps(NOT_PROVIDED), challenge),
        (NO_WORD, 401, json.dumps(BAD_HEADER), challenge),
        (IS_INACTIVE, 401, json.dumps(INACTIVE), invalid.format("User is inactive")),
        *((reason, 401, json.dumps(NOT_VALID), text) for text, reason in reasons.items()),
        (NOBODY, 404, json.dumps(NOT_FOUND), None),
        (METHOD, 405, "" if method == "HEAD" else json.dumps(about_method), None),
        (MEDIA_TYPE, 415, json.dumps(about_media_type), None),
    ]
    given = (status, body, headers.get("WWW-Authenticate"))
    name = next((name for name, *row in rows if (row[0], row[1].encode(), row[2]) == given), None)
    assert name, f"no answer of the contract: {given}"
    assert (name == OPTIONS) == (method == "OPTIONS"), f"{method} is answered with {name}"
    expected = {
        "Cache-Control": "no-store",
        "Vary": vary,
        "Allow": "OPTIONS, POST" if name in {METHOD, OPTIONS} else None,
    }
    if name != OPTIONS:
        expected["Content-Type"] = "application/json"
    for header, value in expected.items():
        assert headers.get(header) == value, f"{header} of {name} is {headers.get(header)!r}"
    return name
