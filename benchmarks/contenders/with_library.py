"""The app written by hand, with the library added, to measure the memory that it needs."""

from __future__ import annotations

from contenders.by_hand import User, app, create_token
from flask_profile import ProfileBlueprint

__all__ = ["app", "create_token"]

METHOD, PATH = "POST", "/api/profile/"
app.register_blueprint(ProfileBlueprint(user_model=User))
