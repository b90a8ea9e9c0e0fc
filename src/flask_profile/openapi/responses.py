"""The responses of an operation: what it returns, and each error with an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.exceptions import MethodNotAllowed

from ..error_responses import ERROR_RESPONSES
from ..errors import InvalidFieldsError
from ..settings import Settings
from .examples import make_example
from .objects import JSON_TYPE, JsonObject, describe_header, refer_to

if TYPE_CHECKING:
    from .schemas import ProfileSchemas

# The headers that error responses of a status have, beside those of all responses.
_ERROR_HEADERS = {401: "WWW-Authenticate", 405: "Allow", 503: "Retry-After"}


@dataclass(frozen=True)
class Success:
    """A response to a request that is not refused; with 200, the profile is its body.

    Args:
        status: The HTTP status code.
        description: What the response means.
        header: A header that it has, beside those of all responses.
    """

    status: int
    description: str
    header: str | None = None


PROFILE = Success(200, "The profile")
PROFILE_WITH_ETAG = Success(200, "The profile", "ETag")
NOT_MODIFIED = Success(304, "The profile has not changed", "ETag")
NO_ACCOUNT = Success(204, "The account is deleted or deactivated")
NO_AVATAR = Success(204, "There is no avatar any more")


def describe_successes(successes: Iterable[Success], schemas: ProfileSchemas) -> JsonObject:
    """Return the descriptions of successful responses by their status."""
    described: JsonObject = {}
    for success in successes:
        response: JsonObject = {"description": success.description}
        if success.status == 200:
            schema = refer_to("schema", schemas.name)
            example = make_example(schemas.shown)
            response["content"] = {JSON_TYPE: {"schema": schema, "example": example}}
        if success.header:
            response["headers"] = describe_header(success.header)
        described[str(success.status)] = response
    return described


def describe_errors(
    errors: Iterable[type[BaseException]], method: str, schemas: ProfileSchemas
) -> JsonObject:
    """Return the descriptions of error responses by their status, in ascending order.

    Args:
        errors: The rows of ``ERROR_RESPONSES`` that apply.
        method: The method of the request, in capitals.
        schemas: The schemas of the profile.
    """
    by_status: dict[int, list[type[BaseException]]] = {}
    for error in errors:
        by_status.setdefault(ERROR_RESPONSES[error].status, []).append(error)
    return {
        str(status): _describe_status(status, by_status[status], method, schemas)
        for status in sorted(by_status)
    }


def _describe_status(
    status: int, errors: list[type[BaseException]], method: str, schemas: ProfileSchemas
) -> JsonObject:
    """Return the description of all error responses of one status."""
    examples: JsonObject = {}
    body_schemas: list[JsonObject] = []
    for error in errors:
        body = _example_body(error, method, schemas)
        summary = ERROR_RESPONSES[error].reason or str(next(iter(body.values())))
        name = re.sub(r"\W+", "_", summary).strip("_").lower()
        examples[name] = {"summary": summary, "value": body}
        schema = _body_schema(error, body)
        if schema not in body_schemas:
            body_schemas.append(schema)
    content = {"schema": {"anyOf": body_schemas}, "examples": examples}
    described = {"description": HTTPStatus(status).phrase, "content": {JSON_TYPE: content}}
    if status in _ERROR_HEADERS:
        described["headers"] = describe_header(_ERROR_HEADERS[status])
    return described


def _example_body(error: type[BaseException], method: str, schemas: ProfileSchemas) -> JsonObject:
    if error is InvalidFieldsError:
        return {next(iter(schemas.patch["properties"]), "id"): ["Not a valid value."]}
    # A method that no profile has, and a media type that none accepts.
    shown_method = "TRACE" if error is MethodNotAllowed else method
    text = ERROR_RESPONSES[error].render(
        method=shown_method, media_type="text/plain", limit=Settings.max_content_length
    )
    body: JsonObject = json.loads(text)
    return body


def _body_schema(error: type[BaseException], body: JsonObject) -> JsonObject:
    if error is InvalidFieldsError:
        return {"type": "object"}
    properties = dict.fromkeys(body, {"type": "string"})
    return {"type": "object", "properties": properties, "required": [*body]}
