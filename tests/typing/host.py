# pyright: strict
"""The code of a host app, which .ci/run checks with mypy and pyright."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column
from typing_extensions import assert_type

from flask_profile import (
    ConfigurationError,
    ProfileBlueprint,
    ProfileMixin,
    ProfileSchema,
    openapi_spec,
    profile_updated,
)
from flask_profile.fields import Identifier, MediaUrl, UtcDateTime

db = SQLAlchemy()


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    nickname: Mapped[str | None] = mapped_column()


class Member(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    # A primary key of another type than the mixin's needs a comment, like any such override.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)  # type: ignore[assignment]


class Profile(ProfileSchema):
    nickname = fields.String()


class MappedProfile(ProfileSchema):
    id = Identifier(attribute="uuid", dump_only=True)
    avatar = MediaUrl(attribute="image", dump_only=True)
    date_joined = UtcDateTime(attribute="created_at", naive=timezone.utc, dump_only=True)
    is_active = fields.Boolean(attribute="active", dump_only=True)


def create_app() -> Flask:
    app = Flask(__name__)
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())
    by_class = ProfileBlueprint("by_class", user_model=User, schema=Profile)
    app.register_blueprint(by_class, url_prefix="/v2/me")
    by_name = ProfileBlueprint("by_name", user_model="host:User", schema="host:Profile")
    try:
        app.register_blueprint(by_name, url_prefix="/v3/me")
    except ConfigurationError as error:
        app.logger.error("%s", error)
    profile_updated.connect(log_update, app)
    return app


def log_update(app: Flask, identity: object, changes: dict[str, tuple[object, object]]) -> None:
    app.logger.info("%s: %s", identity, changes)


def check_columns(user: User, member: Member) -> None:
    assert_type(user.id, int)
    assert_type(user.username, str)
    assert_type(user.email, str)
    assert_type(user.first_name, str)
    assert_type(user.last_name, str)
    assert_type(user.number_phone, str | None)
    assert_type(user.avatar, str | None)
    assert_type(user.date_joined, datetime)
    assert_type(user.last_login, datetime | None)
    assert_type(user.is_active, bool)
    assert_type(user.is_staff, bool)
    assert_type(user.is_superuser, bool)
    assert_type(member.id, uuid.UUID)
    assert_type(member.username, str)
    assert_type(user.nickname, str | None)
    assert_type(User.id, InstrumentedAttribute[int])
    assert_type(User.username, InstrumentedAttribute[str])


def check_rows() -> None:
    user = User(id=1, username="john_doe", email="john@example.com", nickname="Johnny")
    db.session.add(user)
    assert_type(db.session.scalar(select(User.id).where(User.id == 1)), int | None)


def check_openapi(app: Flask) -> None:
    assert_type(openapi_spec(app), dict[str, object])
