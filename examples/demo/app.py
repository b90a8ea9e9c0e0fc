"""A complete app around the profile blueprint: users, sign-in, media, and a page to try it.

Run ``python examples/demo/app.py``; every demo user has the password ``demo-password``.
"""

import argparse
import json
import mimetypes
import os
import secrets
import shlex
import socket
import sys
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped
from werkzeug.exceptions import NotFound
from werkzeug.security import check_password_hash, generate_password_hash

from flask_profile import ProfileBlueprint, ProfileMixin, openapi_spec

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
PASSWORD = "demo-password"
# Checked if an email is unknown, so that the response time does not reveal which emails exist.
DUMMY_HASH = generate_password_hash("nobody")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
mimetypes.add_type("image/webp", ".webp")  # Python knows it since 3.13 only.
mimetypes.add_type("text/javascript", ".js")  # The registry of Windows may override it.

db = SQLAlchemy()
demo = Blueprint(
    "demo",
    __name__,
    root_path=str(HERE),
    static_folder="static",
    static_url_path="/static",
    template_folder="templates",
)


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    """A user, with the columns of a profile and a password hash that no profile contains."""

    # SQLite must not give the primary key of a deleted user again: old tokens would match.
    __table_args__ = {"sqlite_autoincrement": True}

    password_hash: Mapped[str]


def create_app(instance_path: str | None = None) -> Flask:
    """Create the app. The first start also creates the database and the JWT secret."""
    # Flask's default, except that for a script Flask would use the working directory.
    instance_path = instance_path or str(HERE / "instance")
    app = Flask(__name__, instance_path=instance_path, static_folder=None)
    Path(app.instance_path).mkdir(parents=True, exist_ok=True)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///demo.db"  # In the instance folder.
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


def create_demo_users() -> list[User]:
    """Return the users of a new database."""
    john = User(id=1, username="john_doe", first_name="John", last_name="Doe")
    john.email, john.number_phone = "john@example.com", "1234567890"
    john.avatar = "avatars/profile.jpg"  # Sent as /media/avatars/profile.jpg.
    john.date_joined = datetime.fromisoformat("2024-01-15T10:30:00+00:00")
    john.last_login = datetime.fromisoformat("2024-03-10T14:20:00+00:00")

    alice = User(id=42, username="alice_wonder", first_name="Alice", last_name="Wonder")
    alice.email, alice.number_phone = "alice@example.com", "5551234567"
    alice.avatar = "avatars/alice.png"
    alice.date_joined = datetime.fromisoformat("2024-02-01T08:15:30+00:00")
    alice.last_login = datetime.fromisoformat("2024-03-10T11:45:22+00:00")

    inactive = User(id=2, username="ivan_idle", email="ivan@example.com", is_active=False)
    staff = User(id=3, username="sara_staff", email="sara@example.com", is_staff=True)

    users = [john, alice, inactive, staff]
    for user in users:
        user.password_hash = generate_password_hash(PASSWORD)
    return users


@demo.after_request
def add_security_headers(response: Response) -> Response:
    """Allow browsers to load and run only files of this app."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@demo.get("/")
def page() -> str:
    """Show the page, with a sign-in button for each of the first ten users."""
    users = db.session.scalars(select(User).order_by(User.id).limit(10)).all()
    return render_template("page.html", users=users, password=PASSWORD)


@demo.get("/favicon.ico")
def favicon() -> Response:
    """Send the icon that browsers request for responses other than pages, such as JSON."""
    return demo.send_static_file("icon.svg")


@demo.get("/api/demo-tokens/")
def tokens() -> ResponseReturnValue:
    """Return tokens that the page cannot create itself. The profile view refuses all of them.

    This is for the demo only: your own app must not have such a view.
    """
    refused = {
        "expired": create_access_token("42", expires_delta=timedelta(days=-1)),
        "inactive": create_access_token("2"),
        "deleted": create_access_token("404"),
    }
    return refused, {"Cache-Control": "no-store"}


@demo.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document, which `create_app` has generated."""
    return Response(current_app.extensions["openapi"], mimetype="application/json")


@demo.get("/docs/")
def docs() -> str:
    """Show the OpenAPI document in Swagger UI."""
    find_viewer()  # Raises an error here if the package of the viewer is not installed.
    return render_template("docs.html")


@demo.get("/docs/assets/<path:name>")
def docs_asset(name: str) -> Response:
    """Send a file of the viewer."""
    return send_from_directory(find_viewer(), name)


def find_viewer() -> str:
    """Return the folder of Swagger UI in the package flask-swagger-ui."""
    return str(files("flask_swagger_ui") / "dist")


