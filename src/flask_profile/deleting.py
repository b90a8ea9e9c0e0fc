"""The deletion of an account, or its deactivation: one transaction, and what follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask
from marshmallow.utils import get_value
from sqlalchemy.exc import IntegrityError

from .errors import ReferencedError
from .locking import UserLock, commit
from .signals import send_profile_deleted

if TYPE_CHECKING:
    from .storage import AvatarStorage

# What the schema dumps of a user.
Profile = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """Deletes users through the host's session, so that the cascades of the model run.

    Args:
        app: The app that the profile is registered on.
        lock: The lock of its users.
        describe: Returns what the schema dumps of a user.
        avatar: The attribute of the name of an avatar, and the storage that has it, if users may
            upload avatars.
    """

    app: Flask
    lock: UserLock
    describe: Callable[[Any], Profile]
    avatar: tuple[str, AvatarStorage] | None

    def apply(self, identity: object, user: Any) -> tuple[Profile, object]:
        """Lock and delete a user and commit; return the last profile, and the avatar to remove.

        Raises:
            CommitError: Where the commit fails.
            ReferencedError: Where other rows refer to the user, and forbid the deletion.
            RefusalError, UserNotFoundError, UserInactiveError: Where the user cannot be deleted.
        """
        locked = self.lock.lock(identity, user)
        profile = self.describe(locked.user)
        avatar = get_value(locked.user, self.avatar[0]) if self.avatar else None
        locked.session.delete(locked.user)
        try:
            locked.session.flush()
        except (IntegrityError, AssertionError) as error:
            if isinstance(error, IntegrityError) or _is_dependency(error):
                raise ReferencedError from error
            raise
        commit(locked.session)
        return profile, avatar

    def explain(self, key: object) -> Exception:
        """Return the refusal of a deletion that a deferred constraint has refused."""
        return ReferencedError()

    def finish(self, identity: object, result: tuple[Profile, object]) -> None:
        """Remove the avatar, and tell the host."""
        profile, avatar = result
        if self.avatar:
            self.avatar[1].remove(avatar)
        send_profile_deleted(self.app, identity, profile)


def _is_dependency(error: AssertionError) -> bool:
    """Tell by its undocumented text whether SQLAlchemy raises an error for a row that refers.

    It cannot set that row's foreign key to null, since this is a part of its primary key. Without
    this, the response would be a 500, though the database would only have said the same.
    """
    return str(error).startswith("Dependency rule")


@dataclass(frozen=True, kw_only=True)
class Deactivation:
    """Makes users inactive, and keeps all else.

    Args:
        app: The app that the profile is registered on.
        lock: The lock of its users.
        describe: Returns what the schema dumps of a user.
        active: The attribute that says whether a user is active.
    """

    app: Flask
    lock: UserLock
    describe: Callable[[Any], Profile]
    active: str

    def apply(self, identity: object, user: Any) -> Profile:
        """Lock and deactivate a user and commit; return the last profile.

        Raises:
            CommitError: Where the commit fails.
            RefusalError, UserNotFoundError, UserInactiveError: Where the user cannot be changed.
        """
        locked = self.lock.lock(identity, user)
        profile = self.describe(locked.user)
        setattr(locked.user, self.active, False)
        commit(locked.session)
        return profile

    def explain(self, key: object) -> Exception:
        """Return the failure of a deactivation that a constraint has refused."""
        return RuntimeError("A constraint of the database refuses that a user is deactivated.")

    def finish(self, identity: object, result: Profile) -> None:
        """Tell the host."""
        send_profile_deleted(self.app, identity, result)
