"""Choose one of an app's registered profiles for a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ..resource import registered_endpoints

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.routing import Rule

    from ..resource import Endpoint


@dataclass(frozen=True)
class RegisteredProfile:
    """A profile of an app, without its avatar.

    Args:
        rule: The rule of its URL.
        endpoint: Its methods, and the resource that they share.
    """

    rule: Rule
    endpoint: Endpoint


def registered_profiles(app: Flask) -> dict[str, RegisteredProfile]:
    """Return the profiles of an app by the names of their blueprints."""
    profiles: dict[str, RegisteredProfile] = {}
    for rule, endpoint in registered_endpoints(app):
        # A host may register the view for other URLs too. These are not other profiles.
        blueprint, _, name = rule.endpoint.rpartition(".")
        if name == endpoint.name == "profile":
            profiles[blueprint] = RegisteredProfile(rule, endpoint)
    return profiles


def choose_profile(app: Flask, blueprint: str | None) -> RegisteredProfile:
    """Return the profile of a blueprint, or the only one of the app.

    Args:
        app: The app.
        blueprint: The name of the blueprint; for a nested one, with the names of its parents.

    Raises:
        click.UsageError: If there is no such profile, or if a name is needed.
    """
    profiles = registered_profiles(app)
    if blueprint is None and len(profiles) == 1:
        return next(iter(profiles.values()))
    if blueprint in profiles:
        return profiles[blueprint]
    problem = "has several profiles" if blueprint is None else f"has no profile {blueprint!r}"
    names = ", ".join(profiles)
    raise click.UsageError(f"This app {problem}. Name one of {names} with --blueprint.")
