"""How the statement of a profile reaches the database: by the session, or a lean connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy import Executable
    from sqlalchemy.engine import Connection, Dialect, Result
    from sqlalchemy.orm import Mapper, Session


class StatementReader:
    """Executes one SELECT for the users of an app, where the host's session would execute it.

    Args:
        db: The host's SQLAlchemy.
        mapper: The mapper of the users, by which a session finds its bind.
        statement: The SELECT.
        take: Makes a user, or None, of its result.
        selects_columns: Whether it selects columns, and so may do without a session.
    """

    def __init__(
        self,
        db: SQLAlchemy,
        mapper: Mapper[Any],
        statement: Executable,
        take: Callable[[Result[Any]], Any],
        *,
        selects_columns: bool,
    ) -> None:
        self._session = db.session
        self._mapper = mapper
        self._statement: Any = statement
        self._take = take
        self._selects_columns = selects_columns
        # Used for a request that has no session yet. To create one in each request, only to ask for
        # its bind and its listeners, would make a request 7 % slower on SQLite.
        self._unused_session = db.session.session_factory()
        # A get_bind() of the host may choose another bind for each session.
        self._has_own_binds = type(self._unused_session).get_bind is not FlaskSession.get_bind

    @property
    def dialect(self) -> Dialect:
        """The dialect of the database that is read."""
        dialect: Dialect = self._bind(self._current_session()).dialect
        return dialect

    def fetch(self, parameters: dict[str, object]) -> Any:
        """Execute the statement and return the user, or None.

        In a transaction of the host, the session executes it: a second connection would not see
        that transaction, and could exhaust the pool. Else, a pooled connection that turns out to be
        dead is replaced once.
        """
        session = self._current_session()
        if session.in_transaction():
            return self._fetch_in_session(parameters)
        fetch = self._choose_fetch(session)
        try:
            return fetch(parameters)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        self._current_session().rollback()
        return fetch(parameters)

    def _choose_fetch(self, session: Session) -> Callable[[dict[str, object]], Any]:
        """Return the cheapest way to execute the statement outside a transaction of the host."""
        if _has_listeners(session):
            return self._fetch_in_session
        bind = self._bind(session) if self._selects_columns else None
        if isinstance(bind, Engine):
            return partial(self._fetch_lean, bind)
        return self._fetch_and_close

    def _fetch_in_session(self, parameters: dict[str, object]) -> Any:
        return self._take(self._session().execute(self._statement, parameters))

    def _fetch_and_close(self, parameters: dict[str, object]) -> Any:
        """Let the session execute the statement, and end the transaction that this begins.

        It would stay open until the host's teardown, and its connection could die before that.
        """
        try:
            return self._fetch_in_session(parameters)
        finally:
            transaction = self._session().get_transaction()
            if transaction is not None:
                transaction.close()

    def _fetch_lean(self, engine: Engine, parameters: dict[str, object]) -> Any:
        """Execute the statement on a connection from the pool, without a session."""
        with engine.connect() as connection:
            _save_round_trips(connection)
            return self._take(connection.execute(self._statement, parameters))

    def _current_session(self) -> Session:
        """Return the request's session, or the unused one where the request has none yet."""
        exists = self._has_own_binds or self._session.registry.has()
        return self._session() if exists else self._unused_session

    def _bind(self, session: Session) -> Any:
        return session.get_bind(mapper=self._mapper, clause=self._statement)


def _has_listeners(session: Session) -> bool:
    """Tell whether the host listens to what its sessions execute or begin.

    Only the session calls these listeners, such as one that adds a criterion for a tenant.
    """
    events: Any = session.dispatch
    return bool(events.do_orm_execute or events.after_begin)


def _save_round_trips(connection: Connection) -> None:
    """Do without BEGIN and ROLLBACK on PostgreSQL, where each is a round trip.

    A connection that is in a transaction refuses this, and a dead one fails. Both are left to the
    statement, which works in the first case and raises the error of the second.
    """
    engine = connection.engine
    if engine.dialect.name == "postgresql" and not engine.dispatch.begin:
        with suppress(engine.dialect.loaded_dbapi.Error):
            connection.execution_options(isolation_level="AUTOCOMMIT")
