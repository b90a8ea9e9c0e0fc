"""A site with Flask-Login sessions, whose signed-in users can get a token for the API."""

from __future__ import annotations

from flask import Flask, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
login_manager = LoginManager()


class User(ProfileMixin, UserMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


@login_manager.user_loader
def load_user(user_id):
    return db.session.get(User, int(user_id))


@login_manager.unauthorized_handler
def unauthorized():
    return "<h1>Please sign in</h1>", 401


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    JWTManager(app)
    login_manager.init_app(app)
    app.register_blueprint(ProfileBlueprint())

    @app.post("/login")
    def login():
        user = db.session.scalar(select(User).filter_by(username=request.form["username"]))
        if user is None or not check_password_hash(user.password_hash, request.form["password"]):
            return "<h1>Wrong username or password</h1>", 401
        if not login_user(user):
            return "<h1>Your account is closed</h1>", 403
        return "", 204

    @app.post("/api/token")
    @login_required
    def token():
        return jsonify(access_token=create_access_token(current_user.get_id()))

    @app.get("/")
    def home():
        return f"<h1>Hello {current_user.first_name if current_user.is_active else 'stranger'}</h1>"

    @app.get("/settings")
    @login_required
    def settings():
        return f"<h1>Settings of {current_user.username}</h1>"

    return app
