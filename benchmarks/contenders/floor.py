"""The least code that returns a profile: Flask, PyJWT, one SELECT on the driver, and json."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from datetime import datetime
from typing import Any

import jwt
import psycopg
from flask import Flask, Response, abort, request

METHOD, PATH = "POST", "/api/profile/"
SECRET = os.environ["FLASK_JWT_SECRET_KEY"]
URL = os.environ["DATABASE"]
COLUMNS = (
    "id, username, email, first_name, last_name, number_phone, avatar, "
    "date_joined, last_login, is_active, is_staff, is_superuser"
)
FIELDS = COLUMNS.split(", ")
SELECT = f'SELECT {COLUMNS} FROM "user" WHERE id = '

app = Flask(__name__)
connection: Any
if URL.startswith("sqlite"):
    SELECT += "?"
    path = URL.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
else:
    SELECT += "%s"
    url = URL.replace("+psycopg", "")
    connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")


def format_utc(value: datetime | str | None) -> str | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value and value.replace(tzinfo=None).isoformat() + "Z"


@app.post(PATH)
def profile() -> Response:
    bearer = request.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(bearer, SECRET, ["HS256"])
    row = connection.execute(SELECT, [int(claims["sub"])]).fetchone()
    user = dict(zip(FIELDS, row, strict=True))
    for name in ("date_joined", "last_login"):
        user[name] = format_utc(user[name])
    for name in ("is_active", "is_staff", "is_superuser"):
        user[name] = bool(user[name])
    if not user["is_active"]:
        abort(401)
    return Response(json.dumps(user), mimetype="application/json")


def create_token(user_id: int, seconds: int) -> str:
    return jwt.encode({"sub": str(user_id), "exp": int(time.time()) + seconds}, SECRET)
