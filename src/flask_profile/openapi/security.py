"""The token locations of the app, as security schemes."""

from __future__ import annotations

from collections.abc import Callable

from flask_jwt_extended.config import config as jwt_config

from .objects import JsonObject


def security_schemes(method: str) -> JsonObject:
    """Return the security schemes of a method, by their names."""
    schemes: JsonObject = {}
    for location in jwt_config.token_location:
        schemes |= _SCHEMES[location](method)
    return schemes


def security_requirements(method: str, body: JsonObject) -> list[dict[str, list[str]]]:
    """Return the ways to send a token, each with the names of the schemes that it needs.

    Args:
        method: The method, in capitals.
        body: The description of the request's body. It is empty if there is none.
    """
    return [
        {name: [] for name in _SCHEMES[location](method)}
        for location in jwt_config.token_location
        if location != "json" or body
    ]


def reads_body(method: str) -> bool:
    """Tell whether the app reads the body of a request for a token or a CSRF token."""
    if "json" in jwt_config.token_location:
        return True
    checks_csrf = jwt_config.cookie_csrf_protect and method in jwt_config.csrf_request_methods
    return "cookies" in jwt_config.token_location and checks_csrf and jwt_config.csrf_check_form


def token_property() -> JsonObject:
    """Return the property of a JSON body that has the token, if the app reads it there."""
    if "json" not in jwt_config.token_location:
        return {}
    return {jwt_config.json_key: {"type": "string"}}


def _describe_header(_method: str) -> JsonObject:
    name, prefix = jwt_config.header_name, jwt_config.header_type
    if (name, prefix) == ("Authorization", "Bearer"):
        return {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    scheme = {
        "type": "apiKey",
        "in": "header",
        "name": name,
        "description": f"{prefix} <access token>".strip(),
    }
    return {"access_token_header": scheme}


def _describe_cookie(method: str) -> JsonObject:
    schemes: JsonObject = {"access_token_cookie": _api_key("cookie", jwt_config.access_cookie_name)}
    if jwt_config.cookie_csrf_protect and method in jwt_config.csrf_request_methods:
        schemes["csrf_token"] = _api_key("header", jwt_config.access_csrf_header_name)
    return schemes


def _describe_query(_method: str) -> JsonObject:
    return {"access_token_query": _api_key("query", jwt_config.query_string_name)}


def _describe_json(_method: str) -> JsonObject:
    return {}  # OpenAPI has no scheme for it. The schema of the body has the token.


def _api_key(location: str, name: str) -> dict[str, str]:
    return {"type": "apiKey", "in": location, "name": name}


_SCHEMES: dict[str, Callable[[str], JsonObject]] = {
    "headers": _describe_header,
    "cookies": _describe_cookie,
    "query_string": _describe_query,
    "json": _describe_json,
}
