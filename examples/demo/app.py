"""A complete app around the profile blueprint: users, sign-in, media, and a page to try it.

Run ``python examples/demo/app.py``; every demo user has the password ``demo-password``.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import sys
from datetime import timedelta
from pathlib import Path

from demo_accounts import accounts
from demo_curl import print_curl_lines
from demo_pages import demo
from demo_users import PASSWORD, User, create_demo_users, db
from flask import Flask
from flask_jwt_extended import JWTManager
from sqlalchemy import select
from werkzeug.serving import make_server

from flask_profile import ProfileBlueprint, openapi_spec

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"


def create_app(instance_path: str | None = None) -> Flask:
    """Create the app. The first start also creates the database and the JWT secret."""
    # Flask's default, except that for a script Flask would use the working directory.
    instance_path = instance_path or str(HERE / "instance")
    app = Flask(__name__, instance_path=instance_path, static_folder=None)
    Path(app.instance_path).mkdir(parents=True, exist_ok=True)
    # In the instance folder. A request waits one second for the lock, then it gets a 503.
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///demo.db?timeout=1"
    app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(hours=12)
    app.config["PROFILE_METHODS"] = ["DELETE", "GET", "PATCH", "POST"]
    app.config["PROFILE_AVATARS"] = True
    app.config["PROFILE_MEDIA_STORAGE"] = "media"  # In the instance folder too.
    app.config.from_prefixed_env()  # FLASK_JWT_SECRET_KEY, FLASK_PROFILE_URL_PREFIX, …
    if "JWT_SECRET_KEY" not in app.config:
        app.config["JWT_SECRET_KEY"] = load_secret(Path(app.instance_path, "jwt_secret"))

    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(ProfileBlueprint())  # /api/profile/ and /api/profile/avatar/
    app.register_blueprint(accounts)
    app.register_blueprint(demo)
    app.extensions["openapi"] = json.dumps(openapi_spec(app))

    with app.app_context():
        db.create_all()
        if db.session.scalar(select(User).limit(1)) is None:
            db.session.add_all(create_demo_users())
            db.session.commit()
    return app


def load_secret(path: Path) -> str:
    """Return the secret in the file; create the file if it does not exist."""
    path.touch(mode=0o600)  # Restrict access before the file contains the secret.
    if not path.read_text():
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def check_port(port: int) -> int:
    """Return the port, or a free one for 0; exit if another program uses the port."""
    try:
        with socket.create_server((HOST, port)) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError):
        sys.exit(f"Port {port} is taken or not allowed: choose another with --port or PORT.")


def main() -> None:
    """Serve the demo until Ctrl+C is pressed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", "5000"))
    parser.add_argument("--curl", action="store_true", help="print curl commands to try the API")
    arguments = parser.parse_args()
    port = check_port(arguments.port)
    app = create_app()
    # Not app.run, which prints its own lines after ours.
    server = make_server(HOST, port, app, threaded=True)
    url = f"http://{HOST}:{port}/"
    if arguments.curl:
        print_curl_lines(app, url)
    else:
        print("Start with --curl to get curl commands, too.")
    print(f'All users have the password "{PASSWORD}". Press Ctrl+C to stop.', flush=True)
    print(f"Open {url}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
