"""An HTTPS-only site with the security headers of flask-talisman."""

from __future__ import annotations

from flask import Flask, abort, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from flask_talisman import DENY, Talisman
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()
talisman = Talisman()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    talisman.init_app(
        app,
        frame_options=DENY,
        strict_transport_security_preload=True,
        content_security_policy={"default-src": "'self'", "img-src": "*"},
        referrer_policy="same-origin",
    )
    app.register_blueprint(ProfileBlueprint())

    @app.post("/login")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.get("/")
    @talisman(frame_options="SAMEORIGIN")
    def home():
        return "<h1>Hello</h1>"

    @app.get("/vault")
    def vault():
        abort(403, "The vault is closed.")

    return app
