"""The examples work as the README describes; .ci/run runs the demo's requests in a shell."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flask_jwt_extended import create_access_token

from conftest import JOHN_AS_JSON
from contract import JOHN_PROFILE

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.append(str(EXAMPLES / "demo"))  # The modules that app.py imports.
ALICE_AS_JSON = (
    '{"id": 42, "username": "alice_wonder", "email": "alice@example.com", "first_name": "Alice", '
    '"last_name": "Wonder", "number_phone": "5551234567", "avatar": "/media/avatars/alice.png", '
    '"date_joined": "2024-02-01T08:15:30Z", "last_login": "2024-03-10T11:45:22Z", '
    '"is_active": true, "is_staff": false, "is_superuser": false}'
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Return the names of the demo module, the app of a second start, and its instance folder."""
    module = runpy.run_path(str(EXAMPLES / "demo/app.py"), run_name="demo")
    folder = tmp_path_factory.mktemp("instance")
    apps = [module["create_app"](instance_path=str(folder)) for _ in range(2)]
    yield module | {"app": apps[-1], "folder": folder}
    for app in apps:
        with app.app_context():
            module["db"].engine.dispose()


def sign_in(demo, email, password="demo-password"):
    credentials = {"email": email, "password": password}
    return demo["app"].test_client().post("/api/sign-in/", json=credentials)


def create_token(demo, identity):
    with demo["app"].app_context():
        return create_access_token(identity)


def post_profile(demo, token):
    headers = {"Authorization": f"Bearer {token}"}
    return demo["app"].test_client().post("/api/profile/", headers=headers)


@pytest.mark.parametrize(("identity", "expected"), [("1", JOHN_AS_JSON), ("42", ALICE_AS_JSON)])
def test_the_demo_serves_the_documented_users(identity, expected, demo):
    assert demo["app"].test_client().post("/api/demo-reset/", json={}).status_code == 204
    assert post_profile(demo, create_token(demo, identity)).get_data(as_text=True) == expected


def test_a_sign_in_returns_tokens_and_sets_the_time_of_the_last_login(demo):
    tokens = sign_in(demo, "alice@example.com").json
    last_login = post_profile(demo, tokens["access"]).json["last_login"]
    age = datetime.now(timezone.utc) - datetime.fromisoformat(last_login.replace("Z", "+00:00"))
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert post_profile(demo, tokens["refresh"]).status_code == 401


def test_the_demo_refreshes_a_token(demo):
    tokens = sign_in(demo, "alice@example.com").json
    client = demo["app"].test_client()
    headers = {"Authorization": f"Bearer {tokens['refresh']}"}
    refreshed = client.post("/api/token/refresh/", headers=headers)
    assert post_profile(demo, refreshed.json["access"]).json["id"] == 42
    headers = {"Authorization": f"Bearer {tokens['access']}"}
    assert client.post("/api/token/refresh/", headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("alice@example.com", "wrong"),
        ("nobody@example.com", "demo-password"),
        ("ivan@example.com", "demo-password"),
        ("\ud800", "demo-password"),
        ("alice@example.com", "\ud800"),
    ],
)
def test_the_demo_rejects_any_other_sign_in(email, password, demo):
    response = sign_in(demo, email, password)
    assert response.status_code == 401
    assert response.json == {"detail": "No active user has this email and password."}


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"email": "alice@example.com"}'])
def test_the_demo_requires_an_email_and_a_password(body, demo):
    client = demo["app"].test_client()
    response = client.post("/api/sign-in/", data=body, content_type="application/json")
    assert response.status_code == 400


@pytest.mark.parametrize("email", ["john@example.com", "alice@example.com"])
def test_the_demo_serves_the_avatars(email, demo):
    avatar = post_profile(demo, sign_in(demo, email).json["access"]).json["avatar"]
    with demo["app"].test_client().get(avatar) as image:
        assert image.status_code == 200
        assert image.content_type in {"image/png", "image/jpeg"}
        assert image.headers["X-Content-Type-Options"] == "nosniff"


def test_the_demo_serves_an_avatar_until_it_is_deleted(demo):
    client = demo["app"].test_client()
    headers = {"Authorization": f"Bearer {sign_in(demo, 'sara@example.com').json['access']}"}
    image = (EXAMPLES / "demo/media/avatars/alice.png").read_bytes()
    avatar = client.put("/api/profile/avatar/", headers=headers, data=image).json["avatar"]
    with client.get(avatar) as response:
        assert response.status_code == 200
        assert response.content_type == "image/webp"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert client.delete("/api/profile/avatar/", headers=headers).status_code == 204
    assert client.get(avatar).status_code == 404


