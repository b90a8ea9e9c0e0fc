"""Create an access token for a user, as the app itself would create it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask_jwt_extended import create_access_token, decode_token

if TYPE_CHECKING:
    from .users import FoundUser


def create_token(user: FoundUser, *, fresh: bool) -> str:
    """Return an access token for a user.

    An app calls ``create_access_token`` with an identity or with a user, depending on its
    ``user_identity_loader``. The only way to find out which one is to try both.

    Args:
        user: The user.
        fresh: Whether the token is a fresh one.

    Raises:
        click.ClickException: If the app creates no usable token from either.
    """
    # The user_identity_loader of the host may raise any exception, here and below.
    with suppress(Exception):
        return _create(user.identity, lambda created: str(created) == user.identity, fresh=fresh)
    try:
        return _create(user.load(), lambda created: isinstance(created, (int, str)), fresh=fresh)
    except Exception as error:
        message = f"This app cannot create an access token for {user.name!r}: {error}"
        raise click.ClickException(message) from error


def _create(subject: object, is_usable: Callable[[object], bool], *, fresh: bool) -> str:
    """Return the token for an identity or user, or raise if the identity in it is not usable."""
    token: str = create_access_token(subject, fresh=fresh)
    created = decode_token(token)[current_app.config["JWT_IDENTITY_CLAIM"]]
    if not is_usable(created):
        raise ValueError("its user_identity_loader accepts neither an identity nor a user.")
    return token
