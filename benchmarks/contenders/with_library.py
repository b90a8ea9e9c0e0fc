"""The app by hand and the library in it, to see what that costs in memory."""

from __future__ import annotations

from contenders.by_hand import User, app, token

from flask_profile import ProfileBlueprint

__all__ = ["app", "token"]

METHOD, PATH = "POST", "/api/profile/"
app.register_blueprint(ProfileBlueprint(user_model=User))
