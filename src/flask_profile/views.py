"""Make the response to a request: dispatch, authentication, and the views of the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request
from flask.views import MethodView
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .auth import verify_identity
from .bodies import limit_body
from .conditions import make_conditional, require_match
from .contention import is_contention
from .error_responses import FAILURE, UNAVAILABLE, ErrorResponse, response_to
from .errors import (
    RefusalError,
    UnavailableError,
    UnsupportedMediaTypeError,
    UserInactiveError,
    UserNotFoundError,
)
from .routing import allowed_methods

if TYPE_CHECKING:
    from flask import Response

    from .attempts import Attempts
    from .resource import Endpoint


class AuthenticationError(Exception):
    """The token is refused, or its verification has failed. The cause is the original exception.

    It marks the exceptions of the verification, because a schema may raise the same classes.
    """


class AuthenticatedView(MethodView):
    """A URL whose methods require a token.

    A subclass has a method for each HTTP method, which calls ``authenticate`` or ``verify``.

    Args:
        endpoint: The endpoint, which says which of the methods are enabled.
    """

    init_every_request = False
    # The methods that need a fresh token.
    fresh_methods: frozenset[str] = frozenset()

    def __init__(self, endpoint: Endpoint) -> None:
        self.resource = endpoint.resource
        self.responder = endpoint.resource.responder
        # Looked up here, not by the text that a client sends: DISPATCH_REQUEST is not a method.
        self._handlers = {method: getattr(self, method.lower()) for method in endpoint.methods}

    def dispatch_request(self, **_url_values: object) -> Response:
        """Return the response to the current request, also for most exceptions."""
        if request.method == "OPTIONS":
            return self.responder.options(_allowed_methods())
        handler = self._handlers.get(request.method)
        if handler is None:
            error = MethodNotAllowed(sorted(_allowed_methods()))
            return self.responder.error(error, response_to(error))
        if request.method in {"PATCH", "PUT"} or self.resource.tokens_may_be_in_bodies:
            limit_body(self.max_content_length())
        try:
            response: Response = handler()
        except AuthenticationError as failure:
            cause = failure.__cause__
            if not isinstance(cause, Exception) or isinstance(cause, HTTPException):
                raise cause or failure from None  # A callback of the host aborted the request.
            return self.responder.error(cause, _row(cause, response_to(cause)))
        except (RefusalError, UserNotFoundError, UserInactiveError, UnavailableError) as error:
            return self.responder.error(error, response_to(error))
        except Exception as error:
            return self.responder.error(error, _row(error, FAILURE))
        return response

    def verify(self) -> tuple[object, Any]:
        """Verify the token, and return its identity and the user that the host has loaded for it.

        The user is None if the host has no ``user_lookup_loader``.

        Raises:
            AuthenticationError: If the token is refused, or its verification fails.
            UserInactiveError: If the host has loaded a user who is not active.
        """
        try:
            load_user = self.resource.load_user_by_host  # May raise, for any token.
            identity = verify_identity(fresh=request.method in self.fresh_methods)
            user = load_user() if load_user else None
        except Exception as error:
            raise AuthenticationError from error
        if user is not None:
            self.resource.require_active(user)
        return identity, user

    def authenticate(self) -> tuple[object, Any]:
        """Verify the token, and return its identity and its user.

        Raises:
            AuthenticationError: As ``verify`` does.
            UnsupportedMediaTypeError: If the host requires JSON, and the body is not JSON.
            UserNotFoundError: If the user is not in the database.
            UserInactiveError: If the user is not active.
        """
        identity, user = self.verify()
        self.require_media_type()
        return identity, self.require_user(identity, user)

    def require_user(self, identity: object, user: Any) -> Any:
        """Return the user of a verified token, without taking a lock.

        Args:
            identity: The identity of the token.
            user: The user that the host has loaded, or None.

        Raises:
            UserNotFoundError: If the user is not in the database.
            UserInactiveError: If the user is not active.
        """
        if user is None:
            user = self.resource.query.load(identity)
            self.resource.require_active(user)
        return user

    def begin_attempts(self) -> Attempts:
        """Return the attempts of this request. Must be called before the token is verified."""
        from .attempts import Attempts

        return Attempts(self.resource.changes.lock, self.verify)

    def max_content_length(self) -> int:
        """Return how many bytes of a body may be read."""
        return self.resource.settings.max_content_length

    def require_media_type(self) -> None:
        """Raise UnsupportedMediaTypeError if the host requires JSON, and the body is not JSON."""
        has_body = request.method in {"PATCH", "POST"}
        if has_body and self.resource.settings.require_json and not request.is_json:
            raise UnsupportedMediaTypeError


class ProfileView(AuthenticatedView):
    """The profile of the token's user."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.fresh_methods = endpoint.resource.settings.methods_with_fresh_token

    def post(self) -> Response:
        """Return the profile."""
        _, user = self.authenticate()
        return self.responder.json(self.resource.dump(user))

    def get(self) -> Response:
        """Return the profile with its ETag, or a 304 if the client already has it."""
        response = self.post()
        response.headers["Cache-Control"] = "private, no-cache"
        response.add_etag()
        require_match(response)
        make_conditional(response)
        return response

    head = get

    def patch(self) -> Response:
        """Apply a merge patch and return the new profile.

        The body is read before the token is verified, so that a transaction of a callback does not
        wait for a slow client. Errors of the token and the user come before those of the body.
        """
        attempts = self.begin_attempts()
        editor = self.resource.changes.editor
        reader = editor.patch
        body = reader.read_body()
        identity, user = self.verify()
        try:
            patch = reader.parse(body)
        except RefusalError:
            self.require_user(identity, user)
            raise
        return attempts.run(editor.make_change(patch), identity, user)[0]

    def delete(self) -> Response:
        """Delete or deactivate the account."""
        attempts = self.begin_attempts()
        deletion = self.resource.changes.deletion
        identity, user = self.verify()
        attempts.run(deletion, identity, user)
        return self.responder.no_content()


def _row(error: Exception, row: ErrorResponse) -> ErrorResponse:
    """Return the given row, or the one for a busy database if that caused the error."""
    return UNAVAILABLE if is_contention(error) else row


def _allowed_methods() -> set[str]:
    return allowed_methods(request.url_rule) if request.url_rule else set()
