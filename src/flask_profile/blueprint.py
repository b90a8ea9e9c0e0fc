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

# Stands for the configured prefix until an app is known, in a blueprint of the host too.
_PREFIX = "/{PROFILE_URL_PREFIX}"


class ProfileBlueprint(Blueprint):
    """A blueprint that returns the profile of the authenticated user as JSON.

    Its URL is ``PROFILE_URL_PREFIX`` (``/api/profile``), with and without a slash at the end,
    unless ``register_blueprint`` is given a ``url_prefix``. One instance can serve several apps,
    one app can have several instances, and an instance may be nested in another blueprint::

        app.register_blueprint(ProfileBlueprint())
        app.register_blueprint(ProfileBlueprint("me", schema=Me), url_prefix="/v2/me")

    Error responses are JSON too; a 401 response follows RFC 6750 section 3.

    Args:
        name: The name of the blueprint, the first part of the endpoint ``profile.profile``.
        user_model: The model to read, as ``PROFILE_USER_MODEL``, which it takes precedence over.
        schema: The schema class to send, as ``PROFILE_SCHEMA``, which it takes precedence over.

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
        self.record(self._add_profile)

    def _add_profile(self, state: BlueprintSetupState) -> None:
        from .cli import profile_commands

        app = cast("Flask", state.app)
        settings = Settings.read(app.config, user_model=self._user_model, schema=self._schema)
        resource = Resource(app, settings)
        if settings.changes_users:
            resource.changes.require_possible_attributes()
        app.cli.commands.setdefault(state.options.get("cli_group", "profile"), profile_commands)
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
