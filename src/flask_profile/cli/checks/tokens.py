"""Checks of access tokens: the key that verifies them, and cookies that contain them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jwt
from flask_jwt_extended.config import config as jwt_config
from flask_jwt_extended.default_callbacks import default_decode_key_callback

from ...auth import has_user_loader
from ...errors import ConfigurationError
from ...resource import registered_endpoints
from .problem import Problem

if TYPE_CHECKING:
    from flask import Flask

_GENERATE_KEY = (
    "Generate a secret, and keep it out of the code:\n\n"
    "    python -c 'import secrets; print(secrets.token_hex(32))'"
)
# RFC 7518 sections 3.2, 3.3 and 3.5. The keys of other algorithms have a fixed size.
_MINIMUM_KEY_BITS = {"HS256": 256, "HS384": 384, "HS512": 512} | dict.fromkeys(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), 2048
)


def check_tokens(app: Flask) -> Iterator[Problem]:
    """Yield the problems of the app's configuration of Flask-JWT-Extended."""
    try:
        has_user_loader()
    except ConfigurationError as error:
        yield Problem("no_jwt_manager", str(error))
        return
    if "cookies" in jwt_config.token_location:
        yield from _check_cookies(app)
    if not _has_decode_key_loader(app):
        yield from _check_key()


def _check_cookies(app: Flask) -> Iterator[Problem]:
    """Yield the problems of tokens in cookies, which browsers send for any website."""
    methods = {method for _, endpoint in registered_endpoints(app) for method in endpoint.methods}
    unprotected = sorted(methods - {"GET", "HEAD"} - {*jwt_config.csrf_request_methods})
    if not jwt_config.cookie_csrf_protect:
        yield Problem(
            "no_csrf",
            "Tokens are read from cookies, without protection against cross-site request forgery "
            "(CSRF): any website can change the profile of its visitors. Write:\n\n"
            '    app.config["JWT_COOKIE_CSRF_PROTECT"] = True',
        )
    elif unprotected:
        yield Problem(
            "no_csrf",
            "Tokens are read from cookies, and these methods are not protected against cross-site "
            f"request forgery (CSRF): {', '.join(unprotected)}. Write:\n\n"
            '    app.config["JWT_CSRF_METHODS"] = ["POST", "PUT", "PATCH", "DELETE"]',
        )
    if not jwt_config.cookie_secure:
        yield Problem(
            "insecure_cookie",
            "Tokens are read from cookies, and browsers may send these without encryption. For "
            'production, write:\n\n    app.config["JWT_COOKIE_SECURE"] = True',
            level="warning",
        )


def _has_decode_key_loader(app: Flask) -> bool:
    """Tell whether the app has a ``decode_key_loader``, with an undocumented attribute.

    The key that the loader returns depends on the token, so it cannot be checked here. Without
    this function, an app with such a loader and no secret would be reported as ``no_secret``.
    """
    manager = app.extensions["flask-jwt-extended"]
    return manager._decode_key_callback is not default_decode_key_callback


def _check_key() -> Iterator[Problem]:
    try:
        key = jwt_config.decode_key
    except RuntimeError as error:
        yield Problem("no_secret", f"No token can be verified: {error}. {_GENERATE_KEY}")
        return
    for algorithm in jwt_config.decode_algorithms:
        yield from _check_key_for(algorithm, key)


def _check_key_for(algorithm: str, key: Any) -> Iterator[Problem]:
    try:
        prepared: Any = jwt.get_algorithm_by_name(algorithm).prepare_key(key)
    except (NotImplementedError, TypeError, ValueError, jwt.PyJWTError) as error:
        message = f"No {algorithm} token can be verified with the key of this app: {error}"
        yield Problem("wrong_key", message)
        return
    minimum = _MINIMUM_KEY_BITS.get(algorithm)
    if minimum is None:
        return
    is_secret = isinstance(prepared, bytes)
    bits = len(prepared) * 8 if is_secret else prepared.key_size
    if bits < minimum:
        message = (
            f"The key of this app has {bits} bits, but {algorithm} requires {minimum} (RFC 7518). "
            "Anybody who guesses the key can act as any user."
        )
        yield Problem("weak_secret", f"{message} {_GENERATE_KEY}" if is_secret else message)
