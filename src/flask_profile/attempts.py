"""One edit of a request, which is attempted again where it conflicts with others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError

from .contention import Backoff, is_conflict, is_contention
from .editing import Changes, CommitError, Editor, Render
from .errors import UnavailableError
from .patching import Patch
from .signals import send_profile_updated

if TYPE_CHECKING:
    from flask import Response

# Verifies the token, and returns its identity and the user that the host has loaded, or None.
Verify = Callable[[], tuple[object, Any]]


class Edit:
    """An edit of a request; must be made before the token is verified.

    Args:
        editor: The editor.
        verify: Verifies the token anew, before each further attempt, so that what the callbacks of
            the host prepare in a transaction is there again.
        render: Makes the response of the user.
    """

    def __init__(self, editor: Editor, verify: Verify, render: Render) -> None:
        self._editor = editor
        self._verify = verify
        self._render = render
        # Nothing is tried again in it, since what the host did there would be lost. Without a
        # session, there is no transaction, and a session is not created only to ask it.
        self._is_in_host_transaction = editor.find_lean_engine() is None and (
            editor.session.in_transaction()
            or (isinstance(editor.bind, Connection) and editor.bind.in_transaction())
        )

    def end_transaction(self) -> None:
        """End what the callbacks of the host have begun, before a slow client is waited for."""
        session = self._editor.session
        if session.in_transaction() and not self._is_in_host_transaction:
            session.rollback()

    def apply(
        self, identity: object, user: Any, patch: Patch, undo: Callable[[], None] = lambda: None
    ) -> tuple[Response, Changes]:
        """Set attributes of a user, commit, and return the new profile and what has changed.

        Args:
            identity: The identity of the token.
            user: The user that the host has loaded for it, or None.
            patch: What it sets.
            undo: Called before a failure is raised, unless nobody knows what was committed.

        Raises:
            RefusalError, UserNotFoundError, UserInactiveError: Where the user cannot be changed so.
            UnavailableError: Where conflicts outlive the attempts.
        """
        try:
            response, changes = self._try_repeatedly(identity, user, patch)
        except CommitError as failure:
            cause = failure.__cause__ or failure
            if is_contention(cause):  # The database has certainly not committed it.
                undo()
            raise cause from None
        except BaseException:
            undo()
            raise
        if changes:
            send_profile_updated(self._editor.app, identity, changes)
        return response, changes

    def _try_repeatedly(
        self, identity: object, user: Any, patch: Patch
    ) -> tuple[Response, Changes]:
        backoff = Backoff()
        while True:
            try:
                return self._editor.change(identity, user, patch, self._render)
            except Exception as failure:
                with suppress(InvalidRequestError):  # The transaction may be over.
                    self._editor.session.rollback()
                cause = failure.__cause__ if isinstance(failure, CommitError) else failure
                if isinstance(cause, IntegrityError):  # A deferred constraint, at the commit.
                    raise self._explain_commit(identity, user, patch) from cause
                if self._is_in_host_transaction or not _may_retry(failure):
                    raise
                error = cause
            if not backoff.wait():
                raise UnavailableError from error
            identity, user = self._verify()

    def _explain_commit(self, identity: object, user: Any, patch: Patch) -> Exception:
        """Return the refusal of values that a deferred constraint has refused at the commit."""
        if not self._is_in_host_transaction:
            identity, user = self._verify()
        try:
            key = self._editor.find_key(identity, user)
            return self._editor.explain_conflict(key, patch.values)
        finally:
            self._editor.session.rollback()


def _may_retry(failure: Exception) -> bool:
    """Tell whether an attempt has certainly changed nothing, and another one may succeed."""
    if isinstance(failure, CommitError):
        return failure.__cause__ is not None and is_conflict(failure.__cause__)
    is_dead = isinstance(failure, DBAPIError) and failure.connection_invalidated
    return is_dead or is_conflict(failure)
