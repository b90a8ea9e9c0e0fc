"""All error responses, in one table by exception."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import jwt
from flask_jwt_extended import exceptions as extended
from jwt.exceptions import InvalidJTIError, InvalidSubjectError
from werkzeug.exceptions import MethodNotAllowed

from .errors import (
    BodyTooLargeError,
    BrokenImageError,
    ConstraintError,
    DuplicateKeysError,
    ImageFormatError,
    IncompleteBodyError,
    InvalidFieldsError,
    MalformedJSONError,
    MissingFileError,
    NotAnObjectError,
    PreconditionFailedError,
    ReferencedError,
    TooDeepError,
    TooManyPixelsError,
    TooManyScansError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedMediaTypeError,
    UserInactiveError,
    UserNotFoundError,
    cut,
)


@dataclass(frozen=True)
class ErrorResponse:
    """The status and body of an error response, and the reason if a token was refused.

    Args:
        status: The HTTP status code.
        body: The JSON object; its texts may contain ``{method}``, ``{media_type}`` and ``{limit}``.
        reason: Why a token was refused, for ``WWW-Authenticate``.
        advice: How a developer of the app can fix it, for the log in debug mode.
        body_of_writes: The JSON object for PATCH, PUT and DELETE, if it is a different one.
        error_code: The code of the reason, for ``WWW-Authenticate``.
    """

    status: int
    body: dict[str, str]
    reason: str | None = None
    advice: str | None = None
    body_of_writes: dict[str, str] | None = None
    error_code: str = "invalid_token"

    def render(self, *, method: str, media_type: str, limit: int = 0) -> str:
        """Return the body as JSON, with the method, the media type and the limit filled in."""
        is_write = method in {"PATCH", "PUT", "DELETE"}
        body = self.body_of_writes if is_write and self.body_of_writes else self.body
        values = {"method": cut(method), "media_type": cut(media_type), "limit": limit}
        return json.dumps({name: text.format(**values) for name, text in body.items()})

    def challenge(self, scheme: str, realm: str) -> str:
        """Return the value of ``WWW-Authenticate`` (RFC 6750 section 3, RFC 9470 section 3)."""
        challenge = f'{scheme} realm="{realm}"'
        if self.reason is None:
            return challenge
        return f'{challenge}, error="{self.error_code}", error_description="{self.reason}"'


def _invalid_token(reason: str) -> ErrorResponse:
    body = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
    return ErrorResponse(401, body, reason)


_USER_NOT_FOUND = ErrorResponse(404, {"error": "The user cannot be found in the database."})
FAILURE = ErrorResponse(
    500,
    {"error": "The profile could not be loaded."},
    body_of_writes={"error": "The profile could not be saved."},
)
UNAVAILABLE = ErrorResponse(503, {"error": "The profile is temporarily unavailable."})

# An exception gets the response of its nearest class in this table.
ERROR_RESPONSES: dict[type[BaseException], ErrorResponse] = {
    extended.NoAuthorizationError: ErrorResponse(
        401, {"detail": "Authentication credentials were not provided."}
    ),
    extended.InvalidHeaderError: ErrorResponse(
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
    jwt.InvalidIssuedAtError: _invalid_token("The time of issue is not a number"),
    InvalidSubjectError: replace(
        _invalid_token("The subject must be a string"),
        advice=(
            "A token was refused because its subject is not a string. Where you issue tokens, "
            "write:\n\n    create_access_token(str(user.id))"
        ),
    ),
    InvalidJTIError: _invalid_token("The JWT ID must be a string"),
    jwt.MissingRequiredClaimError: _invalid_token("The token lacks a required claim"),
    jwt.InvalidKeyError: _invalid_token("The key does not fit the algorithm"),
    UnknownKeyError: _invalid_token("The key of the token is not known"),
    extended.JWTDecodeError: _invalid_token("The token lacks a required claim"),
    extended.InvalidQueryParamError: _invalid_token("The query parameter lacks its prefix"),
    extended.WrongTokenError: _invalid_token("The token is not an access token"),
    extended.RevokedTokenError: _invalid_token("The token has been revoked"),
    extended.CSRFError: _invalid_token("The CSRF token is missing or does not match"),
    extended.UserClaimsVerificationError: _invalid_token("The claims of the token are refused"),
    extended.FreshTokenRequired: ErrorResponse(
        401,
        {"detail": "Fresh token required", "code": "fresh_token_required"},
        "The token is not fresh",
        error_code="insufficient_user_authentication",
    ),
    extended.JWTExtendedException: _invalid_token("The token is refused"),
    jwt.PyJWTError: _invalid_token("The token is malformed"),
    jwt.PyJWKClientConnectionError: FAILURE,
    jwt.PyJWKSetError: FAILURE,
    UserInactiveError: ErrorResponse(
        401, {"detail": "User is inactive", "code": "user_inactive"}, "User is inactive"
    ),
    extended.UserLookupError: _USER_NOT_FOUND,
    UserNotFoundError: _USER_NOT_FOUND,
    MethodNotAllowed: ErrorResponse(405, {"detail": 'Method "{method}" not allowed.'}),
    IncompleteBodyError: ErrorResponse(400, {"detail": "The body is incomplete."}),
    MalformedJSONError: ErrorResponse(400, {"detail": "Malformed JSON."}),
    DuplicateKeysError: ErrorResponse(400, {"detail": "Duplicate keys in a JSON object."}),
    TooDeepError: ErrorResponse(400, {"detail": "The JSON is nested deeper than 100 levels."}),
    NotAnObjectError: ErrorResponse(400, {"detail": "The body must be a JSON object."}),
    InvalidFieldsError: ErrorResponse(400, {}),  # Its messages are the body.
    ConstraintError: ErrorResponse(400, {"detail": "The database does not accept these values."}),
    BrokenImageError: ErrorResponse(400, {"detail": "The image is broken."}),
    TooManyPixelsError: ErrorResponse(400, {"detail": "The image has too many pixels."}),
    TooManyScansError: ErrorResponse(400, {"detail": "The image has too many scans."}),
    MissingFileError: ErrorResponse(400, {"detail": 'The form has no file in the field "avatar".'}),
    ReferencedError: ErrorResponse(409, {"detail": "The profile is still referenced."}),
    PreconditionFailedError: ErrorResponse(
        412, {"detail": "The profile has changed since it was read."}
    ),
    BodyTooLargeError: ErrorResponse(
        413, {"detail": "The body of the request is larger than {limit} bytes."}
    ),
    ImageFormatError: ErrorResponse(
        415, {"detail": "The avatar must be a PNG, JPEG, WebP or GIF image."}
    ),
    UnsupportedMediaTypeError: ErrorResponse(
        415, {"detail": 'Unsupported media type "{media_type}" in request.'}
    ),
    UnavailableError: UNAVAILABLE,
    Exception: FAILURE,
}


def response_to(error: Exception) -> ErrorResponse:
    """Return the response to an exception."""
    return next(ERROR_RESPONSES[cls] for cls in type(error).__mro__ if cls in ERROR_RESPONSES)
