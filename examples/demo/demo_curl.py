"""The curl commands that the demo prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from demo_users import PASSWORD
from flask import Flask, url_for
from flask_jwt_extended import create_access_token

IMAGE = Path(__file__).resolve().parent / "media/avatars/profile.jpg"


def print_curl_lines(app: Flask, base_url: str) -> None:
    """Print commands to paste into a shell."""
    with app.test_request_context(base_url=base_url):
        profile = url_for("profile.profile", _external=True)
        sign_in = url_for("accounts.sign_in", _external=True)
        alice, john, inactive, deleted = (
            f"-H 'Authorization: Bearer {create_access_token(identity)}'"
            for identity in ("42", "1", "2", "404")
        )
    curl = "curl -w '\\n' -X"
    as_json = "-H 'Content-Type: application/json'"
    post = f"{curl} POST {as_json} {profile}"
    edit = f"{curl} PATCH {as_json} {profile} {john}"
    image = shlex.quote(f'avatar=@"{IMAGE}"')
    credentials = {"email": "john@example.com", "password": PASSWORD}
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
        "an outdated ETag, 412": f"""{edit} -H 'If-Match: "outdated"' -d '{{"last_name": ""}}'""",
        "a new avatar, 200": f"{curl} PUT {profile}avatar/ {john} -F {image}",
        "no avatar, 204": f"{curl} DELETE {profile}avatar/ {john}",
        "no account, with a token that is not fresh, 401": f"{curl} DELETE {profile} {john}",
    }
    for title, line in lines.items():
        print(f"# {title}\n{line}\n")