@pytest.mark.parametrize("name", ["none.webp", "../jwt_secret", "%2e%2e/demo.db", "../app.py", ""])
def test_the_demo_serves_no_other_file_as_media(name, demo):
    assert demo["app"].test_client().get(f"/media/{name}").status_code == 404


def test_the_demo_lets_a_user_edit_their_profile(demo):
    client = demo["app"].test_client()
    headers = {"Authorization": f"Bearer {sign_in(demo, 'sara@example.com').json['access']}"}
    changes = {"first_name": "Sara"}
    assert client.patch("/api/profile/", headers=headers, json=changes).status_code == 200
    assert client.get("/api/profile/", headers=headers).json["first_name"] == "Sara"


def test_the_demo_lets_a_user_delete_the_account_and_brings_it_back(demo):
    client = demo["app"].test_client()
    tokens = sign_in(demo, "sara@example.com").json
    stale = client.post(
        "/api/token/refresh/", headers={"Authorization": f"Bearer {tokens['refresh']}"}
    )
    headers = {"Authorization": f"Bearer {stale.json['access']}"}
    assert client.delete("/api/profile/", headers=headers).json["code"] == "fresh_token_required"
    headers = {"Authorization": f"Bearer {tokens['access']}"}
    assert client.delete("/api/profile/", headers=headers).status_code == 204
    assert sign_in(demo, "sara@example.com").status_code == 401
    assert client.post("/api/demo-reset/", data="{}").status_code == 415
    assert client.post("/api/demo-reset/", json={}).status_code == 204
    assert sign_in(demo, "sara@example.com").status_code == 200


