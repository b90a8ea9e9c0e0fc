"""An app with async views and hooks that queries the database before every request."""

from __future__ import annotations

import asyncio

from flask import Flask, g, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
jwt = JWTManager()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


class Notice(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(200))


class WrongPasswordError(Exception):
    pass


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    app.register_blueprint(ProfileBlueprint())

    @app.before_request
    async def read_notices():
        g.notices = db.session.scalars(select(Notice.text)).all()

    @app.after_request
    async def count_notices(response):
        response.headers["X-Notices"] = str(len(g.notices))
        return response

    @app.errorhandler(WrongPasswordError)
    async def wrong_password(_error):
        return jsonify(error="Wrong username or password."), 401

    @app.post("/login")
    async def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            raise WrongPasswordError
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.get("/notices")
    @jwt_required()
    async def notices():
        await asyncio.sleep(0)
        return jsonify(notices=g.notices)

    @app.get("/error")
    async def error():
        raise ZeroDivisionError

    return app
