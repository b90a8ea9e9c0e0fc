"""Every exception of the package, and every response that is not a profile, in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import jwt
from flask_jwt_extended import exceptions as extended
from jwt.exceptions import InvalidJTIError, InvalidSubjectError
from werkzeug.exceptions import MethodNotAllowed


class ConfigurationError(Exception):
    """The host app is set up in a way that cannot work.

    Raised by ``register_blueprint`` for a wrong ``PROFILE_*`` value, and at the first request for
    what can only be known then (no ``JWTManager``, no user model, …). The message names what is
    wrong and the line of code or config that fixes it.
    """


class UserNotFoundError(Exception):
    """No user of the database has the identity."""


class UserInactiveError(Exception):
    """The user of the identity is not active."""


class UnavailableError(Exception):
    """The database has too much other work for this request."""


class UnknownKeyError(Exception):
    """The host's ``decode_key_loader`` has no key for the token, or fails."""


class RefusalError(Exception):
    """The request of a user who may be served is refused for what it contains."""


class MalformedBodyError(RefusalError):
    """The body is not a JSON object (RFC 8259), breaks off, has a name twice or is too deep."""


class InvalidFieldsError(RefusalError):
    """The schema, or what the columns can hold, refuses values.

    Of at most 100 fields, the response has a list of at most 100 messages.

    Args:
        messages: The messages of each field that is refused, by the field's name; nested where the
            field nests others, as marshmallow makes them.
    """

    def __init__(self, messages: Mapping[str, object]) -> None:
        self.messages = {
            cut(name): [*islice(_list_messages(nested), 100)]
            for name, nested in islice(messages.items(), 100)
        }


class ConstraintError(RefusalError):
    """The database refuses the values, by a rule that only the database knows."""


class PreconditionFailedError(RefusalError):
    """The profile does not match ``If-Match`` any more (RFC 9110 section 13.1.1)."""


class ReferencedError(RefusalError):
    """Rows of other tables refer to the user, and forbid its deletion."""


class BodyTooLargeError(RefusalError):
    """The body is larger than its limit.

    Args:
        limit: The limit, in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class UnsupportedMediaTypeError(RefusalError):
    """The body has a media type that is not accepted."""


class ImageFormatError(RefusalError):
    """The file is not an image of an accepted format."""


class BrokenImageError(RefusalError):
    """The image cannot be decoded."""


class TooManyPixelsError(RefusalError):
    """The image would take too much memory to decode."""


class TooManyScansError(RefusalError):
    """The image would take too much time to decode."""


class MissingFileError(RefusalError):
    """The form has no file in the field of the avatar."""


def cut(text: str) -> str:
    """Return what a response repeats of a text of the client: at most 100 characters."""
    return text[:100]


def _list_messages(messages: object, path: str = "") -> Iterator[str]:
    """Yield the messages of a field, those of a nested one with its path in front."""
    if isinstance(messages, Mapping):
        for name, nested in cast("Mapping[object, object]", messages).items():
            inner = cut(str(name))
            yield from _list_messages(nested, f"{path}.{inner}" if path else inner)
    elif isinstance(messages, (list, tuple)):
        for message in cast("list[object]", messages):
            yield from _list_messages(message, path)
    else:
        yield f"{path}: {messages}" if path else str(messages)


@dataclass(frozen=True)
class ErrorResponse:
    """The status and body of a response; where a token was refused, also the reason.

    Args:
        status: The HTTP status code.
        body: The JSON object; its texts may contain ``{method}``, ``{media_type}`` and ``{limit}``.
        reason: Why a token that was sent is refused, for ``WWW-Authenticate``.
        advice: What a developer of the app has to change, for the log in debug mode.
        body_of_writes: The JSON object for PATCH, PUT and DELETE, where it is another.
        error_code: The code of the reason, for ``WWW-Authenticate``.
    """

    status: int
    body: dict[str, str]
    reason: str | None = None
    advice: str | None = None
    body_of_writes: dict[str, str] | None = None
    error_code: str = "invalid_token"

    def render(self, *, method: str, media_type: str, limit: int = 0) -> str:
        """Return the body as JSON, completed by what the client sent and what is allowed."""
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
            "A token is refused since its subject is no string. Where it is issued, write:\n\n"
            "    create_access_token(str(user.id))"
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
    MalformedBodyError: ErrorResponse(
        400,
        {
            "detail": "The body must be a whole JSON object that has each of its names once and "
            "is not nested deeper than 100 levels."
        },
    ),
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
    """Return the response of the table for an exception."""
    return next(ERROR_RESPONSES[cls] for cls in type(error).__mro__ if cls in ERROR_RESPONSES)
