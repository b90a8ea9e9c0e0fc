"""Edit a user in one transaction, which is committed completely or not at all."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from marshmallow import Schema, missing
from marshmallow.utils import get_value
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from .columns import find_column
from .error_codes import error_code
from .errors import ConstraintError, InvalidFieldsError
from .locking import UserLock, commit
from .patching import Patch, PatchReader, require_attribute
from .signals import send_profile_updated
from .uniqueness import find_taken, unique_attributes

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from .policy import WritePolicy

_TAKEN = "A user with this value already exists."
# MariaDB's codes for a wrong value and a failed CHECK, which PyMySQL raises as OperationalError.
_VALUE_ERRORS_OF_MARIADB = {1292, 4025}

# The attributes of a user that an edit has changed, each with its (old, new) value.
Changes = dict[str, tuple[object, object]]


class Editor:
    """Changes attributes of users through the host's session.

    Args:
        app: The app that the profile is registered on.
        lock: The lock of its users.
        schema: The schema that dumps them.
        policy: The attributes that a PATCH must not write.
    """

    def __init__(self, app: Flask, lock: UserLock, schema: Schema, policy: WritePolicy) -> None:
        self.patch = PatchReader(app, lock.query, schema, policy)
        self._app = app
        self._lock = lock
        self._mapper = lock.query.mapper
        self._unique = unique_attributes(self._mapper)

    def make_change(self, patch: Patch) -> PatchChange:
        """Return the change of a patch, for ``Attempts``."""
        return PatchChange(self, patch)

    def change(self, patch: Patch, identity: object, user: Any) -> tuple[Response, Changes]:
        """Lock and change a user and commit; return the new profile and what has changed.

        Raises:
            CommitError: If the commit fails.
            RefusalError, UserNotFoundError, UserInactiveError: If the change is refused.
        """
        locked = self._lock.lock(identity, user)
        session, edited = locked.session, locked.user
        before, values = self._choose_values(edited, patch)
        changes: Changes = {}
        if values:
            in_savepoint = locked.is_in_prepared_transaction
            with self._explaining(session, locked.key, patch, in_savepoint=in_savepoint):
                self.patch.assign(edited, values)
                self._send(session, values)
            # The database may have changed the values. The response must be that of a read.
            edited = self._lock.rows.reload(session, locked.key, before.keys())
            changes = _compare(before, {name: get_value(edited, name) for name in before})
        response = self._lock.render(edited)
        commit(session)
        return response, changes

    def explain_conflict(
        self, key: object, values: Mapping[str, object]
    ) -> InvalidFieldsError | ConstraintError:
        """Return the exception for values that violate a constraint.

        Args:
            key: The value of the user's identity attribute.
            values: The attributes that the edit sets, with their new values.
        """
        session = self._lock.session
        user = self._lock.rows.load(session, key)
        connection = session.connection({"bind": self._lock.bind})
        names = self._mapped_names(values)
        stored = {attribute: values[name] for attribute, name in names.items()}
        taken = find_taken(connection, self._mapper, user, stored)
        messages = {self.patch.field_name(names[attribute]): [_TAKEN] for attribute in taken}
        return InvalidFieldsError(messages) if messages else ConstraintError()

    def announce(self, identity: object, changes: Changes) -> None:
        """Send the signal of a committed edit, if it has changed anything."""
        if changes:
            send_profile_updated(self._app, identity, changes)

    def _choose_values(self, user: Any, patch: Patch) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the old values of the attributes of a patch, and the new values that differ."""
        values = {**patch.values, **self.patch.merge(user, patch.merges)}
        for name in values:
            require_attribute(type(user), name, self.patch.schema)
        before = {name: get_value(user, name) for name in values}  # Missing if write-only.
        different = {n: v for n, v in values.items() if before[n] is missing or before[n] != v}
        return before, different

    @contextmanager
    def _explaining(
        self, session: Session, key: object, patch: Patch, *, in_savepoint: bool
    ) -> Generator[None]:
        """Raise the matching exception if the database refuses values in the ``with`` block.

        The query that finds a taken value needs the transaction that a callback has prepared, and
        therefore a savepoint to return to.
        """
        savepoint = None
        if in_savepoint and not self._unique.isdisjoint(self._mapped_names(patch.values)):
            savepoint = session.begin_nested()
        try:
            yield
        except IntegrityError as error:
            (savepoint or session).rollback()
            raise self.explain_conflict(key, patch.values) from error
        except StatementError as error:
            if _refuses_values(error):
                raise ConstraintError from error
            raise
        if savepoint is not None:
            savepoint.commit()

    def _mapped_names(self, values: Mapping[str, object]) -> dict[str, str]:
        """Return the mapped attributes of an edit, whose own attributes may be synonyms."""
        columns = {name: find_column(self._mapper, name) for name in values}
        return {
            self._mapper.get_property_by_column(column).key: name
            for name, column in columns.items()
            if column is not None
        }

    def _send(self, session: Session, values: Mapping[str, object]) -> None:
        """Flush the session, or raise an exception for a value that its column's type refuses."""
        try:
            session.flush()
        except UnicodeEncodeError as error:  # The driver cannot encode a text for this database.
            session.invalidate()  # pg8000 has already sent a part of the statement.
            raise ConstraintError from error
        except DBAPIError:
            raise
        except Exception:
            self.patch.require_accepted(values)
            raise


@dataclass(frozen=True)
class PatchChange:
    """The change of a user by a patch.

    Args:
        editor: The editor.
        patch: The values that it sets.
    """

    editor: Editor
    patch: Patch

    def apply(self, identity: object, user: Any) -> tuple[Response, Changes]:
        """Attempt the change once, as ``Editor.change`` does."""
        return self.editor.change(self.patch, identity, user)

    def explain(self, key: object) -> Exception:
        """Return the exception for values that the commit has refused."""
        return self.editor.explain_conflict(key, self.patch.values)

    def finish(self, identity: object, result: tuple[Response, Changes]) -> None:
        """Send the signal."""
        self.editor.announce(identity, result[1])


def _compare(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    """Return the changes. A write-only attribute always counts as changed, with unknown values."""
    changes: Changes = {}
    for name, old in before.items():
        if old is missing:
            changes[name] = (None, None)
        elif old != after[name]:
            changes[name] = (old, after[name])
    return changes


def _refuses_values(error: StatementError) -> bool:
    """Tell whether the database, or the type of a column, does not accept a value."""
    is_of_mariadb = error_code(error) in _VALUE_ERRORS_OF_MARIADB
    return is_of_mariadb or isinstance(error, DataError) or not isinstance(error, DBAPIError)
