"""The apps that fuzz.py sends requests to; gunicorn calls application()."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields
from sqlalchemy import JSON, create_engine, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from conftest import JOHN, JOHN_AS_JSON, make_user_model
from flask_profile import ProfileBlueprint, ProfileMixin
from hostile import HOSTS, USER_UUID

HS256 = HOSTS["HS256"]
MAX_IMAGE, MAX_BODY = 4_000, 30_000
ANY_SUB = HS256 | {"JWT_VERIFY_SUB": False}
CONFIGS: dict[str, dict[str, Any]] = {name.replace(" ", "-"): HOSTS[name] for name in HOSTS} | {
    "any-sub": ANY_SUB,
    "username": ANY_SUB | {"PROFILE_IDENTITY_FIELD": "username", "PROFILE_REQUIRE_JSON": True},
    "cookies": HS256 | {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_CSRF_CHECK_FORM": True},
    "query": HS256 | {"JWT_TOKEN_LOCATION": ["query_string"]},
    "json": HS256 | {"JWT_TOKEN_LOCATION": ["json"]},
    "full": HS256
    | {
        "PROFILE_METHODS": ["DELETE", "GET", "PATCH", "POST"],
        "PROFILE_AVATARS": True,
        "PROFILE_AVATAR_SIZE": 16,
        "PROFILE_AVATAR_MAX_BYTES": MAX_IMAGE,
        "MAX_CONTENT_LENGTH": MAX_BODY,
    },
}
INACTIVE = {"id": 7, "username": "ann", "email": "ann@example.com", "is_active": False}
EVE = {"id": 4_000_008, "username": "eve", "email": "eve@example.com"}  # Edits change her row only.
DOOMED = range(5_000_001, 5_000_301)  # The ids of users who delete their accounts.
MEMBER_AS_JSON = JOHN_AS_JSON.replace("1", f'"{USER_UUID}"', 1)


class Preferences(Schema):
    id = fields.Integer(dump_only=True)
    prefs = fields.Raw(allow_none=True)


def create_apps() -> tuple[SQLAlchemy, type[Any], type[Any], dict[str, Flask]]:
    """Return the database, its two models, and the apps by URL prefix. Each app serves both models.

    Each process generates new signing keys, so the configs are passed in an environment variable.
    """
    db = SQLAlchemy()
    user = make_user_model(db)
    user.prefs = mapped_column(JSON)

    class Member(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True)  # type: ignore[assignment]

    apps: dict[str, Flask] = {}
    for name, config in json.loads(os.environ["FUZZ_CONFIGS"]).items():
        app = apps[f"/{name}"] = Flask(name)
        app.config.update(config, SQLALCHEMY_DATABASE_URI=os.environ["DATABASE"])
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 2}
        db.init_app(app)
        JWTManager(app)
        app.register_blueprint(ProfileBlueprint(user_model=user))
        app.register_blueprint(ProfileBlueprint("me", user_model=Member), url_prefix="/v2/me")
        prefs = ProfileBlueprint("prefs", user_model=user, schema=Preferences)
        app.register_blueprint(prefs, url_prefix="/prefs")
    return db, user, Member, apps


def application() -> DispatcherMiddleware:
    """Return the WSGI app that gunicorn serves."""
    return DispatcherMiddleware(NotFound(), {**create_apps()[-1]})


def create_tables() -> None:
    """Create the tables, with two active users, an inactive one and a member."""
    db, user, member, apps = create_apps()
    with apps["/HS256"].app_context():
        db.create_all()
        users = [user(**JOHN), user(**INACTIVE), user(**JOHN | EVE | {"avatar": None})]
        db.session.add_all([*users, member(**JOHN | {"id": USER_UUID})])
        db.session.add_all(
            user(id=number, username=f"u{number}", email=f"{number}@example.com")
            for number in DOOMED
        )
        db.session.commit()
        db.session.remove()
        db.engine.dispose()


def fetch_rows(statement: Any) -> list[tuple[Any, ...]]:
    """Return the rows that a statement selects."""
    engine = create_engine(os.environ["DATABASE"])
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(statement)]
    engine.dispose()
    return rows


def fetch_unedited_rows() -> list[tuple[Any, ...]]:
    """Return all rows that no request may change."""
    _, user, member, _ = create_apps()
    table = user.__table__
    is_edited = table.c.id.in_([EVE["id"], *DOOMED])
    others = select(table).where(~is_edited).order_by(table.c.id)
    return fetch_rows(others) + fetch_rows(select(member.__table__))


def fetch_avatar_of_eve() -> str | None:
    """Return the name of Eve's avatar file."""
    _, user, _, _ = create_apps()
    ((avatar,),) = fetch_rows(select(user.avatar).filter_by(id=EVE["id"]))
    return avatar  # type: ignore[no-any-return]
