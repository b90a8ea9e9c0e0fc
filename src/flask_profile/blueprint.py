"""ProfileBlueprint: registers the routes and commands of a profile on an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import Blueprint, Flask

from .resource import Endpoint, Resource, mark_view
from .routing import claim_other_methods
from .settings import Settings
from .views import AuthenticatedView, ProfileView

if TYPE_CHECKING:
    from flask.blueprints import BlueprintSetupState
    from marshmallow import Schema

# A placeholder for the configured prefix until the app is known, also in a nested blueprint.
_PREFIX = "/{PROFILE_URL_PREFIX}"


class ProfileBlueprint(Blueprint):
    """A blueprint that returns the profile of the authenticated user as JSON.

    Its URL is ``PROFILE_URL_PREFIX`` (``/api/profile`` by default), with and without a slash at
    the end. A ``url_prefix`` of ``register_blueprint`` takes precedence. One instance can be
    registered on several apps or nested in another blueprint, and one app can have several
    instances::

        app.register_blueprint(ProfileBlueprint())
        app.register_blueprint(ProfileBlueprint("me", schema=Me), url_prefix="/v2/me")

    Error responses are JSON too; a 401 response follows RFC 6750 section 3.

    Args:
        name: The name of the blueprint, the first part of the endpoint ``profile.profile``.
        user_model: The user model. It takes precedence over ``PROFILE_USER_MODEL``.
        schema: The schema class. It takes precedence over ``PROFILE_SCHEMA``.

    Raises:
        ConfigurationError: By ``register_blueprint``, if a setting is wrong.
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
        self.record(self._add_profile)

    def _add_profile(self, state: BlueprintSetupState) -> None:
        from .cli import profile_commands

        app = cast("Flask", state.app)
        settings = Settings.read(app.config, user_model=self._user_model, schema=self._schema)
        resource = Resource(app, settings)
        if settings.changes_users:
            resource.changes.require_possible_attributes()
        group = state.options.get("cli_group", "profile")
        commands = profile_commands.commands if group is None else {group: profile_commands}
        for name, command in commands.items():
            app.cli.commands.setdefault(name, command)
        prefix = _PREFIX if state.url_prefix is None else state.url_prefix
        state.url_prefix = prefix.replace(_PREFIX, settings.url_prefix)
        _add_url(state, "/", ProfileView, Endpoint("profile", settings.enabled_methods, resource))
        if settings.avatars:
            from .avatars import AvatarView

            _add_url(state, "/avatar/", AvatarView, Endpoint("avatar", ("PUT", "DELETE"), resource))


def _add_url(
    state: BlueprintSetupState, path: str, view_class: type[AuthenticatedView], endpoint: Endpoint
) -> None:
    view = view_class.as_view(endpoint.name, endpoint)
    mark_view(view, endpoint)
    state.add_url_rule(
        path,
        endpoint.name,
        view,
        methods=[*endpoint.methods, "OPTIONS"],
        provide_automatic_options=False,
        strict_slashes=False,
    )
    name = f"{state.name_prefix}.{state.name}.{endpoint.name}".lstrip(".")
    for rule in state.app.url_map.iter_rules(name):
        claim_other_methods(rule)
