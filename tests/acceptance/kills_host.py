"""The app that kills.py serves and kills: profiles to edit and delete, avatars in a directory."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema

db = SQLAlchemy()


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    prefs: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class EditableProfile(ProfileSchema):
    prefs = fields.Raw()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
    app.config["PROFILE_METHODS"] = ["DELETE", "PATCH"]
    app.config["PROFILE_FRESH_METHODS"] = []
    app.config["PROFILE_SCHEMA"] = EditableProfile
    app.config["PROFILE_AVATARS"] = True
    app.config["PROFILE_MEDIA_STORAGE"] = os.environ["MEDIA"]
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())
    return app
