"""The quickstart of the README, unchanged from examples/."""

from __future__ import annotations

from datetime import timedelta

from flask_jwt_extended import create_access_token
from quickstart import User, create_app, db

__all__ = ["User", "app", "create_token", "db"]

METHOD, PATH = "POST", "/api/profile/"
app = create_app()


def create_token(user_id: int, seconds: int) -> str:
    with app.app_context():
        return create_access_token(str(user_id), expires_delta=timedelta(seconds=seconds))
