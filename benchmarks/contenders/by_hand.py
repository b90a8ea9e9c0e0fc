"""A profile view as an experienced Flask developer writes it without the library."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, ValidationError, fields
from sqlalchemy import DateTime, String
from sqlalchemy.orm import Mapped, mapped_column

METHOD, PATH = "POST", "/profile/"

app = Flask(__name__)
app.config.from_prefixed_env()
app.json.sort_keys = False  # The order of the fields is documented.
db = SQLAlchemy(app)
JWTManager(app)


class User(db.Model):  # type: ignore[name-defined, misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(150), unique=True)
    email: Mapped[str] = mapped_column(String(200), unique=True)
    first_name: Mapped[str] = mapped_column(String(200), default="")
    last_name: Mapped[str] = mapped_column(String(200), default="")
    number_phone: Mapped[str | None] = mapped_column(String(10))
    avatar: Mapped[str | None] = mapped_column(String(500))
    date_joined: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_login: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    is_active: Mapped[bool] = mapped_column(default=True)
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_superuser: Mapped[bool] = mapped_column(default=False)
    password: Mapped[str] = mapped_column(String(255))


class UtcDateTime(fields.DateTime):
    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:  # SQLite stores no time zone.
            value = value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


class ProfileSchema(Schema):
    id = fields.Integer()
    username = fields.String()
    email = fields.String()
    first_name = fields.String()
    last_name = fields.String()
    number_phone = fields.String()
    avatar = fields.String()
    date_joined = UtcDateTime()
    last_login = UtcDateTime()
    is_active = fields.Boolean()
    is_staff = fields.Boolean()
    is_superuser = fields.Boolean()


schema = ProfileSchema()
editable = ProfileSchema(only=("first_name", "last_name", "number_phone"))


@app.post(PATH)
@jwt_required()
def profile() -> ResponseReturnValue:
    user = db.session.get(User, int(get_jwt_identity()))
    if user is None:
        return jsonify(error="The user cannot be found in the database."), 404
    if not user.is_active:
        return jsonify(detail="User is inactive", code="user_inactive"), 401
    return jsonify(schema.dump(user))


@app.get(PATH)
@jwt_required()
def read() -> ResponseReturnValue:
    user = db.session.get(User, int(get_jwt_identity()))
    if user is None:
        return jsonify(error="The user cannot be found in the database."), 404
    if not user.is_active:
        return jsonify(detail="User is inactive", code="user_inactive"), 401
    response = jsonify(schema.dump(user))
    response.add_etag()
    return response.make_conditional(request)


@app.patch(PATH)
@jwt_required()
def edit() -> ResponseReturnValue:
    user = db.session.get(User, int(get_jwt_identity()))
    if user is None:
        return jsonify(error="The user cannot be found in the database."), 404
    if not user.is_active:
        return jsonify(detail="User is inactive", code="user_inactive"), 401
    try:
        values = editable.load(request.get_json(), partial=True)
    except ValidationError as error:
        return jsonify(error.messages), 400
    for name, value in values.items():
        setattr(user, name, value)
    db.session.commit()
    return jsonify(schema.dump(user))


def create_token(user_id: int, seconds: int) -> str:
    with app.app_context():
        return create_access_token(str(user_id), expires_delta=timedelta(seconds=seconds))
