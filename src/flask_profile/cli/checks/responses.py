"""A check that requests the profile of a user in the database, as a client would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from flask import got_request_exception

from ...auth import has_user_loader
from ...errors import UserInactiveError, UserNotFoundError
from ..trials import AppError, try_profile
from ..users import find_any_user
from .problem import Problem

if TYPE_CHECKING:
    from flask import Flask

    from ...resource import Resource
    from ..profiles import RegisteredProfile
    from ..users import FoundUser


def check_response(app: Flask, profile: RegisteredProfile) -> Iterator[Problem]:
    """Yield a problem if the app fails for a user of its database.

    This sends a request through the whole app, with a token that the app creates. It changes
    nothing.

    Args:
        app: The app.
        profile: A profile without a known error.
    """
    if "flask-jwt-extended" not in app.extensions:
        return  # No request can be made, and the error has already been reported.
    resource = profile.endpoint.resource
    user = find_any_user(resource.query)
    if user is None:
        if has_user_loader():
            yield _not_checked("There is no user in the database.")
        return
    try:
        failure = _request_profile(app, profile, user)
    except click.ClickException as error:  # No such request can be made.
        if has_user_loader():
            yield _not_checked(error.message)
            return
        failure = _load(resource, user)
    if failure is not None:
        message = f"The app cannot send the profile of the user {user.name!r}. {failure}"
        yield Problem("failure", message)


def _not_checked(reason: str) -> Problem:
    message = f"The user_lookup_loader of this app was not tried: {reason}"
    return Problem("not_checked", message, level="note")


def _request_profile(app: Flask, profile: RegisteredProfile, user: FoundUser) -> str | None:
    """Return why a request for the profile of a user fails, if it does."""
    errors: list[str] = []

    def describe(_sender: object, *, exception: Exception, **_: Any) -> None:
        errors.append(_describe(exception))

    with got_request_exception.connected_to(describe):
        try:
            response = try_profile(app, profile, user, fresh=False).response
        except AppError as error:
            return error.message
    if response.status_code < 500:
        return None
    return errors[0] if errors else f"The response is a {response.status}."


def _load(resource: Resource, user: FoundUser) -> str | None:
    """Return why a user cannot be read without a request, if that is so."""
    try:
        with suppress(UserInactiveError, UserNotFoundError):
            resource.require_active(resource.query.load(user.identity))
    except Exception as error:
        return _describe(error)
    return None


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
