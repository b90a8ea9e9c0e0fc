"""Verify the token of a request with Flask-JWT-Extended, and return its identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import current_app, request
from flask_jwt_extended import (
    get_jwt_request_location,
    internal_utils,
    verify_jwt_in_request,
)
from flask_jwt_extended.exceptions import InvalidHeaderError, NoAuthorizationError

from .bodies import is_cut, too_large
from .errors import ConfigurationError
from .token_failures import explain_failure


def token_headers(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the request headers that tokens are read from."""
    locations = config.get("JWT_TOKEN_LOCATION", ())
    names = {"headers": config.get("JWT_HEADER_NAME", ""), "cookies": "Cookie"}
    return [name for location, name in names.items() if location in locations]


def has_user_loader() -> bool:
    """Tell whether the app's JWTManager has a ``user_lookup_loader``.

    Raises:
        ConfigurationError: If the app has no JWTManager.
    """
    if "flask-jwt-extended" not in current_app.extensions:
        message = (
            "This app has no JWTManager to verify access tokens. Where you create the app, "
            "write:\n\n    JWTManager(app)"
        )
        raise ConfigurationError(message)
    return internal_utils.has_user_lookup()


def verify_identity(*, fresh: bool) -> object:
    """Verify the request's access token and return its identity.

    Args:
        fresh: Whether the token must be fresh.

    Raises:
        JWTExtendedException, PyJWTError: For any token that is missing or not valid.
        BodyTooLargeError: If the body, from which the token would be read, is too large.
        Exception: Any other exception that a callback of the host raises.
    """
    try:
        verified = verify_jwt_in_request(fresh=fresh)
    except Exception as error:
        explained = explain_failure(error)
        if isinstance(explained, NoAuthorizationError):
            if _header_has_scheme():
                explained = InvalidHeaderError(str(error))
            elif _token_is_in_cut_body():
                explained = too_large()
        if explained is error:
            raise
        raise explained from error
    if get_jwt_request_location() == "json" and is_cut(request.get_data()):
        raise too_large()
    claims = cast("tuple[object, dict[str, object]]", verified)[1]
    return claims[current_app.config["JWT_IDENTITY_CLAIM"]]


def _token_is_in_cut_body() -> bool:
    """Tell whether the body may contain a token, but has an unknown length and is too large."""
    is_read = "json" in current_app.config["JWT_TOKEN_LOCATION"] and request.is_json
    try:
        return is_read and is_cut(request.get_data())
    except Exception:  # It is incomplete.
        return False


def _header_has_scheme() -> bool:
    """Tell whether the header begins with ``Bearer``, so that only its rest is wrong."""
    config = current_app.config
    if "headers" not in config["JWT_TOKEN_LOCATION"]:
        return False
    header: str = request.headers.get(config["JWT_HEADER_NAME"], "")
    return header.split()[:1] == [config["JWT_HEADER_TYPE"]]
