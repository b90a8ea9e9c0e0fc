"""The responses of an operation: what it returns, and each error with an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask_jwt_extended.config import config as jwt_config
from jwt import ExpiredSignatureError
from werkzeug.exceptions import MethodNotAllowed

from ..error_responses import ERROR_RESPONSES
from ..errors import InvalidFieldsError
from ..routing import allowed_methods
from .examples import make_example
from .headers import (
    describe_allow,
    describe_cache_control,
    describe_challenge,
    describe_etag,
    describe_retry_after,
)
from .objects import JSON_TYPE, JsonObject, refer_to

if TYPE_CHECKING:
    from werkzeug.routing import Rule

    from ..resource import Endpoint
    from .schemas import ProfileSchemas

# One of them is the method of the example of a 405 response: the first that the URL does not allow.
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "TRACE")


@dataclass(frozen=True)
class Target:
    """A method of an endpoint, whose responses are described.

    Args:
        rule: The rule of the endpoint.
        endpoint: The endpoint.
        method: The method, in capitals.
    """

    rule: Rule
    endpoint: Endpoint
    method: str

    @property
    def allowed_methods(self) -> list[str]:
        """The methods of the URL, as in the header ``Allow``."""
        return sorted(allowed_methods(self.rule))

    @property
    def refused_method(self) -> str:
        """A method that the URL does not allow."""
        return next(method for method in _METHODS if method not in self.allowed_methods)

    @property
    def challenge(self) -> str:
        """The header ``WWW-Authenticate`` of a response to an expired token."""
        realm = self.endpoint.resource.settings.realm
        row = ERROR_RESPONSES[ExpiredSignatureError]
        return row.challenge(jwt_config.header_type or "Bearer", realm)

    @property
    def limit(self) -> int:
        """The number of bytes that a body may have."""
        settings = self.endpoint.resource.settings
        is_avatar = self.endpoint.name == "avatar"
        return settings.avatar_max_bytes if is_avatar else settings.max_content_length


@dataclass(frozen=True)
class Success:
    """A response to a request that is not refused. With 200, its body is the profile.

    Args:
        status: The HTTP status code.
        description: What the response means.
        has_etag: Whether it has the ``ETag`` of the profile.
    """

    status: int
    description: str
    has_etag: bool = False


PROFILE = Success(200, "The profile")
PROFILE_WITH_ETAG = Success(200, "The profile", has_etag=True)
NOT_MODIFIED = Success(304, "The profile has not changed", has_etag=True)
NO_ACCOUNT = Success(204, "The account is deleted or deactivated")
NO_AVATAR = Success(204, "There is no avatar any more")


def describe_successes(
    successes: Iterable[Success], target: Target, schemas: ProfileSchemas
) -> JsonObject:
    """Return the descriptions of successful responses by their status."""
    is_cacheable = target.method in {"GET", "HEAD"}
    described: JsonObject = {}
    for success in successes:
        response: JsonObject = {"description": success.description}
        if success.status == 200:
            schema = refer_to("schema", schemas.name)
            example = make_example(schemas.shown, media_url=schemas.media_url)
            response["content"] = {JSON_TYPE: {"schema": schema, "example": example}}
        response["headers"] = describe_cache_control(is_cacheable=is_cacheable)
        if success.has_etag:
            response["headers"] |= describe_etag()
        described[str(success.status)] = response
    return described


def describe_errors(
    errors: Iterable[type[BaseException]], target: Target, schemas: ProfileSchemas
) -> JsonObject:
    """Return the descriptions of error responses by their status, in ascending order.

    Args:
        errors: The rows of ``ERROR_RESPONSES`` that apply.
        target: The method of the request.
        schemas: The schemas of the profile.
    """
    by_status: dict[int, list[type[BaseException]]] = {}
    for error in errors:
        by_status.setdefault(ERROR_RESPONSES[error].status, []).append(error)
    return {
        str(status): _describe_status(status, by_status[status], target, schemas)
        for status in sorted(by_status)
    }


def _describe_status(
    status: int, errors: list[type[BaseException]], target: Target, schemas: ProfileSchemas
) -> JsonObject:
    """Return the description of all error responses of one status."""
    examples: JsonObject = {}
    body_schemas: list[JsonObject] = []
    for error in errors:
        body = _example_body(error, target, schemas)
        summary = ERROR_RESPONSES[error].reason or str(next(iter(body.values())))
        name = re.sub(r"\W+", "_", summary).strip("_").lower()
        examples[name] = {"summary": summary, "value": body}
        schema = _body_schema(error, body)
        if schema not in body_schemas:
            body_schemas.append(schema)
    content = {"schema": {"anyOf": body_schemas}, "examples": examples}
    headers = _describe_headers(status, target)
    return {
        "description": HTTPStatus(status).phrase,
        **({"headers": headers} if headers else {}),
        "content": {JSON_TYPE: content},
    }


def _describe_headers(status: int, target: Target) -> JsonObject:
    """Return the headers that error responses of one status have."""
    if status == 401:
        return describe_challenge(target.challenge)
    if status == 405:
        return describe_allow(target.allowed_methods)
    if status == 503:
        return describe_retry_after()
    return {}


def _example_body(
    error: type[BaseException], target: Target, schemas: ProfileSchemas
) -> JsonObject:
    if error is InvalidFieldsError:
        return {next(iter(schemas.patch["properties"]), "id"): ["Not a valid value."]}
    method = target.refused_method if error is MethodNotAllowed else target.method
    text = ERROR_RESPONSES[error].render(method=method, media_type="text/plain", limit=target.limit)
    body: JsonObject = json.loads(text)
    return body


def _body_schema(error: type[BaseException], body: JsonObject) -> JsonObject:
    if error is InvalidFieldsError:
        return {"type": "object"}
    properties = dict.fromkeys(body, {"type": "string"})
    return {"type": "object", "properties": properties, "required": [*body]}
