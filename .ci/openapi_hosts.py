"""Serve apps of different settings, and let schemathesis run all its checks by their documents.

Its argument is the schemathesis program, which has an environment of its own.
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
    """A user with a column of the host's own."""

    nickname: Mapped[str | None] = mapped_column(String(30))


class Own(ProfileSchema):
    """A schema that sends and loads more.

    Only text: of numbers marshmallow takes more than JSON Schema can say, and of 1.0 less.
    """

    nickname = fields.String(allow_none=True)
    username = fields.String()
    shout = fields.Function(lambda user: user.username.upper())


EDITED = {
    "PROFILE_METHODS": ["GET", "PATCH", "POST"],
    "PROFILE_AVATARS": True,
    "PROFILE_MEDIA_STORAGE": "memory://",
}
APPS: dict[str, dict[str, Any]] = {
    "by default": {},
    "everything": EDITED,
    "own schema and prefix": EDITED | {"PROFILE_SCHEMA": Own, "PROFILE_URL_PREFIX": "/v2/me"},
    "cookies with CSRF": EDITED | {"JWT_TOKEN_LOCATION": ["cookies"]},
    "JSON required": {"PROFILE_REQUIRE_JSON": True},
}


def app_of(config: dict[str, Any], folder: str) -> tuple[Flask, str]:
    """Return an app with one user, and what its client is told of the token."""
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
        keys = {"access_token_cookie": token, "csrf_token": get_csrf_token(token)}
        sent = (f'[auth.openapi.{key}]\napi_key = "{value}"\n' for key, value in keys.items())
        return app, "".join(sent)


def main(schemathesis: str) -> None:
    """Check all apps, and end with the first that is refused."""
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")}
    for name, config in APPS.items():
        with tempfile.TemporaryDirectory() as folder:
            app, token = app_of(config, folder)
            settings = Path(folder, "schemathesis.toml")
            settings.write_text((HERE / "schemathesis.toml").read_text() + token)
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
