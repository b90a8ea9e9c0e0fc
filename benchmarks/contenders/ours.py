"""The README's quickstart, as it stands in examples/."""

from __future__ import annotations

from datetime import timedelta

from flask_jwt_extended import create_access_token
from quickstart import User, create_app, db

__all__ = ["User", "app", "db", "token"]

METHOD, PATH = "POST", "/api/profile/"
app = create_app()


def token(user_id: int, seconds: int) -> str:
    with app.app_context():
        return create_access_token(str(user_id), expires_delta=timedelta(seconds=seconds))
