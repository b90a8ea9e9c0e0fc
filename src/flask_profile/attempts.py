"""Try a change of a user again after a conflict with other transactions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError

from .contention import Backoff, is_conflict, is_contention
from .errors import UnavailableError
from .locking import CommitError, UserLock

_T = TypeVar("_T")

# Verifies the token, and returns its identity and the user that the host has loaded, or None.
Verify = Callable[[], tuple[object, Any]]


class Change(Protocol[_T]):
    """A change of one user."""

    def apply(self, identity: object, user: Any) -> _T:
        """Attempt the change once: lock, change and commit.

        Args:
            identity: The identity of the token.
            user: The user that the host has loaded for it, or None.
        """
        ...

    def explain(self, key: object) -> Exception:
        """Return the exception for a change that violates a constraint at the commit.

        Args:
            key: The value of the user's identity attribute.
        """
        ...

    def finish(self, identity: object, result: _T) -> None:
        """Do what follows the commit. This must not raise an exception."""
        ...


class Attempts:
    """The attempts of a request. Must be created before the token is verified.

    Args:
        lock: The lock of the users.
        verify: Verifies the token again, before each further attempt, so that the callbacks of the
            host prepare the transaction again.
    """

    def __init__(self, lock: UserLock, verify: Verify) -> None:
        self._lock = lock
        self._verify = verify
        # In such a transaction nothing is tried again: the host's own work would be lost. Without a
        # session there is no transaction, so no session is created for this check.
        self._is_in_host_transaction = lock.find_lean_engine() is None and (
            lock.session.in_transaction()
            or (isinstance(lock.bind, Connection) and lock.bind.in_transaction())
        )

    def end_transaction(self) -> None:
        """End the transaction that callbacks of the host have begun, before the body is read."""
        session = self._lock.session
        if session.in_transaction() and not self._is_in_host_transaction:
            session.rollback()

    def run(
        self,
        change: Change[_T],
        identity: object,
        user: Any,
        undo: Callable[[], None] = lambda: None,
    ) -> _T:
        """Change a user, and return what the change returns.

        Args:
            change: The change.
            identity: The identity of the token.
            user: The user that the host has loaded for it, or None.
            undo: Called before a failure is raised, unless it is unknown what was committed.

        Raises:
            RefusalError, UserNotFoundError, UserInactiveError: If the change is refused.
            UnavailableError: If the last attempt has a conflict, too.
        """
        try:
            result = self._try_repeatedly(change, identity, user)
        except CommitError as failure:
            cause = failure.__cause__ or failure
            if is_contention(cause):  # The database has certainly not committed it.
                undo()
            raise cause from None
        except BaseException:
            undo()
            raise
        change.finish(identity, result)
        return result

    def _try_repeatedly(self, change: Change[_T], identity: object, user: Any) -> _T:
        backoff = Backoff()
        while True:
            try:
                return change.apply(identity, user)
            except Exception as failure:
                with suppress(InvalidRequestError):  # The transaction may have ended.
                    self._lock.session.rollback()
                cause = failure.__cause__ if isinstance(failure, CommitError) else failure
                if isinstance(cause, IntegrityError):  # A deferred constraint, at the commit.
                    raise self._explain_commit(change, identity, user) from cause
                if self._is_in_host_transaction or not _may_retry(failure):
                    raise
                error = cause
            if not backoff.wait():
                raise UnavailableError from error
            identity, user = self._verify()

    def _explain_commit(self, change: Change[Any], identity: object, user: Any) -> Exception:
        """Return the exception for a change that a deferred constraint refuses at the commit."""
        if not self._is_in_host_transaction:
            identity, user = self._verify()
        try:
            return change.explain(self._lock.find_key(identity, user))
        finally:
            self._lock.session.rollback()


def _may_retry(failure: Exception) -> bool:
    """Tell whether an attempt has certainly changed nothing, and another one may succeed."""
    if isinstance(failure, CommitError):
        return failure.__cause__ is not None and is_conflict(failure.__cause__)
    is_dead = isinstance(failure, DBAPIError) and failure.connection_invalidated
    return is_dead or is_conflict(failure)
