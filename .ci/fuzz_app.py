"""The apps that .ci/fuzz.py sends its requests to, on PostgreSQL; gunicorn makes application()."""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, make_url, select, text
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_profile import ProfileBlueprint, ProfileMixin

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from conftest import JOHN, JOHN_AS_JSON, user_of
from hostile import HOSTS, KEY

SERVER = make_url("postgresql+psycopg://postgres@127.0.0.1/test")
OPTIONS = "-csearch_path=flask_profile_fuzz -csynchronous_commit=off"  # Edits need not be slow.
DATABASE = SERVER.update_query_dict({"options": OPTIONS})
HS256 = HOSTS["HS256"]
MAX_PICTURE, MAX_BODY = 4_000, 30_000
ANY_SUB = HS256 | {"JWT_VERIFY_SUB": False}
CONFIGS: dict[str, dict[str, Any]] = {name.replace(" ", "-"): HOSTS[name] for name in HOSTS} | {
    "any-sub": ANY_SUB,
    "username": ANY_SUB | {"PROFILE_IDENTITY_FIELD": "username", "PROFILE_REQUIRE_JSON": True},
    "cookies": HS256 | {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_CSRF_CHECK_FORM": True},
    "query": HS256 | {"JWT_TOKEN_LOCATION": ["query_string"]},
    "json": HS256 | {"JWT_TOKEN_LOCATION": ["json"]},
    "open": HS256
    | {
        "PROFILE_METHODS": ["GET", "PATCH", "POST"],
        "PROFILE_AVATARS": True,
        "PROFILE_AVATAR_SIZE": 16,
        "PROFILE_AVATAR_MAX_BYTES": MAX_PICTURE,
        "MAX_CONTENT_LENGTH": MAX_BODY,
    },
}
INACTIVE = {"id": 7, "username": "ann", "email": "ann@example.com", "is_active": False}
EVE = {"id": 4_000_008, "username": "eve", "email": "eve@example.com"}  # Whose row is edited.
MEMBER_AS_JSON = JOHN_AS_JSON.replace("1", f'"{KEY}"', 1)


def make() -> tuple[SQLAlchemy, type[Any], type[Any], dict[str, Flask]]:
    """Return the database, its models, and the apps by their prefix, which serve both models.

    Keys are made anew in each process, so that the configs are handed down by the environment.
    """
    db = SQLAlchemy()
    user = user_of(db)

    class Member(ProfileMixin, db.Model):  # type: ignore[name-defined]
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True)

    apps = {}
    for name, config in json.loads(os.environ["FUZZ_CONFIGS"]).items():
        app = apps[f"/{name}"] = Flask(name)
        app.config.update(config, SQLALCHEMY_DATABASE_URI=DATABASE)
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 2}
        db.init_app(app)
        JWTManager(app)
        app.register_blueprint(ProfileBlueprint(user_model=user))
        app.register_blueprint(ProfileBlueprint("me", user_model=Member), url_prefix="/v2/me")
    return db, user, Member, apps


def application() -> DispatcherMiddleware:
    """Return what gunicorn serves."""
    return DispatcherMiddleware(NotFound(), make()[-1])


def fill() -> None:
    """Put active users, an inactive one and a member into new tables."""
    engine = create_engine(SERVER)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS flask_profile_fuzz CASCADE"))
        connection.execute(text("CREATE SCHEMA flask_profile_fuzz"))
    engine.dispose()
    db, user, member, apps = make()
    with apps["/HS256"].app_context():
        db.create_all()
        users = [user(**JOHN), user(**INACTIVE), user(**JOHN | EVE | {"avatar": None})]
        db.session.add_all([*users, member(**JOHN | {"id": KEY})])
        db.session.commit()
        db.session.remove()
        db.engine.dispose()


def read(statement: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    engine = create_engine(DATABASE)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(statement)]
    engine.dispose()
    return rows


def others_than_eve() -> list[tuple[Any, ...]]:
    """Return all rows that nobody edits."""
    _, user, member, _ = make()
    table = user.__table__
    others = select(table).where(table.c.id != EVE["id"]).order_by(table.c.id)
    return read(others) + read(select(member.__table__))


def avatar_of_eve() -> str | None:
    """Return the name of the file that Eve's row names."""
    _, user, _, _ = make()
    return read(select(user.avatar).filter_by(id=EVE["id"]))[0][0]