@demo.errorhandler(ModuleNotFoundError)
def report_missing_viewer(_error: ModuleNotFoundError) -> ResponseReturnValue:
    """Say which package is missing without the extra ``demo``; the rest of the demo works."""
    missing = 'The viewer needs one more package: pip install ".[demo]"\n'
    return missing, 501, {"Content-Type": "text/plain; charset=utf-8"}


@demo.post("/api/sign-in/")
def sign_in() -> ResponseReturnValue:
    """Return tokens for the user with the email and password in the request."""
    match request.get_json(silent=True):
        case {"email": str(email), "password": str(password)}:
            user = authenticate(email, password)
        case _:
            return {"detail": "Send a JSON object with the strings email and password."}, 400
    if user is None:
        return {"detail": "No active user has this email and password."}, 401
    identity = str(user.id)
    # The password was just checked: for five minutes, the token may delete the account.
    access = create_access_token(identity, fresh=timedelta(minutes=5))
    return {"access": access, "refresh": create_refresh_token(identity)}


def authenticate(email: str, password: str) -> User | None:
    """Return the active user with this email and password."""
    try:
        user = db.session.scalar(select(User).filter_by(email=email))
        is_right = check_password_hash(user.password_hash if user else DUMMY_HASH, password)
    except UnicodeEncodeError:  # JSON may contain a lone surrogate such as "\ud800".
        return None
    return user if user and is_right and user.is_active else None


@demo.post("/api/token/refresh/")
@jwt_required(refresh=True)  # type: ignore[untyped-decorator]
def refresh() -> ResponseReturnValue:
    """Return a new access token for a refresh token."""
    return {"access": create_access_token(get_jwt_identity())}


@demo.post("/api/demo-reset/")
def reset() -> ResponseReturnValue:
    """Bring back the users of a new database. This is for the demo only, too."""
    request.get_json()  # Other websites cannot send JSON.
    db.session.execute(delete(User))
    db.session.add_all(create_demo_users())
    db.session.commit()
    return "", 204


@demo.get("/media/<path:name>")
def media(name: str) -> Response:
    """Send an uploaded or bundled image; in production, the web server does this."""
    uploads = Path(current_app.instance_path, current_app.config["PROFILE_MEDIA_STORAGE"])
    try:
        return send_from_directory(uploads, name)
    except NotFound:
        return send_from_directory(HERE / "media", name)


def print_curl_lines(app: Flask, port: int) -> None:
    """Print commands to paste into a shell."""
    with app.test_request_context(base_url=f"http://{HOST}:{port}"):
        page = url_for("demo.page", _external=True)
        profile = url_for("profile.profile", _external=True)
        sign_in = url_for("demo.sign_in", _external=True)
        alice, john, inactive, deleted = (
            f"-H 'Authorization: Bearer {create_access_token(identity)}'"
            for identity in ("42", "1", "2", "404")
        )
    curl = "curl -w '\\n' -X"
    as_json = "-H 'Content-Type: application/json'"
    post = f"{curl} POST {as_json} {profile}"
    edit = f"{curl} PATCH {as_json} {profile} {john}"
    image = shlex.quote(f'avatar=@"{HERE}/media/avatars/profile.jpg"')
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    lines = {
        "alice_wonder, 200": f"{post} {alice}",
        "john_doe, 200": f"{post} {john}",
        "no token, 401": post,
        "a bad token, 401": f"{post} -H 'Authorization: Bearer not.a.token'",
        "an inactive user, 401": f"{post} {inactive}",
        "a deleted user, 404": f"{post} {deleted}",
        "sign-in, 200": f"{curl} POST {as_json} {sign_in} -d '{json.dumps(credentials)}'",
        "john_doe by GET, 200": f"{curl} GET {profile} {john}",
        "another first name, 200": f"""{edit} -d '{{"first_name": "Johnny"}}'""",
        "a read-only field, 400": f"""{edit} -d '{{"is_staff": true}}'""",
        "a new avatar, 200": f"{curl} PUT {profile}avatar/ {john} -F {image}",
        "no avatar, 204": f"{curl} DELETE {profile}avatar/ {john}",
        "no account, with a token that is not fresh, 401": f"{curl} DELETE {profile} {john}",
    }
    print(f"Open {page} in a browser, or try it from another terminal:\n")
    for title, line in lines.items():
        print(f"# {title}\n{line}\n", flush=True)  # Printed at once, even to a pipe.


def check_port(port: int) -> int:
    """Return the port, or a free one for 0; exit if another program uses the port."""
    try:
        with socket.create_server((HOST, port)) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError):
        sys.exit(f"Port {port} is taken or not allowed: choose another with --port or PORT.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", "5000"))
    port = check_port(parser.parse_args().port)
    app = create_app()
    print_curl_lines(app, port)
    app.run(HOST, port, use_reloader=False)
