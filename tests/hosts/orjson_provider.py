"""An API that reads and writes all of its JSON with orjson."""

from __future__ import annotations

from datetime import datetime, timezone

import orjson
from flask import Flask, abort, jsonify, request
from flask.json.provider import JSONProvider
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


class ORJSONProvider(JSONProvider):
    def dumps(self, obj, **_kwargs):
        return orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z).decode()

    def loads(self, s, **_kwargs):
        return orjson.loads(s)


class App(Flask):
    json_provider_class = ORJSONProvider


def create_app(config):
    app = App(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    app.register_blueprint(ProfileBlueprint())

    @app.post("/login")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.get("/events")
    def events():
        return jsonify(first=datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc), counts={1: 2})

    @app.errorhandler(404)
    def not_found(error):
        return jsonify(error=error.description, at=datetime(2024, 1, 15)), 404

    return app
