"""Make the responses of a profile: their headers, and the responses to exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flask import got_request_exception, request
from werkzeug.exceptions import MethodNotAllowed

from .auth import token_headers
from .bodies import PATCH_TYPES
from .error_responses import FAILURE, UNAVAILABLE, ErrorResponse
from .errors import (
    BodyTooLargeError,
    InvalidFieldsError,
    UnavailableError,
    UnsupportedMediaTypeError,
)

if TYPE_CHECKING:
    from flask import Flask, Response

    from .settings import Settings


class Responder:
    """Makes the responses of one registered profile.

    Args:
        app: The app that the profile is registered on.
        settings: The settings of the profile.
    """

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._realm = settings.realm

    @cached_property
    def _headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store"}
        names = token_headers(self._app.config)
        return headers | ({"Vary": ", ".join(names)} if names else {})

    @cached_property
    def _scheme(self) -> str:
        """The authentication scheme of the header, which a host can change."""
        scheme: str = self._app.config.get("JWT_HEADER_TYPE") or "Bearer"
        return scheme

    def json(self, body: str, status: int = 200) -> Response:
        """Return a response with a JSON text."""
        return self._app.response_class(body, status, self._headers, mimetype="application/json")

    def no_content(self) -> Response:
        """Return a 204 response."""
        response = self.json("", 204)
        del response.headers["Content-Type"]
        return response

    def options(self, methods: Iterable[str]) -> Response:
        """Return the response to OPTIONS, with the methods of the URL."""
        response = self._app.response_class(headers=self._headers)
        del response.headers["Content-Type"]  # There is no body.
        response.allow.update(sorted(methods))
        if "PATCH" in response.allow:
            response.headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
        return response

    def error(self, error: Exception, row: ErrorResponse) -> Response:
        """Return the response to an exception. An unexpected one is reported, or propagates.

        Args:
            error: The exception.
            row: Its row of the table of responses.
        """
        if row is FAILURE:
            self._report(error)
        if row is UNAVAILABLE:
            self._app.logger.warning("The profile is temporarily unavailable: %s", _describe(error))
        if row.advice and self._app.debug:
            self._app.logger.warning(row.advice)
        limit = error.limit if isinstance(error, BodyTooLargeError) else 0
        media_type = request.content_type or ""
        body = row.render(method=request.method, media_type=media_type, limit=limit)
        if isinstance(error, InvalidFieldsError):
            body = json.dumps(error.messages, default=str)
        response = self.json(body, row.status)
        if row.status == 401:
            response.headers["WWW-Authenticate"] = row.challenge(self._scheme, self._realm)
        if row is UNAVAILABLE:
            response.headers["Retry-After"] = "1"
        if isinstance(error, UnsupportedMediaTypeError) and request.method == "PATCH":
            response.headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
        if isinstance(error, MethodNotAllowed):
            response.allow.update(error.valid_methods or ())
        return response

    def _report(self, error: Exception) -> None:
        """Do what Flask does with an unhandled exception, except for its response."""
        propagate = self._app.config["PROPAGATE_EXCEPTIONS"]
        if propagate or (propagate is None and (self._app.testing or self._app.debug)):
            raise error
        got_request_exception.send(self._app, _async_wrapper=self._app.ensure_sync, exception=error)
        information: Any = (type(error), error, error.__traceback__)
        self._app.log_exception(information)


def _describe(error: Exception) -> str:
    """Return one line about an error of the database, without the statement and its values."""
    cause = error.__cause__ or error if isinstance(error, UnavailableError) else error
    original = getattr(cause, "orig", None) or cause
    return f"{type(original).__name__}: {original}".partition("\n")[0]
