"""Delete or deactivate an account in one transaction, and do what follows it."""

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

# A user, as the schema dumps it.
Profile = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """Deletes users through the host's session, so that the cascades of the model run.

    Args:
        app: The app that the profile is registered on.
        lock: The lock of its users.
        describe: Returns a user as the schema dumps it.
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
            CommitError: If the commit fails.
            ReferencedError: If other rows refer to the user, so that it cannot be deleted.
            RefusalError, UserNotFoundError, UserInactiveError: If the deletion is refused.
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
        """Return the exception for a deletion that a deferred constraint has refused."""
        return ReferencedError()

    def finish(self, identity: object, result: tuple[Profile, object]) -> None:
        """Remove the avatar, and send the signal."""
        profile, avatar = result
        if self.avatar:
            self.avatar[1].remove(avatar)
        send_profile_deleted(self.app, identity, profile)


def _is_dependency(error: AssertionError) -> bool:
    """Tell whether SQLAlchemy refuses the deletion because of another row, by undocumented text.

    SQLAlchemy cannot set the foreign key of that row to null if it is a part of its primary key.
    Without this function the response would be a 500, although the reason is the same as for a
    constraint of the database.
    """
    return str(error).startswith("Dependency rule")


@dataclass(frozen=True, kw_only=True)
class Deactivation:
    """Makes users inactive, and keeps everything else.

    Args:
        app: The app that the profile is registered on.
        lock: The lock of its users.
        describe: Returns a user as the schema dumps it.
        active: The attribute that says whether a user is active.
    """

    app: Flask
    lock: UserLock
    describe: Callable[[Any], Profile]
    active: str

    def apply(self, identity: object, user: Any) -> Profile:
        """Lock and deactivate a user and commit; return the last profile.

        Raises:
            CommitError: If the commit fails.
            RefusalError, UserNotFoundError, UserInactiveError: If the change is refused.
        """
        locked = self.lock.lock(identity, user)
        profile = self.describe(locked.user)
        setattr(locked.user, self.active, False)
        commit(locked.session)
        return profile

    def explain(self, key: object) -> Exception:
        """Return the exception for a deactivation that a constraint has refused."""
        return RuntimeError("A constraint of the database does not allow this deactivation.")

    def finish(self, identity: object, result: Profile) -> None:
        """Send the signal."""
        send_profile_deleted(self.app, identity, result)
