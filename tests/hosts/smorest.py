"""A pet shop with flask-smorest: request and response schemas, OpenAPI, and its error format."""

from __future__ import annotations

from flask import Flask
from flask.views import MethodView
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_smorest import Api, Blueprint, abort
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields, validate
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()
jwt = JWTManager()
auth = Blueprint("auth", __name__, url_prefix="/auth", description="Signing in")
pets = Blueprint("pets", __name__, url_prefix="/pets", description="The pets for sale")


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


class CredentialsSchema(Schema):
    username = fields.String(required=True)
    password = fields.String(required=True, load_only=True)


class TokenSchema(Schema):
    access_token = fields.String(required=True)


class PetSchema(Schema):
    id = fields.Integer(dump_only=True)
    name = fields.String(required=True, validate=validate.Length(max=40))


@auth.route("/login")
class Login(MethodView):
    @auth.arguments(CredentialsSchema)
    @auth.response(200, TokenSchema)
    def post(self, credentials):
        user = db.session.scalar(select(User).filter_by(username=credentials["username"]))
        if user is None or not check_password_hash(user.password_hash, credentials["password"]):
            abort(401, message="Wrong username or password.")
        return {"access_token": create_access_token(str(user.id))}


@pets.route("/<int:pet_id>")
class Pet(MethodView):
    @pets.response(200, PetSchema)
    @jwt_required()
    def get(self, pet_id):
        if pet_id != 1:
            abort(404, message="There is no such pet.", errors={"pet_id": pet_id})
        return {"id": 1, "name": "Rex"}


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(API_TITLE="Pets", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    app.config.from_mapping(OPENAPI_URL_PREFIX="/")
    app.config.from_mapping(config)
    db.init_app(app)
    jwt.init_app(app)
    api = Api(app)
    api.register_blueprint(auth)
    api.register_blueprint(pets)
    app.register_blueprint(ProfileBlueprint())
    return app
