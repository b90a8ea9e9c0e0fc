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

from .settings import ConfigurationError

# What code raises for input that it did not expect.
_PARSING = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def token_headers(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the request headers that a token is read from."""
    locations = config.get("JWT_TOKEN_LOCATION", ())
    names = {"headers": config.get("JWT_HEADER_NAME", ""), "cookies": "Cookie"}
    return [name for location, name in names.items() if location in locations]


def has_user_loader() -> bool:
    """Tell whether the app's JWTManager, which it has to have, has a user_lookup_loader."""
    if "flask-jwt-extended" not in current_app.extensions:
        message = (
            "This app has no JWTManager to verify access tokens with. Where the app is made, "
            "write:\n\n    JWTManager(app)"
        )
        raise ConfigurationError(message)
    return internal_utils.has_user_lookup()


def verified_identity() -> object:
    """Verify the request's access token and return the identity that it names.

    Whatever a client sends is refused with an exception of Flask-JWT-Extended or PyJWT, which let
    a few others through (for a header of commas, a JSON body that is a list, …).
    """
    try:
        verified = verify_jwt_in_request()
    except NoAuthorizationError as error:
        if _names_scheme():
            raise InvalidHeaderError(str(error)) from error
        raise
    except Exception as error:
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        modules = {frame.f_globals["__name__"] for frame in frames}
        reading = Request.__module__ in modules  # A server raises what it likes for a broken body.
        if not (reading or isinstance(error, (*_PARSING, HTTPException))):
            raise
        if internal_utils.__name__ in modules:
            raise  # From a callback of the host, which is only asked of a verified token.
        if any(frame.f_code is decode_token.__code__ for frame in frames):
            raise DecodeError("The token is malformed") from error
        raise NoAuthorizationError("No token can be read") from error
    claims = cast("tuple[object, dict[str, object]]", verified)[1]
    return claims[current_app.config["JWT_IDENTITY_CLAIM"]]


def _names_scheme() -> bool:
    """Tell whether the header says ``Bearer``, so that its tokens are too many."""
    config = current_app.config
    if "headers" not in config["JWT_TOKEN_LOCATION"]:
        return False
    header: str = request.headers.get(config["JWT_HEADER_NAME"], "")
    return header.split()[:1] == [config["JWT_HEADER_TYPE"]]
