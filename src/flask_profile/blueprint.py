"""ProfileBlueprint: mounts the resource and answers its requests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from flask import Blueprint, Flask, Response, got_request_exception, request
from flask.json.provider import DefaultJSONProvider
from flask_jwt_extended import get_current_user
from marshmallow import Schema
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .auth import has_user_loader, token_headers, verified_identity
from .errors import (
    ANSWERS,
    FAILURE,
    PATCH_TYPES,
    Answer,
    InvalidError,
    MediaTypeError,
    RefusalError,
    UserInactiveError,
    answer_to,
    require_match,
)
from .queries import ProfileQuery, UserNotFoundError
from .schemas import MediaUrl, ProfileSchema, attributes_read, dumper, value_of
from .settings import ConfigurationError, Settings

if TYPE_CHECKING:
    from flask.blueprints import BlueprintSetupState
    from werkzeug.routing import Rule

    from .avatars import AvatarStore
    from .editing import Editor

# Stands for the configured prefix until an app is known, in a host's blueprint too.
_PREFIX = "/{PROFILE_URL_PREFIX}"
_RESOURCE = "flask_profile_resource"


class ProfileBlueprint(Blueprint):
    """The resource that answers the authenticated user as JSON, ready to be registered.

    It mounts at ``PROFILE_URL_PREFIX`` (``/api/profile``), with and without a slash at the
    end, unless ``register_blueprint`` is given a ``url_prefix``. One instance can serve
    several apps, several instances one app, and one may be nested in another blueprint::

        app.register_blueprint(ProfileBlueprint())
        app.register_blueprint(ProfileBlueprint("me", schema=Me), url_prefix="/v2/me")

    Errors are answered as JSON; 401 follows RFC 6750 section 3.

    Args:
        name: The name of the blueprint, the first part of the endpoint ``profile.profile``.
        user_model: The model to read, as ``PROFILE_USER_MODEL``, which it wins over.
        schema: The schema class to send, as ``PROFILE_SCHEMA``, which it wins over.

    Raises:
        ConfigurationError: By ``register_blueprint``, when a setting is wrong.
    """

    def __init__(
        self,
        name: str = "profile",
        *,
        user_model: type | str | None = None,
        schema: type[Schema] | str | None = None,
    ) -> None:
        super().__init__(name, __name__, url_prefix=_PREFIX)
        self._user_model = user_model
        self._schema = schema
        self.record(self._mount)

    def _mount(self, state: BlueprintSetupState) -> None:
        app = cast("Flask", state.app)
        settings = Settings.read(app.config, user_model=self._user_model, schema=self._schema)
        resource = Resource(app, settings)

        from .cli import profile

        app.cli.commands.setdefault(state.options.get("cli_group", "profile"), profile)
        prefix = _PREFIX if state.url_prefix is None else state.url_prefix
        state.url_prefix = prefix.replace(_PREFIX, settings.url_prefix)
        _route(state, "/", "profile", resource)
        if settings.avatars:
            from .avatars import AvatarStore

            resource.avatars = AvatarStore(app, settings)
            _route(state, "/avatar/", "avatar", resource)


def _route(state: BlueprintSetupState, path: str, name: str, resource: Resource) -> None:
    views = resource.views[name]

    def answer(**_url_values: object) -> Response:
        return resource.answer(views)

    setattr(answer, _RESOURCE, resource)  # A decorator of the host's, made by wraps, has it too.
    state.add_url_rule(
        path,
        name,
        answer,
        methods=[*views, "OPTIONS"],
        provide_automatic_options=False,
        strict_slashes=False,
    )
    endpoint = f"{state.name_prefix}.{state.name}.{name}".lstrip(".")
    for rule in state.app.url_map.iter_rules(endpoint):
        rule.methods = _Methods(rule)


def mounted(app: Flask) -> Iterator[tuple[Rule, Resource]]:
    """Yield the routes of all profiles of an app."""
    for rule in app.url_map.iter_rules():
        resource = getattr(app.view_functions.get(rule.endpoint), _RESOURCE, None)
        if resource is not None:
            yield rule, resource


class _Methods(set[str]):
    """The methods of a resource; to the router any that no other route of its URL takes.

    Were they not, the router would refuse a method before any blueprint is known, and the
    host's handlers would have to answer.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.methods or ())
        self._rule = rule

    def __contains__(self, method: object) -> bool:
        if method == "--":  # How Werkzeug asks for the methods that it has to name.
            return False
        return super().__contains__(method) or method not in self.of_url()

    def of_url(self) -> set[str]:
        """Return the methods of all routes of the URL, the host's own among them."""
        return {
            method
            for rule in self._rule.map.iter_rules()
            if _place(rule) == _place(self._rule)
            for method in rule.methods or ()
        }


def _place(rule: Rule) -> tuple[str | None, str | None, str]:
    return rule.host, rule.subdomain, rule.rule


_View = Callable[[object, Any], "Response"]


