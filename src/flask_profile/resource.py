"""One registered profile: the objects that depend on its app, created at the first request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from flask.json.provider import DefaultJSONProvider
from flask_jwt_extended import get_current_user
from marshmallow.utils import get_value

from .auth import has_user_loader
from .errors import ConfigurationError, UserInactiveError
from .fields import registered_media_url
from .inspection import inspect_schema, make_schema
from .mapping import is_active, map_attribute
from .queries import ProfileQuery
from .responses import Responder
from .schemas import ProfileSchema
from .settings import Settings

if TYPE_CHECKING:
    from flask import Flask, Response
    from marshmallow import Schema
    from werkzeug.routing import Rule

    from .changes import UserChanges


class Resource:
    """The objects that the views of one registered profile share.

    The properties raise ConfigurationError if the app cannot serve a profile.

    Args:
        app: The app that the profile is registered on.
        settings: The settings of the profile.
    """

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        # The values when the settings were read.
        self.config = {key: app.config.get(key) for key in Settings.by_key()}
        self.responder = Responder(app, settings)
        self._inspected: set[type] = set()
        self._active_attributes: dict[type, str] = {}

    @cached_property
    def schema(self) -> Schema:
        """The schema that dumps the users of this app."""
        return make_schema(self.settings.schema or ProfileSchema)

    @cached_property
    def query(self) -> ProfileQuery:
        """The query that reads the users of this app."""
        db = self.app.extensions.get("sqlalchemy")
        if db is None:
            message = (
                "This app has no SQLAlchemy to read users from. Where you create the app, "
                "write:\n\n    db.init_app(app)"
            )
            raise ConfigurationError(message)
        return ProfileQuery(db, self.schema, self.settings)

    @cached_property
    def changes(self) -> UserChanges:
        """The objects that change the users of this app."""
        from .changes import UserChanges

        return UserChanges(self)

    @cached_property
    def load_user_by_host(self) -> Callable[[], Any] | None:
        """The function that returns the user of the host's ``user_lookup_loader``, or None."""
        if has_user_loader():
            return self._load_by_host
        _ = self.query  # These may raise ConfigurationError, for a read too.
        if self.settings.changes_users:
            self.changes.require_possible()
        return None

    @cached_property
    def tokens_may_be_in_bodies(self) -> bool:
        """Whether the body may contain the token, or the CSRF token of a cookie."""
        locations = self.app.config.get("JWT_TOKEN_LOCATION", ())
        checks_form = bool(self.app.config.get("JWT_CSRF_CHECK_FORM"))
        return "json" in locations or ("cookies" in locations and checks_form)

    def require_active(self, user: Any) -> None:
        """Raise UserInactiveError if the user is not active, and the host requires that."""
        if not self.settings.require_active:
            return
        attribute = self._active_attribute(user)
        value = get_value(user, attribute)
        if value is not True and not is_active(value, attribute):
            raise UserInactiveError

    @cached_property
    def dump(self) -> Callable[[Any], str]:
        """The function that returns the JSON of a user, in the order of the fields."""
        provider = self.app.json
        encode: Callable[[Any], str] = provider.dumps
        if isinstance(provider, DefaultJSONProvider):
            encode = partial(provider.dumps, sort_keys=False)

        return lambda user: encode(self.describe(user))

    def describe(self, user: Any) -> dict[str, Any]:
        """Return the fields of a user, as the schema dumps them."""
        token = registered_media_url.set(self.settings.media_url)
        try:
            return cast("dict[str, Any]", self.schema.dump(user))
        finally:
            registered_media_url.reset(token)

    def render_edited(self, user: Any) -> Response:
        """Return the profile of a user that is being edited, with its ETag."""
        response = self.responder.json(self.dump(user))
        response.add_etag()
        return response

    def _load_by_host(self) -> Any:
        user = get_current_user()
        if type(user) not in self._inspected:
            active = self._active_attribute(user) if self.settings.require_active else None
            inspect_schema(self.schema, user, active)
            self._inspected.add(type(user))
        return user

    def _active_attribute(self, user: Any) -> str:
        """Return the attribute that says whether a user is active."""
        kind = type(user)
        if kind not in self._active_attributes:
            self._active_attributes[kind] = map_attribute(self.schema, "is_active", user)
        return self._active_attributes[kind]


@dataclass(frozen=True)
class Endpoint:
    """One URL of a registered profile.

    Args:
        name: ``"profile"`` or ``"avatar"``.
        methods: The methods that are enabled there, without OPTIONS.
        resource: The registered profile.
    """

    name: str
    methods: tuple[str, ...]
    resource: Resource


_ATTRIBUTE = "flask_profile_endpoint"


def mark_view(view: Callable[..., Any], endpoint: Endpoint) -> None:
    """Attach an endpoint to its view; ``functools.wraps`` copies it to a decorator of the host."""
    setattr(view, _ATTRIBUTE, endpoint)


def registered_endpoints(app: Flask) -> Iterator[tuple[Rule, Endpoint]]:
    """Yield the rules of all registered profiles of an app, each with its endpoint."""
    for rule in app.url_map.iter_rules():
        endpoint = getattr(app.view_functions.get(rule.endpoint), _ATTRIBUTE, None)
        if endpoint is not None:
            yield rule, endpoint
