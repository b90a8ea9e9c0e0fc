"""The operations of a profile, in one table: what each method accepts and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flask_jwt_extended.exceptions import FreshTokenRequired

from ..error_responses import ERROR_RESPONSES
from ..errors import (
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
    RefusalError,
    TooDeepError,
    TooManyPixelsError,
    TooManyScansError,
    UnsupportedMediaTypeError,
    UserInactiveError,
)
from .headers import describe_condition
from .request_bodies import describe_image_body, describe_patch_body, describe_post_body
from .responses import (
    NO_ACCOUNT,
    NO_AVATAR,
    NOT_MODIFIED,
    PROFILE,
    PROFILE_WITH_ETAG,
    Success,
    Target,
    describe_errors,
    describe_successes,
)
from .security import reads_body, security_requirements

if TYPE_CHECKING:
    from ..resource import Endpoint
    from ..settings import Settings
    from .objects import JsonObject
    from .schemas import ProfileSchemas


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What one method accepts and returns, except for what is the same for all methods.

    Args:
        summary: What it does.
        conditions: The headers of conditional requests (RFC 9110 section 13) that it supports.
        body: Describes the body of the request, if there may be one.
        successes: The responses to a request that is not refused.
        refusals: The exceptions with which it may refuse a request.
    """

    summary: str
    conditions: tuple[str, ...] = ()
    body: Callable[[ProfileSchemas, Settings], JsonObject] | None = None
    successes: tuple[Success, ...]
    refusals: tuple[type[RefusalError], ...] = ()


_GET = Operation(
    summary="Read the profile of the token's user",
    conditions=("If-None-Match", "If-Match"),
    successes=(PROFILE_WITH_ETAG, NOT_MODIFIED),
    refusals=(PreconditionFailedError,),
)
# By the name of the endpoint and the method.
_OPERATIONS = {
    ("profile", "POST"): Operation(
        summary="Read the profile of the token's user",
        body=describe_post_body,
        successes=(PROFILE,),
    ),
    ("profile", "GET"): _GET,
    ("profile", "HEAD"): replace(
        _GET, summary="Ask whether the profile of the token's user has changed"
    ),
    ("profile", "PATCH"): Operation(
        summary="Change the profile of the token's user by a JSON merge patch (RFC 7396)",
        conditions=("If-Match",),
        body=describe_patch_body,
        successes=(PROFILE_WITH_ETAG,),
        refusals=(
            IncompleteBodyError,
            MalformedJSONError,
            DuplicateKeysError,
            TooDeepError,
            NotAnObjectError,
            InvalidFieldsError,
            ConstraintError,
            PreconditionFailedError,
            BodyTooLargeError,
            UnsupportedMediaTypeError,
        ),
    ),
    ("profile", "DELETE"): Operation(
        summary="Delete the account of the token's user",
        conditions=("If-Match",),
        successes=(NO_ACCOUNT,),
        refusals=(ReferencedError, PreconditionFailedError),
    ),
    ("avatar", "PUT"): Operation(
        summary="Set the avatar of the token's user",
        conditions=("If-Match",),
        body=describe_image_body,
        successes=(PROFILE_WITH_ETAG,),
        refusals=(
            BrokenImageError,
            TooManyPixelsError,
            TooManyScansError,
            MissingFileError,
            ConstraintError,
            PreconditionFailedError,
            BodyTooLargeError,
            ImageFormatError,
        ),
    ),
    ("avatar", "DELETE"): Operation(
        summary="Remove the avatar of the token's user",
        conditions=("If-Match",),
        successes=(NO_AVATAR,),
        refusals=(ConstraintError, PreconditionFailedError),
    ),
}


def describe_operation(target: Target, *, tag: str, schemas: ProfileSchemas) -> JsonObject:
    """Return the description of a method, with all of its responses.

    Args:
        target: The method.
        tag: The name of the blueprint, which groups the operations.
        schemas: The schemas of the profile.
    """
    endpoint, method = target.endpoint, target.method
    operation = _OPERATIONS[endpoint.name, method]
    body = operation.body(schemas, endpoint.resource.settings) if operation.body else {}
    security = security_requirements(method, body)
    errors = _possible_errors(operation, method, endpoint)
    path = tag if endpoint.name == "profile" else f"{tag}.{endpoint.name}"
    return {
        "operationId": f"{path.replace('.', '_')}_{method.lower()}",
        "summary": operation.summary,
        "tags": [tag],
        "parameters": [describe_condition(name) for name in operation.conditions],
        **({"requestBody": body} if body else {}),
        **({"security": security} if security else {}),
        "responses": describe_successes(operation.successes, target, schemas)
        | describe_errors(errors, target, schemas),
    }


def _possible_errors(
    operation: Operation, method: str, endpoint: Endpoint
) -> list[type[BaseException]]:
    """Return the errors that a request may cause, in the order of the table of responses."""
    settings = endpoint.resource.settings
    possible: set[type[BaseException]] = {*operation.refusals}
    if reads_body(method):
        possible.add(BodyTooLargeError)
    if settings.require_json and method == "POST":
        possible.add(UnsupportedMediaTypeError)
    if settings.require_active:
        possible.add(UserInactiveError)
    if endpoint.name == "profile" and method in settings.methods_with_fresh_token:
        possible.add(FreshTokenRequired)
    conditional = (RefusalError, UserInactiveError, FreshTokenRequired)
    return [
        error
        for error in ERROR_RESPONSES
        if error in possible or not issubclass(error, conditional)
    ]
