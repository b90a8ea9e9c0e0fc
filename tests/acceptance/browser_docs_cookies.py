"""Check the JavaScript of the recipe for tokens in cookies."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from werkzeug.security import generate_password_hash

from browser_docs_page import PASSWORD, Manual, issue_tokens, serve
from browser_host import make_photo


def check_cookies(manual: Manual) -> None:
    """Edit a profile, upload an avatar and delete the account with tokens in cookies."""
    made = manual.execute_python(slice(1))
    create_app = partial(
        made["create_app"], PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE="memory://"
    )
    app = manual.execute_python(slice(1, 2), **made | {"create_app": create_app})["app"]
    app.config["JWT_COOKIE_SECURE"] = False  # The server of this test has no TLS.
    db = made["db"]
    with app.app_context():
        sara = made["User"](username="sara", email="sara@example.com")
        sara.password_hash = generate_password_hash(PASSWORD)
        db.session.add(sara)
        db.session.commit()
    with serve(app) as origin:
        manual.execute_javascript(origin)
        check_session(manual, issue_tokens(app, expires_delta=timedelta(days=-1)))
    with app.app_context():
        assert db.session.scalar(db.select(made["User"])) is None


SIGN_IN = """
  const json = { email: "sara@example.com", password: args[0] };
  return (await sendWithCookies("POST", "/session", "", { json })).status;
"""
READ_WITH_COOKIES = """
  const response = await callApi("POST", "/api/profile/");
  return [response.status, readCookie("csrf_access_token")];
"""
DELETE = "return deleteAccountWithCookies('sara@example.com', async () => args[0])"


def check_session(manual: Manual, expired: dict[str, str]) -> None:
    assert manual.run(READ_WITH_COOKIES) == [401, ""]
    assert [manual.run(SIGN_IN, each) for each in ("x", PASSWORD)] == [401, 200]
    status, first = manual.run(READ_WITH_COOKIES)
    assert (status, manual.run(READ_WITH_COOKIES)) == (200, [200, first])
    root = manual.page.url.removesuffix("page")
    value = expired["access_token"]
    manual.page.context.add_cookies([{"name": "access_token_cookie", "value": value, "url": root}])
    status, second = manual.run(READ_WITH_COOKIES)
    assert (status, second != first) == (200, True), "The token was not refreshed."

    manual.page.set_input_files(
        "input[type=file]", {"name": "photo.jpg", "mimeType": "", "buffer": make_photo()}
    )
    manual.execute_modules()
    assert manual.run("return [profile.first_name, edited.status]") == ["Al", 200]
    avatar = manual.run("return (await uploaded.json()).avatar")
    assert avatar.startswith("/media/avatars/"), avatar
    conflict = "const etag = current.headers.get('ETag'), json = {};"
    edit = "return (await callApi('PATCH', '/api/profile/', { json, etag })).status"
    assert manual.run(conflict + edit) == 412

    assert manual.run(DELETE, None) is False
    assert manual.refusal(DELETE, "wrong") == "Wrong email or password."
    assert manual.run(DELETE, PASSWORD) is True
    assert manual.run(READ_WITH_COOKIES) == [401, ""]
