"""The app that capacity_check.py serves: the profile, and how long it has held connections."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import Engine, NullPool, event
from sqlalchemy.sql.dml import UpdateBase

from flask_profile import ProfileBlueprint, ProfileMixin

CONFIG: dict[str, Any] = json.loads(os.environ["CONFIG"])
if CONFIG.pop("NULL_POOL", False):
    CONFIG["SQLALCHEMY_ENGINE_OPTIONS"]["poolclass"] = NullPool


class RoutingSession(Session):
    """Reads from the replica, as in the recipe of the manual."""

    def get_bind(
        self, mapper: Any = None, clause: Any = None, bind: Any = None, **_options: Any
    ) -> Any:
        if bind is not None:  # An edit reads where it writes.
            return bind
        if self._flushing or isinstance(clause, UpdateBase):
            return db.engines[None]
        return db.engines["replica"]


session_options = {"class_": RoutingSession} if "SQLALCHEMY_BINDS" in CONFIG else {}
db = SQLAlchemy(session_options=session_options)


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    pass


class Held:
    """How long this process has held connections of its pools."""

    def __init__(self, *engines: Engine) -> None:
        self._lock = threading.Lock()
        self._begin: dict[int, tuple[float, float]] = {}
        self.seconds = self.cpu_seconds = 0.0
        for engine in engines:  # Unlike a listener to the engine, this is one to its pool.
            event.listen(engine, "checkout", self._check_out)
            event.listen(engine, "checkin", self._check_in)

    def _check_out(self, _connection: object, record: object, _proxy: object) -> None:
        self._begin[id(record)] = (time.perf_counter(), time.thread_time())

    def _check_in(self, _connection: object, record: object) -> None:
        begin, cpu_begin = self._begin.pop(id(record))
        with self._lock:
            self.seconds += time.perf_counter() - begin
            self.cpu_seconds += time.thread_time() - cpu_begin


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.update(CONFIG)
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())
    with app.app_context():
        held = Held(*db.engines.values())

    @app.get("/held/")
    def read_held() -> dict[str, float]:
        return {"pid": os.getpid(), "seconds": held.seconds, "cpu_seconds": held.cpu_seconds}

    return app
