"""Request a profile from the app itself, with a token that the commands have created."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from .access_tokens import create_token
from .requests import build_request, reading_method

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

    from .profiles import RegisteredProfile
    from .requests import ClientRequest
    from .users import FoundUser

_NOT_SEARCHED = (
    "Only the user_lookup_loader of this app knows its users, so {!r} was taken as an identity. To "
    "find users by username or email, name their model:\n\n"
    '    app.config["PROFILE_USER_MODEL"] = "package.module:User"'
)


class AppError(click.ClickException):
    """The app raises the exception of a request, as in debug and testing mode."""


@dataclass(frozen=True)
class Trial:
    """A request for the profile of a user, and the response of the app.

    Args:
        user: The user.
        token: The access token for the user.
        request: The request.
        response: The response.
    """

    user: FoundUser
    token: str
    request: ClientRequest
    response: TestResponse

    @property
    def succeeded(self) -> bool:
        """Whether the response is a profile."""
        return self.response.status_code == 200

    def describe_refusal(self) -> str:
        """Return the status, with the reason in the response and other hints."""
        lines = [f"{self.response.status} response."]
        reason = self.response.www_authenticate.get("error_description")
        if reason:
            lines.append(f"Its reason: {reason}")
        if not self.user.is_searched:
            lines.append(_NOT_SEARCHED.format(self.user.name))
        return "\n".join(lines)


def try_profile(app: Flask, profile: RegisteredProfile, user: FoundUser, *, fresh: bool) -> Trial:
    """Request the profile of a user, and return the response of the app.

    Args:
        app: The app.
        profile: One of its profiles.
        user: The user.
        fresh: Whether the token must be fresh. It is also fresh if reading requires that.

    Raises:
        AppError: If the app raises an exception.
        click.ClickException: If no such request can be made.
    """
    settings = profile.endpoint.resource.settings
    needs_fresh = reading_method(profile) in settings.methods_with_fresh_token
    token = create_token(user, fresh=fresh or needs_fresh)
    request = build_request(profile, token)
    client = app.test_client(use_cookies=False)
    # An app that redirects to HTTPS would return only the redirect.
    encrypted = {"wsgi.url_scheme": "https"}
    try:
        response = client.open(**asdict(request), environ_overrides=encrypted)
    except Exception as error:
        message = f"The app raised {type(error).__name__}: {error}"
        if not user.is_searched:
            message += f"\n{_NOT_SEARCHED.format(user.name)}"
        raise AppError(message) from error
    return Trial(user, token, request, response)
