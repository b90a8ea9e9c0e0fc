"""Every answer that is not a profile: from an exception to a status and a body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt
from flask import request
from flask_jwt_extended import exceptions as extended
from werkzeug.exceptions import MethodNotAllowed

from .queries import UserNotFoundError

if TYPE_CHECKING:
    from werkzeug.wrappers import Response


class UserInactiveError(Exception):
    """The token's user may not be served."""


# What PATCH reads: JSON, and a merge patch under its own name (RFC 7396 section 4).
PATCH_TYPES = ("application/json", "application/merge-patch+json")


class RefusalError(Exception):
    """A request that is refused for what it says, not for whose it is."""


class UnreadableError(RefusalError):
    """The body is no JSON object (RFC 8259) that has one meaning."""


class InvalidError(RefusalError):
    """The schema, or what the columns can hold, refuses values; ``messages`` says why of each."""

    def __init__(self, messages: Mapping[str, object]) -> None:
        self.messages = messages


class UnacceptableError(RefusalError):
    """The database refuses the values, for a reason that only it knows."""


class ChangedError(RefusalError):
    """The profile is no longer the one of ``If-Match`` (RFC 9110 section 13.1.1)."""


def require_match(response: Response) -> None:
    """Raise ChangedError where the request's ``If-Match`` does not name the response's ETag."""
    tags = request.if_match
    if "If-Match" in request.headers and not (
        tags.star_tag or tags.is_strong(response.get_etag()[0] or "")
    ):
        raise ChangedError


class TooLargeError(RefusalError):
    """The body is longer than is admitted."""


class MediaTypeError(RefusalError):
    """The body is of a type that is not admitted."""


class FormatError(RefusalError):
    """The file is no picture of a format that is admitted."""


class PictureError(RefusalError):
    """The picture is broken, or too large to be decoded."""


@dataclass(frozen=True)
class Answer:
    """A status and a body; for a token that was sent and refused, also the reason."""

    status: int
    body: dict[str, str]
    reason: str | None = None

    def render(self, *, method: str, media_type: str) -> str:
        """Return the body as JSON, with what it says of the request filled in."""
        values = {"method": method, "media_type": media_type}
        return json.dumps({k: text.format(**values) for k, text in self.body.items()})

    def challenge(self, realm: str) -> str:
        """Return the value of ``WWW-Authenticate`` (RFC 6750 section 3)."""
        challenge = f'Bearer realm="{realm}"'
        if self.reason is None:
            return challenge
        return f'{challenge}, error="invalid_token", error_description="{self.reason}"'


def _invalid_token(reason: str) -> Answer:
    body = {
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
    }
    return Answer(401, body, reason)


_USER_NOT_FOUND = Answer(404, {"error": "The user cannot be found in the database."})
FAILURE = Answer(500, {"error": "The profile could not be loaded."})

# An exception is answered as the nearest of its classes that stands here.
ANSWERS: dict[type[BaseException], Answer] = {
    extended.NoAuthorizationError: Answer(
        401, {"detail": "Authentication credentials were not provided."}
    ),
    extended.InvalidHeaderError: Answer(
        401,
        {
            "detail": "Authorization header must contain two space-delimited values",
            "code": "bad_authorization_header",
        },
    ),
    jwt.ExpiredSignatureError: _invalid_token("The token has expired"),
    jwt.ImmatureSignatureError: _invalid_token("The token is not yet valid"),
    jwt.InvalidSignatureError: _invalid_token("The signature does not match"),
    jwt.InvalidAlgorithmError: _invalid_token("The algorithm is not allowed"),
    jwt.InvalidIssuerError: _invalid_token("The issuer is not the expected one"),
    jwt.InvalidAudienceError: _invalid_token("The token is meant for another audience"),
    jwt.MissingRequiredClaimError: _invalid_token("The token lacks a required claim"),
    extended.WrongTokenError: _invalid_token("The token is not an access token"),
    extended.RevokedTokenError: _invalid_token("The token has been revoked"),
    extended.CSRFError: _invalid_token("The CSRF token is missing or does not match"),
    extended.UserClaimsVerificationError: _invalid_token("The claims of the token are refused"),
    extended.JWTExtendedException: _invalid_token("The token is malformed or lacks a claim"),
    jwt.PyJWTError: _invalid_token("The token is malformed"),
    jwt.PyJWKClientConnectionError: FAILURE,
    UserInactiveError: Answer(
        401, {"detail": "User is inactive", "code": "user_inactive"}, "User is inactive"
    ),
    extended.UserLookupError: _USER_NOT_FOUND,
    UserNotFoundError: _USER_NOT_FOUND,
    MethodNotAllowed: Answer(405, {"detail": 'Method "{method}" not allowed.'}),
    UnreadableError: Answer(
        400, {"detail": "The body must be a JSON object that has each of its names once."}
    ),
    InvalidError: Answer(400, {}),  # Its body is its messages.
    UnacceptableError: Answer(400, {"detail": "The database does not accept these values."}),
    PictureError: Answer(400, {"detail": "The picture is broken or has too many pixels."}),
    ChangedError: Answer(412, {"detail": "The profile has changed since it was read."}),
    TooLargeError: Answer(413, {"detail": "The body of the request is too large."}),
    FormatError: Answer(415, {"detail": "The avatar must be a PNG, JPEG, WebP or GIF picture."}),
    MediaTypeError: Answer(415, {"detail": 'Unsupported media type "{media_type}" in request.'}),
    Exception: FAILURE,
}


def answer_to(error: Exception) -> Answer:
    """Return the answer of the table for an exception."""
    return next(ANSWERS[cls] for cls in type(error).__mro__ if cls in ANSWERS)
