"""A to-do list with Flask-RESTful, which handles the errors of the whole app in its Api."""

from __future__ import annotations

from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_restful import Api, Resource, abort, fields, marshal_with, reqparse
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin

db = SQLAlchemy()

credentials = reqparse.RequestParser()
credentials.add_argument("username", required=True, location="json", help="is missing")
credentials.add_argument("password", required=True, location="json", help="is missing")

ERRORS = {"NoAuthorizationError": {"message": "Please sign in.", "status": 401}}
TODOS = {1: {"task": "Water the plants", "done": False}}


class User(ProfileMixin, db.Model):
    password_hash: Mapped[str] = mapped_column(String(255))


class TokenResource(Resource):
    def post(self):
        args = credentials.parse_args()
        user = db.session.scalar(select(User).filter_by(username=args.username))
        if user is None or not check_password_hash(user.password_hash, args.password):
            abort(401, message="Wrong username or password.")
        return {"access_token": create_access_token(str(user.id))}, 201


class TodoResource(Resource):
    method_decorators = [jwt_required()]

    @marshal_with({"task": fields.String, "done": fields.Boolean})
    def get(self, todo_id):
        if todo_id not in TODOS:
            abort(404, message=f"Todo {todo_id} doesn't exist")
        return TODOS[todo_id]


def create_app(config):
    app = Flask(__name__)
    app.config.from_mapping(config)
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())
    api = Api(app, catch_all_404s=True, errors=ERRORS)
    api.add_resource(TokenResource, "/tokens")
    api.add_resource(TodoResource, "/todos/<int:todo_id>")
    return app
