from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()


class User(ProfileMixin, db.Model):
    pass


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///quickstart.db"
    app.config.from_prefixed_env()  # FLASK_JWT_SECRET_KEY, FLASK_PROFILE_URL_PREFIX, …
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())  # POST /api/profile/
    with app.app_context():
        db.create_all()
    return app