def test_the_demo_locks_its_database_for_a_moment(demo):
    client = demo["app"].test_client()
    headers = {"Authorization": f"Bearer {create_token(demo, '1')}"}
    assert client.post("/api/demo-lock/", data="{}").status_code == 415
    assert client.post("/api/demo-lock/", json={}).status_code == 204
    refused = client.patch("/api/profile/", headers=headers, json={"last_name": "Doe"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    repeated = client.patch("/api/profile/", headers=headers, json={"last_name": "Doe"})
    assert repeated.status_code == 200


def test_the_secret_of_the_demo_is_readable_by_its_owner_only(demo):
    assert (demo["folder"] / "jwt_secret").stat().st_mode & 0o077 == 0


@pytest.fixture
def swagger_ui(tmp_path, monkeypatch):
    """Install a minimal flask_swagger_ui package, so that the tests need not have the real one."""
    files = {"__init__.py": "", "dist/swagger-ui-bundle.js": "viewer", "dist/swagger-ui.css": ""}
    for name, text in files.items():
        path = tmp_path / "flask_swagger_ui" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name in [name for name in sys.modules if name.partition(".")[0] == "flask_swagger_ui"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("flask_swagger_ui", None)


@pytest.mark.usefixtures("swagger_ui")
@pytest.mark.parametrize("path", ["/", "/docs/"])
def test_the_demo_serves_everything_that_its_pages_need(path, demo):
    client = demo["app"].test_client()
    page = client.get(path)
    html = page.get_data(as_text=True)
    assert page.status_code == 200
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=|javascript:|//", html)
    urls = re.findall(r'(?:href|src)="([^"#]+)"', html)
    assert len(urls) >= 5
    for url in urls:
        with client.get(url) as response:
            assert response.status_code == 200, url


@pytest.mark.usefixtures("swagger_ui")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs/",
        "/docs/assets/swagger-ui-bundle.js",
        "/static/page.js",
        "/favicon.ico",
        "/openapi.json",
        "/media/avatars/alice.png",
    ],
)
def test_the_demo_lets_a_browser_load_only_its_own_files(path, demo):
    with demo["app"].test_client().get(path) as response:
        assert response.status_code == 200
        assert response.headers["Content-Security-Policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"


def test_every_module_of_the_page_is_served_as_a_script(demo):
    client = demo["app"].test_client()
    for path in (EXAMPLES / "demo/static").glob("*.js"):
        with client.get(f"/static/{path.name}") as response:
            assert response.content_type.startswith("text/javascript"), path
            imported_names = re.findall(r'from "\./(.+)"', response.get_data(as_text=True))
            assert all(path.with_name(name).exists() for name in imported_names), imported_names


def test_without_swagger_ui_the_page_says_what_to_install(demo, monkeypatch):
    monkeypatch.setitem(sys.modules, "flask_swagger_ui", None)
    for path in ("/docs/", "/docs/assets/swagger-ui.css"):
        response = demo["app"].test_client().get(path)
        assert response.status_code == 501
        assert 'pip install ".[demo]"' in response.get_data(as_text=True)
    assert demo["app"].test_client().get("/").status_code == 200


@pytest.mark.usefixtures("swagger_ui")
@pytest.mark.parametrize("name", ["none.js", "../__init__.py", "%2e%2e/__init__.py"])
def test_the_demo_serves_no_other_file_of_swagger_ui(name, demo):
    assert demo["app"].test_client().get(f"/docs/assets/{name}").status_code == 404


def test_the_demo_serves_its_openapi_document(demo):
    response = demo["app"].test_client().get("/openapi.json")
    assert response.content_type == "application/json"
    assert set(response.json["paths"]) == {"/api/profile/", "/api/profile/avatar/"}


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [("expired", 401, "expired"), ("inactive", 401, "inactive"), ("deleted", 404, "")],
)
def test_an_invalid_token_that_the_demo_offers_is_rejected(name, status, reason, demo):
    tokens = demo["app"].test_client().get("/api/demo-tokens/")
    assert tokens.headers["Cache-Control"] == "no-store"
    response = post_profile(demo, tokens.json[name])
    assert response.status_code == status
    assert reason in response.headers.get("WWW-Authenticate", "")


def test_the_page_has_the_url_of_the_profile_and_whether_avatars_are_enabled(
    demo, tmp_path, monkeypatch
):
    monkeypatch.setenv("FLASK_PROFILE_URL_PREFIX", "/me")
    monkeypatch.setenv("FLASK_PROFILE_METHODS", '["POST"]')
    monkeypatch.setenv("FLASK_PROFILE_AVATARS", "false")
    app = demo["create_app"](instance_path=str(tmp_path))
    html = app.test_client().get("/").get_data(as_text=True)
    assert 'data-profile="/me/"' in html
    assert 'data-avatar=""' in html
    assert "POST /me/" in html
    with app.app_context():
        demo["db"].engine.dispose()


def test_the_demo_prints_curl_commands(demo, capsys):
    demo["print_curl_lines"](demo["app"], "http://127.0.0.1:5000/")
    printed = capsys.readouterr().out
    for title in ("alice_wonder", "john_doe", "no token", "a bad token", "a deleted user"):
        assert f"# {title}, " in printed
    for method in ("POST", "GET", "PATCH", "PUT", "DELETE"):
        assert f" -X {method} " in printed
    assert printed.count("curl ") >= 12


@pytest.mark.parametrize(("options", "has_curl"), [([], False), (["--curl"], True)])
def test_the_demo_prints_its_url_at_last(options, has_curl, tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(EXAMPLES / "demo", copy, ignore=shutil.ignore_patterns("instance"))
    command = [sys.executable, str(copy / "app.py"), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            printed = []
            for line in server.stdout:
                printed.append(line)
                if line.startswith("Open http://127.0.0.1:"):
                    break
            url = printed[-1].removeprefix("Open ").strip()
            with urllib.request.urlopen(url) as response:
                assert response.status == 200
        finally:
            server.terminate()
        assert server.stdout.read() == ""
    assert any("curl -w" in line for line in printed) == has_curl


def test_the_quickstart_serves_a_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASK_SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path}/users.db")
    monkeypatch.setenv("FLASK_JWT_SECRET_KEY", "a secret of more than thirty-two bytes")
    quickstart = runpy.run_path(str(EXAMPLES / "quickstart.py"), run_name="quickstart")
    app, db = quickstart["create_app"](), quickstart["db"]
    with app.app_context():
        user = JOHN_PROFILE | {"date_joined": None, "last_login": None}
        db.session.add(quickstart["User"](**user))
        db.session.commit()
        headers = {"Authorization": f"Bearer {create_access_token('1')}"}
    assert app.test_client().post("/api/profile/", headers=headers).json["id"] == 1
    with app.app_context():
        db.engine.dispose()
