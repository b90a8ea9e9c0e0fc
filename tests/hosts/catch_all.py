"""An API that returns every error of the app in its own format."""

from __future__ import annotations

from flask import Flask, abort, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_jwt_extended.exceptions import JWTExtendedException
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import HTTPException
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


def problem(status, title):
    response = jsonify(status=status, title=title, instance=request.path)
    response.mimetype = "application/problem+json"
    return response, status


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    app.register_error_handler(Exception, lambda _error: problem(500, "We broke something."))
    app.register_error_handler(HTTPException, lambda error: problem(error.code, error.name))
    app.register_error_handler(JWTExtendedException, lambda error: problem(403, str(error)))
    for status in (401, 404, 405):
        app.register_error_handler(status, lambda error: problem(error.code, error.description))
    jwt.unauthorized_loader(lambda reason: problem(401, reason))
    jwt.invalid_token_loader(lambda reason: problem(401, reason))
    app.register_blueprint(ProfileBlueprint())

    @app.post("/login")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
        if user is None or not check_password_hash(user.password_hash, request.json["password"]):
            abort(401, "Wrong username or password.")
        return jsonify(access_token=create_access_token(str(user.id)))

    @app.get("/orders")
    @jwt_required()
    def orders():
        return jsonify(orders=[])

    @app.get("/orders/<int:number>")
    def order(number):
        return jsonify(price=100 / number)

    return app
