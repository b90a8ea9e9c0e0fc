"""An API that two single-page apps on other origins may use, with Flask-CORS."""

from __future__ import annotations

from flask import Flask, abort, jsonify, request
from flask_cors import CORS
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()
cors = CORS()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(
        CORS_RESOURCES=r"/api/*",
        CORS_ORIGINS=["https://app.example.com", "https://admin.example.com"],
        CORS_ALLOW_HEADERS=["Authorization", "Content-Type"],
        CORS_EXPOSE_HEADERS=["WWW-Authenticate"],
        CORS_MAX_AGE=600,
    )
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    cors.init_app(app)
    app.register_blueprint(ProfileBlueprint())

    @app.post("/api/login")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.get("/api/notes")
    @jwt_required(optional=True)
    def notes():
        return jsonify(["Buy milk"])

    @app.get("/api/notes/<int:note_id>")
    def note(note_id):
        return jsonify(error=f"There is no note {note_id}."), 404

    return app