class Resource:
    """A mounted profile: what depends on the app is made once, at its first request."""

    avatars: AvatarStore

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self.settings = settings
        self._checked: set[type] = set()
        reading = {"POST": self._post, "GET": self._get, "HEAD": self._get, "PATCH": self._patch}
        methods = {*settings.methods} | ({"HEAD"} if "GET" in settings.methods else set())
        self.views: dict[str, dict[str, _View]] = {
            "profile": {method: reading[method] for method in reading if method in methods},
            "avatar": {"PUT": self._put_avatar, "DELETE": self._delete_avatar},
        }

    @cached_property
    def _headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store"}
        read_from = token_headers(self._app.config)
        return headers | ({"Vary": ", ".join(read_from)} if read_from else {})

    @cached_property
    def schema(self) -> Schema:
        """The schema of this app's profiles."""
        schema = (self.settings.schema or ProfileSchema)()
        for field in schema.dump_fields.values():
            if isinstance(field, MediaUrl):
                field.media_url = self.settings.media_url
        return schema

    @cached_property
    def _dumps(self) -> Callable[[object], str]:
        provider = self._app.json
        if isinstance(provider, DefaultJSONProvider):
            return partial(provider.dumps, sort_keys=False)
        return provider.dumps

    @cached_property
    def _steps(self) -> tuple[Callable[[object], Any], Callable[[Any], Any]]:
        """What gets the user of an identity (a query, or the host's own loader), what dumps it."""
        if has_user_loader():
            return self._loaded_by_host, self.schema.dump
        return self.query.load, dumper(self.schema, self.query.columns)

    @cached_property
    def query(self) -> ProfileQuery:
        """What reads the users of this app; raises ConfigurationError where it cannot."""
        db = self._app.extensions.get("sqlalchemy")
        if db is None:
            message = (
                "This app has no SQLAlchemy to read users from. Where the app is made, write:\n\n"
                "    db.init_app(app)"
            )
            raise ConfigurationError(message)
        return ProfileQuery(db, self.schema, self.settings)

    @cached_property
    def _editor(self) -> Editor:
        from .editing import Editor

        return Editor(self._app, self.query, self.schema)

    def _loaded_by_host(self, _identity: object) -> Any:
        user = get_current_user()
        if type(user) not in self._checked:
            attributes_read(self.schema, user, self.settings)
            self._checked.add(type(user))
        return user

    def answer(self, views: Mapping[str, _View]) -> Response:
        """Answer the current request by the view of its method."""
        try:
            if request.method == "OPTIONS":
                return self._options()
            if request.method not in views:
                raise MethodNotAllowed(self._allowed())
            if request.method == "PUT":
                self.avatars.limit_body()  # Before anything is read, a token in a form too.
            load, _ = self._steps
            identity, user = self._user(load)
        except Exception as error:
            if isinstance(error, HTTPException) and type(error) not in ANSWERS:
                raise  # A callback of the host aborted the request.
            return self._refuse(error, answer_to(error))
        try:
            return views[request.method](identity, user)
        except (RefusalError, UserNotFoundError) as error:
            return self._refuse(error, answer_to(error))
        except Exception as error:  # Whatever a schema raises says nothing of the token.
            return self._refuse(error, FAILURE)

    def _user(self, load: Callable[[object], Any]) -> tuple[object, Any]:
        identity = verified_identity()
        if self.settings.require_json and not (
            request.is_json or request.method in self.views["avatar"]
        ):
            raise MediaTypeError
        user = load(identity)
        if self.settings.require_active and not value_of(user, "is_active"):
            raise UserInactiveError
        return identity, user

    def _post(self, _identity: object, user: Any) -> Response:
        _, dump = self._steps
        return self._response(self._dumps(dump(user)), 200)

    def _get(self, identity: object, user: Any) -> Response:
        response = self._post(identity, user)
        response.headers["Cache-Control"] = "private, no-cache"
        response.add_etag()
        require_match(response)
        # Werkzeug would answer If-Match in its own way.
        response.make_conditional({**request.environ, "HTTP_IF_MATCH": ""})
        return response

    def _patch(self, identity: object, user: Any) -> Response:
        return self._editor.change(identity, user, self._editor.values(), self._edited)[0]

    def _put_avatar(self, identity: object, user: Any) -> Response:
        name = self.avatars.store_upload()
        return self._set_avatar(identity, user, name)

    def _delete_avatar(self, identity: object, user: Any) -> Response:
        self._set_avatar(identity, user, None)
        response = self._response("", 204)
        del response.headers["Content-Type"]
        return response

    def _set_avatar(self, identity: object, user: Any, name: str | None) -> Response:
        values, undo = {"avatar": name}, partial(self.avatars.remove, name)
        response, changes = self._editor.change(identity, user, values, self._edited, undo)
        for old, _ in changes.values():  # No row names it any more.
            self.avatars.remove(old)
        return response

    def _edited(self, user: Any) -> Response:
        """Return the answer of a user that is being edited, in its present state."""
        response = self._response(self._dumps(self.schema.dump(user)), 200)
        response.add_etag()
        return response

    def _options(self) -> Response:
        response = self._app.response_class(headers=self._headers)
        response.allow.update(self._allowed())
        if "PATCH" in response.allow:
            response.headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
        return response

    def _refuse(self, error: Exception, answer: Answer) -> Response:
        if answer.status == 500:
            self._report(error)
        media_type = request.content_type or ""
        body = answer.render(method=request.method, media_type=media_type)
        if isinstance(error, InvalidError):
            body = json.dumps(error.messages, default=str)
        response = self._response(body, answer.status)
        if answer.status == 401:
            response.headers["WWW-Authenticate"] = answer.challenge(self.settings.realm)
        if isinstance(error, MediaTypeError) and request.method == "PATCH":
            response.headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
        if isinstance(error, MethodNotAllowed):
            response.allow.update(error.valid_methods or ())
        return response

    def _response(self, body: str, status: int) -> Response:
        return self._app.response_class(body, status, self._headers, mimetype="application/json")

    def _report(self, error: Exception) -> None:
        """Do what Flask does for an unhandled exception, short of answering it."""
        propagate = self._app.config["PROPAGATE_EXCEPTIONS"]
        if propagate or (propagate is None and (self._app.testing or self._app.debug)):
            raise error
        got_request_exception.send(self._app, _async_wrapper=self._app.ensure_sync, exception=error)
        self._app.log_exception(sys.exc_info())

    def _allowed(self) -> list[str]:
        methods = request.url_rule.methods if request.url_rule else None
        return sorted(methods.of_url()) if isinstance(methods, _Methods) else []
