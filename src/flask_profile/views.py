"""From a request to a response: dispatch, authentication, and the views of the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request
from flask.views import MethodView
from marshmallow.utils import get_value
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .auth import verify_identity
from .bodies import limit_body
from .conditions import make_conditional, require_match
from .errors import (
    FAILURE,
    RefusalError,
    UnsupportedMediaTypeError,
    UserInactiveError,
    UserNotFoundError,
    response_to,
)
from .routing import allowed_methods

if TYPE_CHECKING:
    from flask import Response

    from .resource import Endpoint


class AuthenticatedView(MethodView):
    """A URL whose methods are called for a verified identity and its user.

    A subclass has a method for each HTTP method, from ``identity`` and ``user`` to a response.

    Args:
        endpoint: The endpoint, which says which of the methods are enabled.
    """

    init_every_request = False

    def __init__(self, endpoint: Endpoint) -> None:
        self.resource = endpoint.resource
        self.responder = endpoint.resource.responder
        # Looked up here, not by what a client sends: DISPATCH_REQUEST is no method.
        self._handlers = {method: getattr(self, method.lower()) for method in endpoint.methods}

    def dispatch_request(self, **_url_values: object) -> Response:
        """Return the response to the current request; most exceptions become one, too."""
        if request.method == "OPTIONS":
            return self.responder.options(_allowed_methods())
        handler = self._handlers.get(request.method)
        if handler is None:
            error = MethodNotAllowed(sorted(_allowed_methods()))
            return self.responder.error(error, response_to(error))
        limit_body(self.max_content_length())
        try:
            identity, user = self._authenticate()
        except HTTPException:
            raise  # A callback of the host aborted the request.
        except Exception as error:
            return self.responder.error(error, response_to(error))
        try:
            response: Response = handler(identity, user)
        except (RefusalError, UserNotFoundError, PoolTimeoutError) as error:
            return self.responder.error(error, response_to(error))
        except Exception as error:  # From here on, no exception is about the token.
            return self.responder.error(error, FAILURE)
        return response

    def _authenticate(self) -> tuple[object, Any]:
        """Return the identity of the token and its user, or raise why there is none."""
        load_user = self.resource.load_user  # May raise ConfigurationError, for any token.
        identity = verify_identity()
        self.require_media_type()
        user = load_user(identity)
        if self.resource.settings.require_active and not get_value(user, "is_active"):
            raise UserInactiveError
        return identity, user

    def render_edited(self, user: Any) -> Response:
        """Return the profile of a user that is being edited, with its ETag."""
        response = self.responder.json(self.resource.dump(user))
        response.add_etag()
        return response

    def max_content_length(self) -> int:
        """Return the bytes of a body that may be read."""
        return self.resource.settings.max_content_length

    def require_media_type(self) -> None:
        """Raise UnsupportedMediaTypeError where the host requires JSON and it is something else."""
        has_body = request.method in {"PATCH", "POST"}
        if has_body and self.resource.settings.require_json and not request.is_json:
            raise UnsupportedMediaTypeError


class ProfileView(AuthenticatedView):
    """The profile of the token's user."""

    def post(self, _identity: object, user: Any) -> Response:
        """Return the profile."""
        return self.responder.json(self.resource.dump(user))

    def get(self, identity: object, user: Any) -> Response:
        """Return the profile with its ETag, or 304 where the client has it already."""
        response = self.post(identity, user)
        response.headers["Cache-Control"] = "private, no-cache"
        response.add_etag()
        require_match(response)
        make_conditional(response)
        return response

    head = get

    def patch(self, identity: object, user: Any) -> Response:
        """Apply a merge patch and return the new profile."""
        editor = self.resource.editor
        patch = editor.patch.read()
        return editor.change(identity, user, patch, self.render_edited)[0]


def _allowed_methods() -> set[str]:
    return allowed_methods(request.url_rule) if request.url_rule else set()
