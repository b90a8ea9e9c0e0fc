"""A change of a user: one transaction, which is committed whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from marshmallow import Schema, missing
from marshmallow.utils import get_value
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, StatementError

from .conditions import require_match
from .connections import current_session
from .errors import ConfigurationError, ConstraintError, InvalidFieldsError
from .locking import LockingQuery
from .patching import Patch, PatchReader, require_attribute
from .signals import send_profile_updated
from .uniqueness import find_taken

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy.orm import Session

    from .policy import WritePolicy
    from .queries import ProfileQuery

_NOT_IN_SESSION = (
    "The user that the user_lookup_loader returns cannot be edited, since db.session does not "
    "contain it. In the loader, write:\n\n    return db.session.get(User, identity)"
)
_TAKEN = "A user with this value already exists."
_ATTEMPTS = 3
# MariaDB's codes of a wrong value and a failed CHECK, which PyMySQL raises as OperationalError.
_VALUE_ERRORS_OF_MARIADB = {(1292,), (4025,)}

# The attributes of a user that an edit has changed, each with its (old, new) value.
Changes = dict[str, tuple[object, object]]
# Makes the response of a user that is being edited.
Render = Callable[[Any], Response]


class Editor:
    """Changes users through the host's session.

    Args:
        app: The app that the profile is registered on.
        query: The query that reads its users.
        schema: The schema that dumps them.
        policy: What a PATCH must not write.
    """

    def __init__(
        self, app: Flask, query: ProfileQuery, schema: Schema, policy: WritePolicy
    ) -> None:
        self._app = app
        self._db: SQLAlchemy = app.extensions["sqlalchemy"]
        self._query = query
        self._locking = LockingQuery(query)
        self.patch = PatchReader(app, query, schema, policy)

    def change(
        self,
        identity: object,
        user: Any,
        patch: Patch,
        render: Render,
        undo: Callable[[], None] = lambda: None,
    ) -> tuple[Response, Changes]:
        """Set attributes of a user, commit, and return the new profile and what has changed.

        Args:
            identity: The identity in the token, for the signal.
            user: The user that was read for it.
            patch: What it sets.
            render: Makes the response of the user, whose ETag ``If-Match`` is compared with.
            undo: Called before a failure is raised, unless the commit itself failed: then nobody
                knows what was committed.

        Raises:
            RefusalError, UserNotFoundError: Where the user cannot be changed so.
        """
        session = current_session(self._db)
        try:
            response, changes = self._flush(session, user, patch, render)
        except Exception:
            session.rollback()
            undo()
            raise
        try:
            session.commit()
        except Exception:
            session.rollback()  # A pooled connection must not keep what was not committed.
            raise
        if changes:
            send_profile_updated(self._app, identity, changes)
        return response, changes

    def _flush(
        self, session: Session, user: Any, patch: Patch, render: Render
    ) -> tuple[Response, Changes]:
        """Lock and change the user's row; try again after a deadlock or a lost connection."""
        key = get_value(user, self._query.key)
        is_entity = isinstance(user, self._query.mapper.class_)
        attempts = 1 if session.in_transaction() else _ATTEMPTS
        while True:
            attempts -= 1
            try:
                locked = self._locking.load(session, key)
                if is_entity and locked is not user:
                    raise ConfigurationError(_NOT_IN_SESSION)
                return self._apply(session, locked, patch, render)
            except StatementError as error:
                session.rollback()
                if isinstance(error, IntegrityError):
                    raise self._explain_conflict(session, key, patch.values) from error
                if _refuses_values(error):
                    raise ConstraintError from error
                if not (attempts and isinstance(error, OperationalError)):
                    raise

    def _apply(
        self, session: Session, user: Any, patch: Patch, render: Render
    ) -> tuple[Response, Changes]:
        response = render(user)
        require_match(response)
        values = {**patch.values, **self.patch.merge(user, patch.merges)}
        for name in values:
            require_attribute(type(user), name, self.patch.schema)
        before = {name: get_value(user, name) for name in values}  # Missing if write-only.
        changed = {
            name: value
            for name, value in values.items()
            if before[name] is missing or before[name] != value
        }
        self.patch.assign(user, changed)
        self._send(session, changed)
        # The database may have changed the values: the response has what the next read will have.
        user = self._locking.load(session, get_value(user, self._query.key))
        changes = _compare(before, {name: get_value(user, name) for name in values})
        return (render(user) if changes else response), changes

    def _send(self, session: Session, values: Mapping[str, object]) -> None:
        """Flush the session, or raise the refusal of a value that its column's type refuses."""
        try:
            session.flush()
        except UnicodeEncodeError as error:  # The driver cannot send a text to this database.
            session.invalidate()  # pg8000 has sent a part of the statement already.
            raise ConstraintError from error
        except DBAPIError:
            raise
        except Exception:
            self.patch.require_accepted(values)
            raise

    def _explain_conflict(
        self, session: Session, key: object, values: Mapping[str, object]
    ) -> InvalidFieldsError | ConstraintError:
        """Return the refusal of values that violate a constraint."""
        user = self._locking.load(session, key)
        connection = session.connection({"bind": self._locking.bind(session)})
        taken = find_taken(connection, self._query.mapper, user, values)
        messages = {self.patch.field_name(name): [_TAKEN] for name in taken}
        return InvalidFieldsError(messages) if messages else ConstraintError()


def _compare(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    """Return what has changed; a write-only attribute always has, with unknown values."""
    changes: Changes = {}
    for name, old in before.items():
        if old is missing:
            changes[name] = (None, None)
        elif old != after[name]:
            changes[name] = (old, after[name])
    return changes


def _refuses_values(error: StatementError) -> bool:
    """Tell whether the database, or the type of a column, does not accept a value."""
    is_of_mariadb = getattr(error.orig, "args", ())[:1] in _VALUE_ERRORS_OF_MARIADB
    return is_of_mariadb or isinstance(error, DataError) or not isinstance(error, DBAPIError)
