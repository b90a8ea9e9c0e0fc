"""The OpenAPI document of the profiles of an app. Needs the extra ``openapi``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask_jwt_extended.config import config as jwt_config
from marshmallow import Schema, fields, validate
from sqlalchemy import Column, Integer

from .auth import has_user_loader
from .blueprint import Resource, mounted
from .errors import (
    ANSWERS,
    PATCH_TYPES,
    Answer,
    ChangedError,
    FormatError,
    InvalidError,
    MediaTypeError,
    PictureError,
    RefusalError,
    TooLargeError,
    UnacceptableError,
    UnreadableError,
    UserInactiveError,
)
from .queries import integer_limit
from .schemas import Identifier, MediaUrl, UtcDateTime, sends_as_declared
from .settings import ConfigurationError

try:
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin, resolver
    from apispec.utils import deepupdate
except ImportError as error:
    message = "openapi_spec needs one more package:\n\n    pip install flask-profile-api[openapi]"
    raise ConfigurationError(message) from error

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper
    from werkzeug.routing import Rule

_JSON = "application/json"
_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_SUMMARIES = {
    "POST": "Read the profile of the token's user",
    "GET": "Read the profile of the token's user",
    "HEAD": "Ask whether the profile of the token's user has changed",
    "PATCH": "Change the profile of the token's user by a JSON merge patch (RFC 7396)",
    "PUT": "Set the avatar of the token's user",
    "DELETE": "Remove the avatar of the token's user",
}
# What a method may be refused for, beside what is the same for all.
_REFUSALS: dict[str, tuple[type[RefusalError], ...]] = {
    "POST": (),
    "GET": (ChangedError,),
    "HEAD": (ChangedError,),
    "PATCH": (
        UnreadableError,
        InvalidError,
        UnacceptableError,
        ChangedError,
        TooLargeError,
        MediaTypeError,
    ),
    "PUT": (PictureError, UnacceptableError, ChangedError, TooLargeError, FormatError),
    "DELETE": (UnacceptableError, ChangedError),
}
# The header that an answer of a status has, beside those of all.
_HEADERS = {401: "WWW-Authenticate", 405: "Allow"}
_TYPES: dict[Any, type] = {"string": str, "integer": int, "boolean": bool}
_EXAMPLES: dict[Any, object] = {
    "id": 42,
    "username": "alice_wonder",
    "email": "alice@example.com",
    "first_name": "Alice",
    "last_name": "Wonder",
    "number_phone": "5551234567",
    "avatar": "/media/avatars/alice.png",
    "date_joined": "2024-02-01T08:15:30Z",
    "last_login": "2024-03-10T11:45:22Z",
    "is_active": True,
    "is_staff": False,
    "is_superuser": False,
    # By format, and by type.
    "date": "2024-02-01",
    "date-time": "2024-02-01T08:15:30Z",
    "uuid": "7f9c24e8-3b12-4fef-91e0-56a2d5a3c1b4",
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
}
_STORABLE = "^[^\\u0000]*$"

_Json = dict[str, Any]


def openapi_spec(app: Flask, spec: APISpec | None = None) -> dict[str, object]:
    """Return the OpenAPI 3.1 document of the profiles that are mounted in an app.

    It has the paths, methods and schemas of this app, the places that it reads tokens from as
    security schemes, and every answer with an example. A host that makes a document of its own
    adds the profiles to it in one line, after all blueprints are registered::

        openapi_spec(app, api.spec)  # of flask-smorest, or any APISpec

    Args:
        app: The app that the blueprints are registered on.
        spec: A document of the host's to add to; its version of OpenAPI 3 is kept.

    Returns:
        The document (OpenAPI Specification 3.1), ready for ``json.dumps``; that of ``spec``, if
        it is given.

    Raises:
        ConfigurationError: Where the app cannot serve a profile, as a request would tell, or
            apispec is not installed.
    """
    whole = spec or APISpec("Profile", version("flask-profile-api"), "3.1.0")
    with app.app_context():
        for resource, rules in _routes(app).items():
            document = _Document(app, whole, resource, rules)
            whole.options = deepupdate(whole.options, document.parts())
    return whole.to_dict()


def _routes(app: Flask) -> dict[Resource, list[Rule]]:
    routes: dict[Resource, list[Rule]] = {}
    for rule, resource in mounted(app):
        routes.setdefault(resource, []).append(rule)
    return routes


class _Document:
    """What is said of one mounted profile."""

    def __init__(self, app: Flask, whole: APISpec, resource: Resource, rules: list[Rule]) -> None:
        self._app = app
        self._resource = resource
        self._rules = rules
        self._blueprint = rules[0].endpoint.rpartition(".")[0]
        name = re.sub(r"[\W_]+", " ", self._blueprint).title().replace(" ", "")
        self._name = name if name.endswith("Profile") else f"{name}Profile"
        while self._name in whole.components.schemas:
            self._name += "_"
        # Of its own, since a host's plugins may want other things of a path than we know.
        plugin = MarshmallowPlugin(lambda schema: f"{self._name}{resolver(schema)}")
        self._spec = APISpec("", "", str(whole.openapi_version), [plugin])
        self._converter: Any = plugin.converter
        self._by_host = has_user_loader()
        in_body = "json" in jwt_config.token_location
        self._token = {jwt_config.json_key: {"type": "string"}} if in_body else {}

    def parts(self) -> _Json:
        """Return the paths and the components."""
        self._profile = self._shown()
        self._patch = self._written() if "PATCH" in self._resource.views["profile"] else {}
        for rule in self._rules:
            name = rule.endpoint.rpartition(".")[2]
            self._spec.path(
                re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule),
                operations={m.lower(): self._operation(m) for m in self._resource.views[name]},
                parameters=[
                    {"name": argument, "in": "path", "schema": {"type": "string"}}
                    for argument in sorted(rule.arguments)
                ],
            )
        made = self._spec.to_dict()
        return {part: made[part] for part in ("paths", "components")}

    def _operation(self, method: str) -> _Json:
        operation: _Json = {
            "operationId": f"{self._blueprint.replace('.', '_')}_{method.lower()}",
            "summary": _SUMMARIES[method],
            "tags": [self._blueprint],
        }
        conditions = {"GET": ["If-None-Match", "If-Match"], "POST": []}
        conditions["HEAD"] = conditions["GET"]
        operation["parameters"] = [
            {"name": name, "in": "header", "schema": {"type": "string"}}
            for name in conditions.get(method, ["If-Match"])
        ]
        body = self._request_body(method)
        if body:
            operation["requestBody"] = body
        security = [*self._security(method)]
        if security:
            operation["security"] = security
        operation["responses"] = self._responses(method)
        return operation

    def _request_body(self, method: str) -> _Json:
        require_json = self._resource.settings.require_json
        content: _Json = {}
        if method == "PATCH":
            schema = _ref("schemas", f"{self._name}Patch")
            example = self._example(self._patch)
            content = dict.fromkeys(PATCH_TYPES, {"schema": schema, "example": example})
        elif method == "PUT":
            picture = {"type": "string", "format": "binary"}
            form: _Json = {
                "type": "object",
                "properties": {"avatar": picture},
                "required": ["avatar"],
            }
            encoding = {"avatar": {"contentType": ", ".join(_PICTURES)}}
            content = dict.fromkeys(_PICTURES, {"schema": picture})
            content["multipart/form-data"] = {"schema": form, "encoding": encoding}
        elif method == "POST" and (self._token or require_json):
            body: _Json = {"type": "object", "properties": self._token} if self._token else {}
            content = {_JSON: {"schema": body, "example": self._example(body)}}
        several = len([*jwt_config.token_location]) > 1
        required = method != "POST" or require_json or not several
        return {"required": required, "content": content} if content else {}

    def _security(self, method: str) -> Iterator[dict[str, list[str]]]:
        """Yield the ways to send a token, each as the schemes that it takes."""

        def scheme(key: str, **definition: str) -> dict[str, list[str]]:
            self._spec.components.security_schemes[key] = definition
            return {key: []}

        for location in jwt_config.token_location:
            if location == "headers":
                header, kind = jwt_config.header_name, jwt_config.header_type
                if (header, kind) == ("Authorization", "Bearer"):
                    yield scheme("bearer", type="http", scheme="bearer", bearerFormat="JWT")
                else:
                    written = f"{kind} <access token>".strip()
                    api_key = {"in": "header", "name": header, "description": written}
                    yield scheme("access_token_header", type="apiKey", **api_key)
            elif location == "cookies":
                cookie = {"in": "cookie", "name": jwt_config.access_cookie_name}
                needed = scheme("access_token_cookie", type="apiKey", **cookie)
                if jwt_config.cookie_csrf_protect and method in jwt_config.csrf_request_methods:
                    csrf = {"in": "header", "name": jwt_config.access_csrf_header_name}
                    needed |= scheme("csrf_token", type="apiKey", **csrf)
                yield needed
            elif location == "query_string":
                query = {"in": "query", "name": jwt_config.query_string_name}
                yield scheme("access_token_query", type="apiKey", **query)
            elif self._request_body(method):
                yield {}  # It stands in the body.

    def _responses(self, method: str) -> _Json:
        example = self._example(self._profile)
        content = {_JSON: {"schema": _ref("schemas", self._name), "example": example}}
        tag = {} if method == "POST" else {"headers": _header("ETag")}
        responses: _Json = {"200": {"description": "The profile", "content": content, **tag}}
        if method == "DELETE":
            responses = {"204": {"description": "There is no avatar any more"}}
        if method in {"GET", "HEAD"}:
            responses["304"] = {"description": "The profile has not changed", **tag}
        by_status: dict[int, list[tuple[type[BaseException], Answer]]] = {}
        for error, answer in self._answers(method):
            by_status.setdefault(answer.status, []).append((error, answer))
        for status, answers in sorted(by_status.items()):
            name = f"{self._name}{status}"
            refusal = self._refusal(status, answers)
            # What is the same for several methods is said once.
            shared = self._spec.components.responses.setdefault(name, refusal) == refusal
            responses[str(status)] = _ref("responses", name) if shared else refusal
        return responses

    def _answers(self, method: str) -> Iterator[tuple[type[BaseException], Answer]]:
        settings = self._resource.settings
        refusals = _REFUSALS[method]
        if settings.require_json and method not in self._resource.views["avatar"]:
            refusals = (*refusals, MediaTypeError)
        for error, answer in ANSWERS.items():
            if issubclass(error, RefusalError) and error not in refusals:
                continue
            if error is UserInactiveError and not settings.require_active:
                continue
            yield error, answer

    def _refusal(self, status: int, answers: list[tuple[type[BaseException], Answer]]) -> _Json:
        examples: _Json = {}
        schemas: list[_Json] = []
        for error, answer in answers:
            # A method that is no profile's, and a type that nothing here is read as.
            body = json.loads(answer.render(method="TRACE", media_type="text/plain"))
            text = {"type": "string"}
            schema = {
                "type": "object",
                "properties": dict.fromkeys(body, text),
                "required": [*body],
            }
            if error is InvalidError:
                body = {next(iter(self._patch["properties"]), "id"): ["Not a valid value."]}
                schema = {"type": "object"}
            said = answer.reason or str(next(iter(body.values())))
            name = re.sub(r"\W+", "_", said).strip("_").lower()
            examples[name] = {"summary": said, "value": body}
            if schema not in schemas:
                schemas.append(schema)
        content = {"schema": {"anyOf": schemas}, "examples": examples}
        return {"description": HTTPStatus(status).phrase, "content": {_JSON: content}} | (
            {"headers": _header(_HEADERS[status])} if status in _HEADERS else {}
        )

    def _shown(self) -> _Json:
        schema = type(self._resource.schema)()
        _describe_shown(schema, self._mapper())
        shown: _Json = self._converter.fields2jsonschema(schema.dump_fields)
        shown.pop("required", None)
        if sends_as_declared(schema):
            shown["required"] = [*shown["properties"]]
        self._spec.components.schema(self._name, shown)
        return shown

    def _written(self) -> _Json:
        from .editing import Editor

        query = self._resource.query
        editor = Editor(self._app, query, self._resource.schema)
        writable = {
            name: field
            for name, field in editor.schema.load_fields.items()
            if (field.data_key or name) not in editor.read_only
        }
        for name, field in writable.items():
            declared = getattr(query.mapper.columns.get(field.attribute or name), "type", None)
            length = getattr(declared, "length", None)
            if isinstance(field, fields.String):
                field.metadata = {"pattern": _STORABLE, **field.metadata}
                if length:
                    field.validators = [*field.validators, validate.Length(max=length)]
            elif isinstance(declared, Integer) and isinstance(field, fields.Integer):
                limit = integer_limit(declared, query.dialect)
                within = validate.Range(min=-limit, max=limit - 1)
                field.validators = [*field.validators, within]
        written: _Json = self._converter.fields2jsonschema(writable, partial=True)
        written["properties"] |= self._token
        written["additionalProperties"] = False
        self._spec.components.schema(f"{self._name}Patch", written)
        return written

    def _mapper(self) -> Mapper[Any] | None:
        """Return the mapper of the users, if the host's own loader is not all that knows them."""
        try:
            return self._resource.query.mapper
        except ConfigurationError:
            if self._by_host:
                return None
            raise

    def _example(self, schema: _Json, name: str = "") -> Any:
        """Return a value that a schema admits, for the twelve fields one that tells."""
        if "enum" in schema:
            return schema["enum"][0]
        if "anyOf" in schema:  # A nested schema, or null.
            return None if {"type": "null"} in schema["anyOf"] else {}
        types = schema.get("type")
        type_ = types[0] if isinstance(types, list) else types
        if type_ == "object":
            properties = schema.get("properties", {})
            return {key: self._example(value, key) for key, value in properties.items()}
        if isinstance(_EXAMPLES.get(name), _TYPES.get(type_, ())):
            return _EXAMPLES[name]
        return _EXAMPLES.get(schema.get("format", type_), _EXAMPLES.get(type_))


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _header(name: str) -> _Json:
    return {name: {"required": True, "schema": {"type": "string"}}}


def _describe_shown(
    schema: Schema, mapper: Mapper[Any] | None, outer: frozenset[type] = frozenset()
) -> None:
    """Let the fields of a schema say which type they send, and whether it may be null."""
    for name, field in schema.dump_fields.items():
        attribute = field.attribute or name
        column = mapper.columns.get(attribute) if mapper else None
        of_file = isinstance(field, MediaUrl)
        field.allow_none = of_file or not isinstance(column, Column) or bool(column.nullable)
        if isinstance(field, Identifier):
            of_integers = isinstance(column, Column) and isinstance(column.type, Integer)
            field.metadata = {"type": "integer" if of_integers else "string", **field.metadata}
        elif isinstance(field, UtcDateTime):
            field.metadata = {"type": "string", "format": "date-time", **field.metadata}
        elif of_file:
            field.metadata = {"type": "string", "format": "uri-reference", **field.metadata}
        inner = field
        if isinstance(field, fields.List):
            inner = field.inner
            inner.allow_none = True
        if isinstance(inner, fields.Nested) and type(inner.schema) not in outer:
            related = mapper.relationships.get(attribute) if mapper else None
            nested = related.mapper if related else None
            _describe_shown(inner.schema, nested, outer | {type(schema)})
