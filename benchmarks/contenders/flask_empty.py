"""A reference point: the cost of Flask itself."""

from __future__ import annotations

from flask import Flask, Response

METHOD, PATH = "POST", "/empty/"
app = Flask(__name__)


@app.post(PATH)
def empty() -> Response:
    return Response("{}", mimetype="application/json")


def create_token(user_id: int, seconds: int) -> str:
    return f"{user_id} {seconds}"
