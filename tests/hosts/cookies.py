"""A web app with its access token in a cookie, so that each change requires a CSRF token."""

from __future__ import annotations

from flask import Flask, abort, jsonify, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    jwt_required,
    set_access_cookies,
    unset_jwt_cookies,
)
from flask_sqlalchemy import SQLAlchemy
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
    app.config.from_mapping(
        JWT_TOKEN_LOCATION=["cookies"], JWT_COOKIE_SECURE=True, JWT_COOKIE_SAMESITE="Strict"
    )
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    app.register_blueprint(ProfileBlueprint())

    @app.post("/session")
    def sign_in():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        response = jsonify(welcome=user.first_name)
        set_access_cookies(response, create_access_token(str(user.id)))
        return response

    @app.delete("/session")
    def sign_out():
        response = jsonify(goodbye=True)
        unset_jwt_cookies(response)
        return response

    @app.get("/cart")
    @jwt_required()
    def cart():
        return jsonify(items=[])

    @app.get("/cart/items/<int:number>")
    def item(number):
        abort(404, f"There is no item {number} in your cart.")

    return app
