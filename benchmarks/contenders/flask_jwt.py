"""A reference point: the cost of Flask and of verifying a token."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Response
from flask_jwt_extended import JWTManager, create_access_token, jwt_required

METHOD, PATH = "POST", "/empty/"
app = Flask(__name__)
app.config.from_prefixed_env()
JWTManager(app)


@app.post(PATH)
@jwt_required()
def empty() -> Response:
    return Response("{}", mimetype="application/json")


def create_token(user_id: int, seconds: int) -> str:
    with app.app_context():
        return create_access_token(str(user_id), expires_delta=timedelta(seconds=seconds))
