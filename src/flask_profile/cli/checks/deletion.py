"""Checks of DELETE: identities that are used again, and the fresh tokens that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer

from .problem import Problem

if TYPE_CHECKING:
    from ...queries import ProfileQuery
    from ...settings import Settings

# Parts of the names of attributes that users choose themselves.
_CHOSEN_WORDS = ("name", "mail", "login", "phone")


def check_deletion(settings: Settings, query: ProfileQuery) -> Iterator[Problem]:
    """Yield the problems of an app whose users may delete their accounts.

    Args:
        settings: The settings of the profile.
        query: The query that reads the users.
    """
    if "DELETE" not in settings.methods:
        return
    if not settings.deactivates:
        yield from _check_identity(query)
    if "DELETE" in settings.methods_with_fresh_token:
        yield Problem(
            "fresh_tokens",
            "DELETE needs a fresh access token. Issue it in the route that checks the password:"
            "\n\n    create_access_token(identity, fresh=timedelta(minutes=5))",
            level="note",
        )


def _check_identity(query: ProfileQuery) -> Iterator[Problem]:
    column: Any = query.mapper.columns[query.key]
    name = f"{query.mapper.class_.__name__}.{query.key}"
    remedy = ""
    if column.primary_key:
        options = column.table.dialect_options["sqlite"]
        is_sqlite = query.dialect.name == "sqlite" and isinstance(column.type, Integer)
        if not is_sqlite or options["autoincrement"]:
            return
        reason = "SQLite reuses the highest primary key after its row is deleted"
        remedy = '\n\nOr in the model:\n\n    __table_args__ = {"sqlite_autoincrement": True}'
    elif any(word in query.key.lower() for word in _CHOSEN_WORDS):
        reason = "another user can choose the value of a deleted user"
    else:
        return
    yield Problem(
        "identity_returns",
        f"Tokens are matched against {name}, and {reason}. The old token of the deleted user then "
        "reads the profile of the new user. Revoke the tokens of a user in a receiver of "
        'profile_deleted, or write:\n\n    app.config["PROFILE_ON_DELETE"] = "deactivate"' + remedy,
        level="warning",
    )
