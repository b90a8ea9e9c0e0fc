"""The pages of the demo and the files that they load."""

from __future__ import annotations

import json
import mimetypes
from importlib.resources import files
from pathlib import Path

from demo_accounts import accounts
from demo_users import PASSWORD, User, db
from flask import (
    Blueprint,
    Response,
    current_app,
    render_template,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.exceptions import NotFound

HERE = Path(__file__).resolve().parent
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
mimetypes.add_type("image/webp", ".webp")  # Python knows it since 3.13 only.
mimetypes.add_type("text/javascript", ".js")  # The registry of Windows may override it.

demo = Blueprint(
    "demo",
    __name__,
    root_path=str(HERE),
    static_folder="static",
    static_url_path="/static",
    template_folder="templates",
)


@accounts.after_request
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
    operations = json.loads(current_app.extensions["openapi"])["paths"][url_for("profile.profile")]
    reading = "POST" if "post" in operations else "GET"
    response = operations[reading.lower()]["responses"]["200"]["content"]["application/json"]
    return render_template(
        "page.html",
        users=users,
        password=PASSWORD,
        reading=reading,
        example=json.dumps(response["example"], indent=2),
    )


@demo.get("/favicon.ico")
def favicon() -> Response:
    """Send the icon that browsers request for responses other than pages, such as JSON."""
    return demo.send_static_file("icon.svg")


@demo.get("/media/<path:name>")
def media(name: str) -> Response:
    """Send an uploaded or bundled image; in production, the web server does this."""
    uploads = Path(current_app.instance_path, current_app.config["PROFILE_MEDIA_STORAGE"])
    try:
        return send_from_directory(uploads, name)
    except NotFound:
        return send_from_directory(HERE / "media", name)


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
