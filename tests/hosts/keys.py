"""An identity provider that signs tokens with a private key and publishes a JWK Set."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, abort, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from jwt.algorithms import get_default_algorithms
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    keys = Path(app.config["KEY_FOLDER"])
    app.config.from_mapping(
        JWT_PRIVATE_KEY=(keys / "private.pem").read_text(),
        JWT_PUBLIC_KEY=(keys / "public.pem").read_text(),
        JWT_ENCODE_ISSUER="https://id.example.com",
        JWT_DECODE_ISSUER="https://id.example.com",
    )
    db.init_app(app)
    jwt.init_app(app)
    app.register_blueprint(ProfileBlueprint())

    @app.post("/oauth/token")
    def token():
        if request.form.get("grant_type") != "password":
            return jsonify(error="unsupported_grant_type"), 400
        user = db.session.scalar(select(User).filter_by(username=request.form["username"]))
        if user is None or not check_password_hash(user.password_hash, request.form["password"]):
            return jsonify(error="invalid_grant"), 400
        access_token = create_access_token(str(user.id), additional_headers={"kid": "2024"})
        return jsonify(access_token=access_token, token_type="Bearer", expires_in=900)

    @app.get("/.well-known/jwks.json")
    def jwks():
        name = app.config["JWT_ALGORITHM"]
        algorithm = get_default_algorithms()[name]
        public = algorithm.prepare_key(app.config["JWT_PUBLIC_KEY"])
        return jsonify(keys=[algorithm.to_jwk(public, as_dict=True) | {"kid": "2024", "alg": name}])

    @app.get("/oauth/authorize")
    def authorize():
        abort(501, "Only the password grant is supported.")

    return app
