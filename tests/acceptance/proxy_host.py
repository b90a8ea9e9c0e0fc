"""The app that proxy.py serves, also with Flask-Compress."""

from __future__ import annotations

import os

from flask import Flask
from flask_compress import Compress
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    pass


def create_app(*, compresses: bool = False) -> Flask:
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
    app.config["PROFILE_METHODS"] = ["GET", "POST", "PATCH"]
    app.config["COMPRESS_MIN_SIZE"] = 1
    db.init_app(app)
    JWTManager(app)
    if compresses:
        Compress(app)
    app.register_blueprint(ProfileBlueprint())
    return app


def add_user() -> str:
    """Create the tables and a user, and return their access token."""
    with create_app().app_context():
        db.create_all()
        db.session.add(User(username="john_doe", email="john@example.com"))
        db.session.commit()
        token: str = create_access_token("1", expires_delta=False)
        return token
