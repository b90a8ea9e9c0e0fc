"""A reference: what Flask itself costs."""

from __future__ import annotations

from flask import Flask, Response

METHOD, PATH = "POST", "/empty/"
app = Flask(__name__)


@app.post(PATH)
def empty() -> Response:
    return Response("{}", mimetype="application/json")


def token(user_id: int, seconds: int) -> str:
    return f"{user_id} {seconds}"
