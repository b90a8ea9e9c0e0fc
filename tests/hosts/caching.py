"""A news site that caches views and, like a proxy, whole responses with Flask-Caching."""

from __future__ import annotations

from itertools import count

from flask import Flask, abort, jsonify, request
from flask_caching import Cache
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()
cache = Cache(config={"CACHE_TYPE": "SimpleCache"})


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    cache.init_app(app)
    app.register_blueprint(ProfileBlueprint())
    editions = count(1)

    @app.before_request
    def load_from_cache():
        return cache.get(request.full_path)

    @app.after_request
    def save_to_cache(response):
        control = response.cache_control
        if response.status_code == 200 and not (control.no_store or control.private):
            cache.set(request.full_path, response)
        return response

    @app.post("/login")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401)
        response = jsonify(access_token=create_access_token(str(user.id)))
        response.cache_control.no_store = True
        return response

    @app.get("/news")
    def news():
        return jsonify(edition=next(editions))

    @app.get("/weather")
    @cache.cached(timeout=600)
    def weather():
        abort(503, "The station does not answer.")

    return app
