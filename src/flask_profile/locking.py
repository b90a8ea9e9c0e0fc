"""The lock of a user, whose row no other transaction can change until the commit."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow.utils import get_value
from sqlalchemy import Engine, false, inspect, update
from sqlalchemy.orm import undefer

from .conditions import is_conditional, require_match
from .connections import current_session
from .errors import ConfigurationError

if TYPE_CHECKING:
    from flask import Response
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy.orm import Mapper, Session

    from .queries import ProfileQuery

_POPULATE_EXISTING = {"populate_existing": True}
_NOT_IN_SESSION = (
    "The user that the user_lookup_loader returns cannot be edited, because it does not belong to "
    "db.session. In the loader, write:\n\n    return db.session.get(User, identity)"
)


class CommitError(Exception):
    """The commit has failed. The cause is the exception that it raised."""


@dataclass(frozen=True)
class LockedUser:
    """A user that is locked until the transaction ends.

    Args:
        session: The session, in whose transaction the user is locked.
        key: The value of the identity attribute.
        user: The user.
        is_in_prepared_transaction: Whether a callback of the host has begun the transaction, such
            as for a tenant.
    """

    session: Session
    key: object
    user: Any
    is_in_prepared_transaction: bool


class UserLock:
    """Locks the users of one profile, and decides whether they may be changed.

    Args:
        db: The host's SQLAlchemy.
        query: The query that reads its users.
        require_active: Raises UserInactiveError for a user who may not be served.
        render: Makes the response of a user, with its ETag.
    """

    def __init__(
        self,
        db: SQLAlchemy,
        query: ProfileQuery,
        *,
        require_active: Callable[[Any], None],
        render: Callable[[Any], Response],
    ) -> None:
        self.query = query
        self.rows = LockingQuery(query)
        self.render = render
        self._db = db
        self._require_active = require_active

    @property
    def session(self) -> Session:
        """The host's session of this request."""
        return current_session(self._db)

    @property
    def bind(self) -> Any:
        """The engine or connection on which users are written."""
        return self.rows.bind(self.session)

    def find_lean_engine(self) -> Engine | None:
        """Return the engine of the users, if the request has no session yet."""
        return self.query.find_lean_engine()

    def find_key(self, identity: object, user: Any) -> object:
        """Return the value of the identity attribute, or raise UserNotFoundError."""
        return self.query.parse(identity) if user is None else get_value(user, self.query.key)

    def lock(self, identity: object, user: Any) -> LockedUser:
        """Lock the user of a verified token.

        Args:
            identity: The identity of the token.
            user: The user that the host has loaded for it, or None.

        Raises:
            UserNotFoundError, UserInactiveError: If there is no such active user.
            PreconditionFailedError: If ``If-Match`` does not match.
            ConfigurationError: If the host has loaded the user in another session.
        """
        session = self.session
        is_prepared = session.in_transaction()
        key = self.find_key(identity, user)
        if user is None and self.rows.locks_database(session):
            # A user who is refused must not reach the lock.
            self._require_active(self.rows.load_unlocked(session, key))
        locked = self.rows.load(session, key, known=user)
        if isinstance(user, self.query.mapper.class_) and locked is not user:
            raise ConfigurationError(_NOT_IN_SESSION)
        self._require_active(locked)
        if is_conditional():
            require_match(self.render(locked))
        return LockedUser(session, key, locked, is_prepared)


def commit(session: Session) -> None:
    """Commit, or raise CommitError."""
    try:
        session.commit()
    except Exception as error:
        raise CommitError from error


class LockingQuery:
    """Reads and locks users in the database where they are written, not on a replica.

    Args:
        query: The query that reads users without a lock.
    """

    def __init__(self, query: ProfileQuery) -> None:
        self._query = query
        self._select = query.select_entity.with_for_update(of=query.mapper.class_)
        self._update_nothing = _update_of_no_row(query.mapper)

    def load(self, session: Session, key: object, *, known: Any = None) -> Any:
        """Return the current user of a key as an entity, or raise UserNotFoundError.

        Columns that the host has read before the lock are read again: a setter or a validator of
        the model may use them for a new value.

        Args:
            session: The session, which keeps the lock until its transaction ends.
            key: The value of the identity attribute.
            known: The user, if the host has loaded one for the token.
        """
        if self.locks_database(session):
            # It has no FOR UPDATE, but the first write of a transaction locks the whole database.
            self._query.execute_in(session, self._update_nothing, {}, bind=self.bind(session))
        names = self._read_before(known)
        user = self._read(session, key, names)
        missed = self._read_before(user) - names  # Read by the host, without a loader.
        return self._read(session, key, names | missed) if missed else user

    def locks_database(self, session: Session) -> bool:
        """Tell whether there is only one lock, for the whole database, as on SQLite."""
        name: str = self.bind(session).dialect.name
        return name == "sqlite"

    def load_unlocked(self, session: Session, key: object) -> Any:
        """Return the user of a key without the lock, or raise UserNotFoundError.

        If this begins a transaction that has a snapshot, it is ended: the lock would conflict with
        commits of others in between.
        """
        bind = self.bind(session)
        is_of_host = session.in_transaction() or not isinstance(bind, Engine)
        user = self._query.require_same_key(self.reload(session, key), str(key))
        driver: Any = session.connection({"bind": bind}).connection.driver_connection
        if not is_of_host and getattr(driver, "in_transaction", True):
            session.rollback()
        return user

    def _read(self, session: Session, key: object, names: Set[str] = frozenset()) -> Any:
        """Return the user with the attributes that the schema needs, and with other columns."""
        columns = [undefer(getattr(self._query.mapper.class_, name)) for name in names]
        result = session.execute(
            self._select.options(*columns) if columns else self._select,
            {"identity": key},
            execution_options=_POPULATE_EXISTING if session.identity_map else {},
            bind_arguments={"bind": self.bind(session)},
        )
        return self._query.require_same_key(result.unique().scalars().one_or_none(), str(key))

    def _read_before(self, user: Any) -> set[str]:
        """Return the loaded columns of a user that the SELECT does not read."""
        mapper = self._query.mapper
        if not isinstance(user, mapper.class_):
            return set()
        state: Any = inspect(user)
        names: set[str] = state.dict.keys() - self._query.refreshed
        return names & {*mapper.column_attrs.keys()} if names else names

    def reload(self, session: Session, key: object, names: Set[str] = frozenset()) -> Any:
        """Return a user with the attributes that the schema needs, as columns if they suffice.

        Args:
            session: The session, which has locked and changed the user.
            key: The value of the identity attribute.
            names: Attributes that are needed in addition to those of the schema.
        """
        if self._query.columns and names <= {*self._query.columns}:
            return self._query.load_columns(session, key, bind=self.bind(session))
        return self._read(session, key)

    def bind(self, session: Session) -> Any:
        """Return the engine or connection on which a session writes users."""
        return session.get_bind(mapper=self._query.mapper, clause=self._update_nothing)


def _update_of_no_row(mapper: Mapper[Any]) -> Any:
    """Return an UPDATE that changes no row. It has the same bind as any change of a user."""
    table: Any = mapper.local_table
    column = mapper.primary_key[0].name
    return update(table).where(false()).values({column: table.c[column]})
