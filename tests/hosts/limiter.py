"""An API with rate limits by Flask-Limiter, including one on the profile blueprint."""

from __future__ import annotations

from flask import Flask, abort, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()
limiter = Limiter(get_remote_address, storage_uri="memory://", headers_enabled=True)
profile = ProfileBlueprint()
limiter.limit("20 per day")(profile)


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    limiter.init_app(app)
    app.register_blueprint(profile)

    @app.post("/login")
    @limiter.limit("100 per day")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.get("/lottery")
    @limiter.limit("0 per day")
    def lottery():
        return jsonify(won=True)

    @app.get("/status")
    @limiter.exempt
    def status():
        return jsonify(up=True)

    @app.errorhandler(429)
    def too_many_requests(error):
        return jsonify(error="Slow down.", limit=error.description), 429

    return app
