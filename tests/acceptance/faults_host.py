"""The app that faults.py serves: one profile is read directly, the other through the session."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import Engine

from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema

# The timeouts of the app, in seconds.
POOL_TIMEOUT, STATEMENT_TIMEOUT, CONNECT_TIMEOUT = 1, 1, 2
POOL_SIZE = 4

db = SQLAlchemy()


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    pass


class TitledProfile(ProfileSchema):  # Its field needs a User object, so the session reads it.
    title = fields.Function(lambda user: user.username.title())


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT,
        "connect_args": {
            "connect_timeout": CONNECT_TIMEOUT,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT}s",
        },
    }
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())
    app.register_blueprint(ProfileBlueprint("titled", schema=TitledProfile), url_prefix="/titled")
    with app.app_context():
        threading.Thread(target=hold_pool, args=[db.engine], daemon=True).start()
    return app


def hold_pool(engine: Engine) -> None:
    """Hold all connections of this worker's pool while a file named "hold" exists."""
    while True:
        if Path("hold").exists():
            connections = [engine.connect() for _ in range(POOL_SIZE)]
            Path(f"held-{os.getpid()}").touch()
            while Path("hold").exists():
                time.sleep(0.01)
            for connection in connections:
                connection.close()
        time.sleep(0.01)
