"""The read of a user whose row no other transaction can change until the commit."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, false, inspect, update
from sqlalchemy.orm import undefer

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper, Session

    from .queries import ProfileQuery

_POPULATE_EXISTING = {"populate_existing": True}


class LockingQuery:
    """Reads and locks users where they are written, not on a replica.

    Args:
        query: The query that reads users without a lock.
    """

    def __init__(self, query: ProfileQuery) -> None:
        self._query = query
        self._select = query.select_entity.with_for_update(of=query.mapper.class_)
        self._update_nothing = _update_of_no_row(query.mapper)

    def load(self, session: Session, key: object, *, known: Any = None) -> Any:
        """Return the user of a key as an entity, as it is now; or raise UserNotFoundError.

        What the host has read of the user before the lock is read again: a setter or a validator
        of the model may use it for a new value.

        Args:
            session: The session, which keeps the lock until its transaction ends.
            key: The value of the identity attribute.
            known: The user, where the host has loaded one for the token.
        """
        if self.locks_database(session):
            # It has no FOR UPDATE, but one lock that the first write of a transaction takes.
            self._query.execute_in(session, self._update_nothing, {}, bind=self.bind(session))
        names = self._read_before(known)
        user = self._read(session, key, names)
        missed = self._read_before(user) - names  # Read without a loader, into the same session.
        return self._read(session, key, names | missed) if missed else user

    def locks_database(self, session: Session) -> bool:
        """Tell whether there is one lock only, of the whole database, as on SQLite."""
        name: str = self.bind(session).dialect.name
        return name == "sqlite"

    def load_unlocked(self, session: Session, key: object) -> Any:
        """Return the user of a key without the lock; or raise UserNotFoundError.

        A transaction that has begun here is ended if it has a snapshot: the lock would conflict
        with what others commit in between.
        """
        bind = self.bind(session)
        is_of_host = session.in_transaction() or not isinstance(bind, Engine)
        user = self._query.require_same_key(self.reload(session, key), str(key))
        driver: Any = session.connection({"bind": bind}).connection.driver_connection
        if not is_of_host and getattr(driver, "in_transaction", True):
            session.rollback()
        return user

    def _read(self, session: Session, key: object, names: Set[str] = frozenset()) -> Any:
        """Return the user with what the schema needs, and with other columns."""
        columns = [undefer(getattr(self._query.mapper.class_, name)) for name in names]
        result = session.execute(
            self._select.options(*columns) if columns else self._select,
            {"identity": key},
            execution_options=_POPULATE_EXISTING if session.identity_map else {},
            bind_arguments={"bind": self.bind(session)},
        )
        return self._query.require_same_key(result.unique().scalars().one_or_none(), str(key))

    def _read_before(self, user: Any) -> set[str]:
        """Return the columns that a user has, beside those that the SELECT reads."""
        mapper = self._query.mapper
        if not isinstance(user, mapper.class_):
            return set()
        state: Any = inspect(user)
        names: set[str] = state.dict.keys() - self._query.refreshed
        return names & {*mapper.column_attrs.keys()} if names else names

    def reload(self, session: Session, key: object, names: Set[str] = frozenset()) -> Any:
        """Return what the schema needs of a user: the columns, where these are all that is needed.

        Args:
            session: The session, which has locked and changed the user.
            key: The value of the identity attribute.
            names: The attributes that are needed beside those of the schema.
        """
        if self._query.columns and names <= {*self._query.columns}:
            return self._query.load_columns(session, key, bind=self.bind(session))
        return self._read(session, key)

    def bind(self, session: Session) -> Any:
        """Return the engine or connection on which a session writes users."""
        return session.get_bind(mapper=self._query.mapper, clause=self._update_nothing)


def _update_of_no_row(mapper: Mapper[Any]) -> Any:
    """Return an UPDATE that changes no row: its bind is that of any change of a user."""
    table: Any = mapper.local_table
    column = mapper.primary_key[0].name
    return update(table).where(false()).values({column: table.c[column]})
