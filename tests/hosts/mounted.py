"""A site and its API in one process; DispatcherMiddleware serves the API below /shop."""

from __future__ import annotations

from flask import Flask, abort, jsonify, request, url_for
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def create_site():
    site = Flask("site")

    @site.get("/")
    def home():
        return "<h1>Welcome</h1>"

    return site


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(APPLICATION_ROOT="/shop", SERVER_NAME="www.example.com")
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

    @app.get("/goods")
    def goods():
        return jsonify(goods=[], url=url_for("goods", _external=True))

    @app.get("/goods/<int:number>")
    def good(number):
        abort(410, f"Number {number} is sold.")

    app.wsgi_app = DispatcherMiddleware(create_site(), {"/shop": app.wsgi_app})
    return app
