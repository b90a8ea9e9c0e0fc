"""Execute the statement of a profile in the session, or on a connection without a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import scoped_session, sessionmaker

from .autocommit import autocommit, may_use_autocommit

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy import Executable
    from sqlalchemy.engine import Dialect, Result
    from sqlalchemy.orm import Mapper, Session


def current_session(db: SQLAlchemy) -> Session:
    """Return the session of the current request.

    ``db.session`` is read each time, because a test suite may replace it for each test by another
    ``scoped_session``, or by a session itself.
    """
    in_place: Any = db.session
    session: Session = in_place() if isinstance(in_place, scoped_session) else in_place
    return session


class StatementReader:
    """Executes one SELECT for the users of an app, on the bind that the host's session would use.

    Args:
        db: The host's SQLAlchemy.
        mapper: The mapper of the users, with which a session finds its bind.
        statement: The SELECT.
        take: Returns the user in its result, or None.
        selects_columns: Whether it selects columns, and can therefore run without a session.
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
        self._db = db
        self._mapper = mapper
        self._statement: Any = statement
        self._take = take
        self._selects_columns = selects_columns
        self._stand_in: tuple[object, Session | None] = (None, None)

    @property
    def dialect(self) -> Dialect:
        """The dialect of the database that is read."""
        bind = self.find_lean_engine() or self._bind(current_session(self._db))
        dialect: Dialect = bind.dialect
        return dialect

    def fetch(self, parameters: dict[str, object]) -> Any:
        """Execute the statement and return the user, or None.

        In a transaction of the host, the session executes it: a second connection would not see
        that transaction, and could exhaust the pool. Otherwise, if a pooled connection turns out to
        be dead, the statement is executed once more on another one.
        """
        engine = self.find_lean_engine()
        fetch = self._fetch_and_close if engine is None else partial(self._fetch_lean, engine)
        if engine is None and current_session(self._db).in_transaction():
            return self._fetch_in_session(parameters)
        try:
            return fetch(parameters)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return fetch(parameters)

    def execute_in(
        self, session: Session, statement: Any, parameters: dict[str, object], *, bind: Any
    ) -> Result[Any]:
        """Execute a statement in the transaction of a session.

        If nothing listens to the session, its connection executes the statement: ``execute`` of the
        session takes three times as long to select columns.

        Args:
            session: The session.
            statement: An UPDATE, or a SELECT of columns.
            parameters: The parameters of the statement.
            bind: The engine or connection that the session uses for users.
        """
        if self._find_stand_in() is None or _has_listeners(session):
            return session.execute(statement, parameters, bind_arguments={"bind": bind})
        return session.connection({"bind": bind}).execute(statement, parameters)

    def _fetch_in_session(self, parameters: dict[str, object]) -> Any:
        return self._take(current_session(self._db).execute(self._statement, parameters))

    def _fetch_and_close(self, parameters: dict[str, object]) -> Any:
        """Let the session execute the statement, and end the transaction that this begins.

        Otherwise it would stay open until the host's teardown, and its connection could die before
        that.
        """
        try:
            return self._fetch_in_session(parameters)
        except UnicodeEncodeError:
            # pg8000 has sent a part of the statement, and can no longer use the connection.
            current_session(self._db).invalidate()
            raise
        finally:
            transaction = current_session(self._db).get_transaction()
            if transaction is not None:
                transaction.close()

    def _fetch_lean(self, engine: Engine, parameters: dict[str, object]) -> Any:
        """Execute the statement on a connection from the pool, without a session."""
        with engine.connect() as connection:
            try:
                if not may_use_autocommit(engine):
                    return self._take(connection.execute(self._statement, parameters))
                with autocommit(connection):
                    return self._take(connection.execute(self._statement, parameters))
            except UnicodeEncodeError:
                connection.invalidate()
                raise

    def find_lean_engine(self) -> Engine | None:
        """Return the engine that a session of the request would use, or None if that must be used.

        The session must be used if the request already has one, if the host listens to its events,
        or if the host uses its own session class. A stand-in is inspected to find that out: to
        create a session for that in each request would make it 5 % slower on SQLite.
        """
        session = self._find_stand_in()
        if session is None or self._db.session.registry.has() or _has_listeners(session):
            return None
        engine = self._bind(session)
        return engine if isinstance(engine, Engine) else None

    def _find_stand_in(self) -> Session | None:
        """Return the stand-in for the sessions of ``db.session``, if there may be one."""
        sessions: Any = self._db.session
        known, session = self._stand_in
        if known is not sessions:
            session = _make_stand_in(sessions) if self._selects_columns else None
            self._stand_in = (sessions, session)
        return session

    def _bind(self, session: Session) -> Any:
        return session.get_bind(mapper=self._mapper, clause=self._statement)


def _make_stand_in(sessions: object) -> Session | None:
    """Return a session like those of ``db.session``, or None if these are not Flask-SQLAlchemy's.

    A session class of the host may do anything before it executes a statement. The same is true
    of execution options such as ``schema_translate_map``, which sessions have since SQLAlchemy 2.1.
    """
    factory = sessions.session_factory if type(sessions) is scoped_session else None
    if not isinstance(factory, sessionmaker) or factory.class_.__bases__ != (FlaskSession,):
        return None
    session: Session = factory()
    return None if getattr(session, "execution_options", None) else session


def _has_listeners(session: Session) -> bool:
    """Tell whether the host listens to events of a SELECT that only sessions have.

    Such a listener may add a criterion for a tenant, or execute ``SET LOCAL``.
    """
    events: Any = session.dispatch
    return bool(
        events.do_orm_execute
        or events.after_begin
        or events.after_transaction_create
        or events.after_transaction_end
    )
