"""An API whose users can sign out: revoked tokens are kept in Redis until they expire."""

from __future__ import annotations

import redis
from flask import Flask, abort, current_app, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt, jwt_required
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


@jwt.token_in_blocklist_loader
def is_revoked(_header, payload):
    return current_app.extensions["redis"].exists(f"revoked:{payload['jti']}")


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(REDIS_URL="redis://127.0.0.1:6379/0")
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    app.extensions["redis"] = redis.Redis.from_url(app.config["REDIS_URL"])
    app.register_blueprint(ProfileBlueprint())

    @app.post("/sign-in")
    def sign_in():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.delete("/sign-out")
    @jwt_required()
    def sign_out():
        expires = app.config["JWT_ACCESS_TOKEN_EXPIRES"]
        app.extensions["redis"].set(f"revoked:{get_jwt()['jti']}", "", ex=expires)
        return "", 204

    @app.get("/messages")
    @jwt_required()
    def messages():
        return jsonify(messages=[])

    @app.get("/messages/<int:message_id>")
    def message(message_id):
        abort(404, f"There is no message {message_id}.")

    return app
