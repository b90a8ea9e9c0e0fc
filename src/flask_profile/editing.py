"""A change of a user: one transaction, which is committed whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from marshmallow import Schema, missing
from marshmallow.utils import get_value
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from .columns import find_column
from .conditions import is_conditional, require_match
from .connections import current_session
from .error_codes import error_code
from .errors import ConfigurationError, ConstraintError, InvalidFieldsError
from .locking import LockingQuery
from .patching import Patch, PatchReader, require_attribute
from .uniqueness import find_taken, unique_attributes

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from .policy import WritePolicy
    from .queries import ProfileQuery

_NOT_IN_SESSION = (
    "The user that the user_lookup_loader returns cannot be edited, since db.session does not "
    "contain it. In the loader, write:\n\n    return db.session.get(User, identity)"
)
_TAKEN = "A user with this value already exists."
# MariaDB's codes of a wrong value and a failed CHECK, which PyMySQL raises as OperationalError.
_VALUE_ERRORS_OF_MARIADB = {1292, 4025}

# The attributes of a user that an edit has changed, each with its (old, new) value.
Changes = dict[str, tuple[object, object]]
# Makes the response of a user that is being edited.
Render = Callable[[Any], Response]


class CommitError(Exception):
    """The commit has failed, by the exception that is the cause."""


class Editor:
    """Changes users through the host's session.

    Args:
        app: The app that the profile is registered on.
        query: The query that reads its users.
        schema: The schema that dumps them.
        policy: What a PATCH must not write.
        require_active: Raises UserInactiveError for a user who may not be served.
    """

    def __init__(
        self,
        app: Flask,
        query: ProfileQuery,
        schema: Schema,
        policy: WritePolicy,
        *,
        require_active: Callable[[Any], None],
    ) -> None:
        self.app = app
        self.patch = PatchReader(app, query, schema, policy)
        self._db: SQLAlchemy = app.extensions["sqlalchemy"]
        self._query = query
        self._locking = LockingQuery(query)
        self._require_active = require_active
        self._unique = unique_attributes(query.mapper)

    @property
    def session(self) -> Session:
        """The host's session of this request."""
        return current_session(self._db)

    @property
    def bind(self) -> Any:
        """The engine or connection on which users are written."""
        return self._locking.bind(self.session)

    def find_lean_engine(self) -> Engine | None:
        """Return the engine of users where the request has no session yet."""
        return self._query.find_lean_engine()

    def change(
        self, identity: object, user: Any, patch: Patch, render: Render
    ) -> tuple[Response, Changes]:
        """Lock and change a user and commit; return the new profile and what has changed.

        Raises:
            CommitError: Where the commit fails.
            RefusalError, UserNotFoundError, UserInactiveError: Where the user cannot be changed so.
        """
        session = self.session
        # A callback of the host may have prepared this transaction, for a tenant.
        is_prepared = session.in_transaction()
        key = self.find_key(identity, user)
        if user is None and self._locking.locks_database(session):
            # A user who is refused must not reach the lock.
            self._require_active(self._locking.load_unlocked(session, key))
        locked = self._locking.load(session, key, known=user)
        if isinstance(user, self._query.mapper.class_) and locked is not user:
            raise ConfigurationError(_NOT_IN_SESSION)
        self._require_active(locked)
        if is_conditional():
            require_match(render(locked))
        before, values = self._choose_values(locked, patch)
        changes: Changes = {}
        if values:
            with self._explaining(session, key, patch, in_savepoint=is_prepared):
                self.patch.assign(locked, values)
                self._send(session, values)
            # The database may have changed the values: the response has what a read will have.
            locked = self._locking.reload(session, key, before.keys())
            changes = _compare(before, {name: get_value(locked, name) for name in before})
        response = render(locked)
        try:
            session.commit()
        except Exception as error:
            raise CommitError from error
        return response, changes

    def find_key(self, identity: object, user: Any) -> object:
        """Return the value of the identity attribute; or raise UserNotFoundError."""
        return self._query.parse(identity) if user is None else get_value(user, self._query.key)

    def explain_conflict(
        self, key: object, values: Mapping[str, object]
    ) -> InvalidFieldsError | ConstraintError:
        """Return the refusal of values that violate a constraint.

        Args:
            key: The value of the user's identity attribute.
            values: The attributes that the edit sets, with their new values.
        """
        session = self.session
        user = self._locking.load(session, key)
        connection = session.connection({"bind": self.bind})
        names = self._mapped_names(values)
        stored = {attribute: values[name] for attribute, name in names.items()}
        taken = find_taken(connection, self._query.mapper, user, stored)
        messages = {self.patch.field_name(names[attribute]): [_TAKEN] for attribute in taken}
        return InvalidFieldsError(messages) if messages else ConstraintError()

    def _choose_values(self, user: Any, patch: Patch) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the old values of what a patch sets, and the new values that differ."""
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
        """Raise the refusal of values that the database refuses in the ``with`` block.

        What asks which value is taken needs the transaction that a callback has prepared, and so a
        savepoint to go back to.
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
        """Return the mapped attributes behind those of an edit, which may be synonyms for them."""
        mapper = self._query.mapper
        columns = {name: find_column(mapper, name) for name in values}
        return {
            mapper.get_property_by_column(column).key: name
            for name, column in columns.items()
            if column is not None
        }

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
    is_of_mariadb = error_code(error) in _VALUE_ERRORS_OF_MARIADB
    return is_of_mariadb or isinstance(error, DataError) or not isinstance(error, DBAPIError)
