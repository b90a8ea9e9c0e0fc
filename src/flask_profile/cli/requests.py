"""Build the request that reads a profile, with the token in the location that the app uses."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click
from flask import current_app, url_for
from flask_jwt_extended import get_csrf_token
from flask_jwt_extended.config import config as jwt_config
from werkzeug.routing import BuildError

if TYPE_CHECKING:
    from werkzeug.routing import Rule

    from .profiles import RegisteredProfile

# An empty merge patch returns the profile too.
_READING_METHODS = ("POST", "GET", "PATCH")


@dataclass(frozen=True)
class ClientRequest:
    """A request. The attributes are arguments of Werkzeug's test client.

    Args:
        method: The HTTP method.
        path: The URL.
        headers: The headers.
        data: The body, if there is one.
    """

    method: str
    path: str
    headers: dict[str, str]
    data: str | None

    def curl(self) -> str:
        """Return the command that sends the request, quoted for a shell."""
        command = ["curl", "-X", self.method, self.path]
        for name, value in self.headers.items():
            command += ["-H", f"{name}: {value}"]
        if self.data is not None:
            command += ["-d", self.data]
        return shlex.join(command)


def reading_method(profile: RegisteredProfile) -> str:
    """Return the method that reads a profile.

    Args:
        profile: The profile.

    Raises:
        click.ClickException: If it has none.
    """
    for method in _READING_METHODS:
        if method in profile.endpoint.methods:
            return method
    raise click.ClickException(
        "This profile cannot be read. Enable a method that reads it:\n\n"
        '    app.config["PROFILE_METHODS"] = ["POST", "DELETE"]'
    )


def build_request(profile: RegisteredProfile, token: str) -> ClientRequest:
    """Return the request that reads a profile, with the token in the app's first location.

    Args:
        profile: The profile.
        token: The access token.

    Raises:
        click.ClickException: If the profile cannot be read, or its URL has variable parts.
    """
    method = reading_method(profile)
    body = "{}" if method == "PATCH" else None
    url = _build_url(profile.rule)
    request = ClientRequest(method, url, {"Content-Type": "application/json"}, body)
    location = next(iter(jwt_config.token_location))
    return _ADD_TOKEN[location](request, token)


def _build_url(rule: Rule) -> str:
    app = current_app
    try:
        if app.config["SERVER_NAME"]:
            return url_for(rule.endpoint, _external=True)
        port = os.environ.get("FLASK_RUN_PORT", "5000")
        with app.test_request_context(base_url=f"http://127.0.0.1:{port}"):
            return url_for(rule.endpoint, _external=True)
    except BuildError as error:
        raise click.ClickException(f"The URL {rule.rule} has variable parts.") from error


def _add_to_header(request: ClientRequest, token: str) -> ClientRequest:
    value = f"{jwt_config.header_type} {token}".strip()
    return replace(request, headers={**request.headers, jwt_config.header_name: value})


def _add_to_cookies(request: ClientRequest, token: str) -> ClientRequest:
    headers = {**request.headers, "Cookie": f"{jwt_config.access_cookie_name}={token}"}
    if jwt_config.cookie_csrf_protect and request.method in jwt_config.csrf_request_methods:
        headers[jwt_config.access_csrf_header_name] = get_csrf_token(token)
    return replace(request, headers=headers)


def _add_to_query_string(request: ClientRequest, token: str) -> ClientRequest:
    value = f"{jwt_config.query_string_value_prefix}{token}"
    query = urlencode({jwt_config.query_string_name: value})
    return replace(request, path=f"{request.path}?{query}")


def _add_to_body(request: ClientRequest, token: str) -> ClientRequest:
    return replace(request, data=json.dumps({jwt_config.json_key: token}))


# How to add the token for each location of JWT_TOKEN_LOCATION.
_ADD_TOKEN: dict[str, Callable[[ClientRequest, str], ClientRequest]] = {
    "headers": _add_to_header,
    "cookies": _add_to_cookies,
    "query_string": _add_to_query_string,
    "json": _add_to_body,
}
