"""From a request to the verified identity in its token, by Flask-JWT-Extended alone."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, cast

from flask import current_app, request
from flask_jwt_extended import decode_token, internal_utils, verify_jwt_in_request
from flask_jwt_extended.exceptions import InvalidHeaderError, NoAuthorizationError
from jwt import DecodeError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .errors import ConfigurationError

# What code raises for input that it did not expect.
_PARSING_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def token_headers(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the request headers that tokens are read from."""
    locations = config.get("JWT_TOKEN_LOCATION", ())
    names = {"headers": config.get("JWT_HEADER_NAME", ""), "cookies": "Cookie"}
    return [name for location, name in names.items() if location in locations]


def has_user_loader() -> bool:
    """Tell whether the app's JWTManager has a ``user_lookup_loader``.

    Raises:
        ConfigurationError: Where the app has no JWTManager.
    """
    if "flask-jwt-extended" not in current_app.extensions:
        message = (
            "This app has no JWTManager to verify access tokens with. Where the app is made, "
            "write:\n\n    JWTManager(app)"
        )
        raise ConfigurationError(message)
    return internal_utils.has_user_lookup()


def verify_identity() -> object:
    """Verify the request's access token and return its identity.

    Raises:
        JWTExtendedException, PyJWTError: For any token that is missing or not valid.
        Exception: Whatever else a callback of the host raises.
    """
    try:
        verified = verify_jwt_in_request()
    except NoAuthorizationError as error:
        if _header_has_scheme():
            raise InvalidHeaderError(str(error)) from error
        raise
    except Exception as error:
        refusal = _refusal_by_traceback(error)
        if refusal is None:
            raise
        raise refusal from error
    claims = cast("tuple[object, dict[str, object]]", verified)[1]
    return claims[current_app.config["JWT_IDENTITY_CLAIM"]]


def _header_has_scheme() -> bool:
    """Tell whether the header begins with ``Bearer``, so that only what follows is wrong."""
    config = current_app.config
    if "headers" not in config["JWT_TOKEN_LOCATION"]:
        return False
    header: str = request.headers.get(config["JWT_HEADER_NAME"], "")
    return header.split()[:1] == [config["JWT_HEADER_TYPE"]]


def _refusal_by_traceback(error: Exception) -> Exception | None:
    """Return the refusal that an unexpected exception means, or None for a failure of the host.

    Flask-JWT-Extended and PyJWT let a few exceptions through that only the client is to blame for,
    such as a ValueError for a header of commas. A callback of the host may raise the same classes,
    and the modules in the traceback tell who raised it. Without this, a client could cause 500s.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    modules = {frame.f_globals["__name__"] for frame in frames}
    # For a body that breaks off, each WSGI server raises exceptions of its own.
    is_of_body = Request.__module__ in modules
    if not (is_of_body or isinstance(error, (*_PARSING_ERRORS, HTTPException))):
        return None
    if internal_utils.__name__ in modules:
        return None  # It calls the host's callbacks, and only for a verified token.
    if any(frame.f_code is decode_token.__code__ for frame in frames):
        return DecodeError("The token is malformed")
    return NoAuthorizationError("No token can be read")
