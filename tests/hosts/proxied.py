"""An API behind a proxy that terminates TLS, strips a prefix and sets X-Forwarded-* headers."""

from __future__ import annotations

from flask import Blueprint, Flask, abort, jsonify, request, url_for
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()
v1 = Blueprint("v1", __name__, url_prefix="/v1")
v1.register_blueprint(ProfileBlueprint())


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


@v1.post("/login")
def login():
    user = db.session.scalar(select(User).filter_by(username=request.json["username"]))
    if user is None or not check_password_hash(user.password_hash, request.json["password"]):
        abort(401)
    return jsonify(access_token=create_access_token(str(user.id)))


@v1.get("/files")
def files():
    return jsonify(files=[], url=url_for("v1.files", _external=True))


@v1.get("/files/<name>")
def file(name):
    abort(404, f"There is no file {name}.")


@v1.app_errorhandler(404)
def not_found(error):
    return jsonify(error=error.description, url=request.url), 404


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(APPLICATION_ROOT="/service", PREFERRED_URL_SCHEME="https")
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    app.register_blueprint(v1)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)
    return app
