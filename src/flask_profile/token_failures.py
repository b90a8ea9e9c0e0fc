"""Classify the exceptions of a verification: a refused token, or a failure of the host.

Flask-JWT-Extended and PyJWT let exceptions through that the client has caused, such as a
ValueError for a header of commas. The host's callbacks and the host's keys may raise the same
classes. The traceback shows where an exception comes from. Without that, a client could cause 500
responses, or an outage of the host's key server would refuse all tokens.
"""

from __future__ import annotations

import json
from itertools import pairwise
from traceback import walk_tb
from types import FrameType, ModuleType

import jwt
from flask import current_app
from flask_jwt_extended import decode_token, internal_utils, jwt_manager
from flask_jwt_extended.exceptions import NoAuthorizationError
from jwt import DecodeError, InvalidKeyError, PyJWKClient, PyJWKClientError, PyJWKSetError
from jwt import algorithms as jwt_algorithms
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request

from .bodies import too_large
from .errors import UnknownKeyError

# The exceptions of code that gets unexpected input.
_PARSING_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
# The exceptions of a ``decode_key_loader`` that cannot fetch or read keys.
_OUTAGES = (OSError, json.JSONDecodeError, jwt.PyJWKClientConnectionError, PyJWKSetError)
# The methods of PyJWT that fetch and read a set of keys, before a key is looked for in it.
_CODES_OF_KEY_SETS = {
    PyJWKClient.get_signing_keys.__code__,
    PyJWKClient.get_jwk_set.__code__,
    PyJWKClient.fetch_data.__code__,
}
_LIBRARIES = ("flask_jwt_extended.", "jwt.")


def explain_failure(error: Exception) -> Exception:
    """Return the exception whose response an exception of a verification gets.

    Args:
        error: The exception that ``verify_jwt_in_request`` raised.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if _is_in_key_loader(frames):
        return _explain_key_loader(error, frames)
    if any(_is_function(frame, jwt_algorithms, "prepare_key") for frame in frames):
        _log_key_failure("The key that verifies tokens cannot be used", error)
        return InvalidKeyError("The key does not fit the algorithm")
    modules = {_module(frame) for frame in frames}
    is_of_body = Request.__module__ in modules
    if is_of_body and isinstance(error, RequestEntityTooLarge):
        return too_large()
    # For an incomplete body, each WSGI server raises exceptions of its own.
    if not (is_of_body or isinstance(error, (*_PARSING_ERRORS, HTTPException))):
        return error
    if internal_utils.__name__ in modules:
        return error  # This module calls the host's other callbacks, only for a verified token.
    if any(frame.f_code is decode_token.__code__ for frame in frames):
        return DecodeError("The token is malformed")
    return NoAuthorizationError("No token can be read")


def _explain_key_loader(error: Exception, frames: list[FrameType]) -> Exception:
    """Classify an exception of the host's ``decode_key_loader``.

    A client can cause most of them, with an unknown ``kid``.
    """
    if isinstance(error, _OUTAGES):
        return error
    if any(frame.f_code in _CODES_OF_KEY_SETS for frame in frames):
        return PyJWKSetError(str(error)) if isinstance(error, PyJWKClientError) else error
    _log_key_failure("The decode_key_loader of this app failed", error)
    return UnknownKeyError()


def _is_in_key_loader(frames: list[FrameType]) -> bool:
    """Tell whether Flask-JWT-Extended's manager has called a function that is not a library's."""
    called = [
        _module(frame)
        for caller, frame in pairwise([*frames, None])
        if _module(caller) == jwt_manager.__name__
    ]
    return bool(called) and not called[-1].startswith(_LIBRARIES)


def _log_key_failure(message: str, error: Exception) -> None:
    """Log one line, because any client can send such tokens, and the traceback at debug level."""
    reason = repr(str(error))[:100]
    current_app.logger.warning("%s: %s(%s)", message, type(error).__name__, reason)
    current_app.logger.debug(message, exc_info=error)


def _is_function(frame: FrameType, module: ModuleType, name: str) -> bool:
    return _module(frame) == module.__name__ and frame.f_code.co_name == name


def _module(frame: FrameType | None) -> str:
    return frame.f_globals["__name__"] if frame else ""
