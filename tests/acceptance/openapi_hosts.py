"""Serve apps with different settings, and run all schemathesis checks on their OpenAPI documents.

The argument is the path of the schemathesis program, which has its own virtual environment.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, get_csrf_token
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.serving import make_server

from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema, openapi_spec

HERE = Path(__file__).parent
db = SQLAlchemy()


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    """A user with a column that the mixin does not have."""

    nickname: Mapped[str | None] = mapped_column(String(30))


class CustomSchema(ProfileSchema):
    """A schema that sends and loads more fields.

    All of them are strings. For numbers, marshmallow and JSON Schema do not accept the same values:
    marshmallow accepts some that JSON Schema cannot describe, and rejects 1.0 for an integer.
    """

    nickname = fields.String(allow_none=True)
    username = fields.String()
    shout = fields.Function(lambda user: user.username.upper())


ALL_FEATURES = {
    "PROFILE_METHODS": ["DELETE", "GET", "PATCH", "POST"],  # The token is not fresh.
    "PROFILE_AVATARS": True,
    "PROFILE_MEDIA_STORAGE": "memory://",
}
APPS: dict[str, dict[str, Any]] = {
    "by default": {},
    "everything": ALL_FEATURES,
    "own schema and prefix": ALL_FEATURES
    | {"PROFILE_SCHEMA": CustomSchema, "PROFILE_URL_PREFIX": "/v2/me"},
    "cookies with CSRF": ALL_FEATURES | {"JWT_TOKEN_LOCATION": ["cookies"]},
    "JSON required": {"PROFILE_REQUIRE_JSON": True},
    "deletion": {"PROFILE_METHODS": ["DELETE", "POST"], "PROFILE_FRESH_METHODS": []},
}


def create_app(config: dict[str, Any], folder: str) -> tuple[Flask, str]:
    """Return an app with one user, and the schemathesis settings that send this user's token."""
    app = Flask("host")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/users.db", JWT_SECRET_KEY="x" * 32, **config
    )
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())
    document = openapi_spec(app)
    app.get("/openapi.json")(lambda: document)
    with app.app_context():
        db.create_all()
        db.session.add(User(username="john_doe", email="john@example.com"))
        db.session.commit()
        token = create_access_token("1", expires_delta=False)
        if "JWT_TOKEN_LOCATION" not in config:
            return app, f'[auth.openapi.bearer]\nbearer = "{token}"\n'
        values = {"access_token_cookie": token, "csrf_token": get_csrf_token(token)}
        tables = (f'[auth.openapi.{name}]\napi_key = "{value}"\n' for name, value in values.items())
        return app, "".join(tables)


def main(schemathesis: str) -> None:
    """Check all apps, and exit at the first that fails."""
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")}
    for name, config in APPS.items():
        with tempfile.TemporaryDirectory() as folder:
            app, auth_settings = create_app(config, folder)
            settings = Path(folder, "schemathesis.toml")
            settings.write_text((HERE / "schemathesis.toml").read_text() + auth_settings)
            server = make_server("127.0.0.1", 0, app, threaded=True)
            Thread(target=server.serve_forever, daemon=True).start()
            command = [schemathesis, "--config-file", str(settings), "run"]
            command += [f"http://127.0.0.1:{server.port}/openapi.json", "--checks", "all"]
            command += ["--max-examples", "100", "--seed", "1"]
            print(f"{name}:", flush=True)
            result = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True
            )
            server.shutdown()
            print("\n".join(result.stdout.splitlines()[-6:]), flush=True)
            if result.returncode:
                sys.exit(result.stdout + result.stderr)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel("ERROR")
    main(*sys.argv[1:])
