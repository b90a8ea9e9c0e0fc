"""Execute the JavaScript of the manual in a browser, against the app of the same page.

The blocks of a page, in Python and in JavaScript, are executed word for word.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask
from flask_jwt_extended import create_access_token, create_refresh_token
from PIL import Image
from playwright.sync_api import Browser, Error, Page, Route
from werkzeug import Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.security import generate_password_hash
from werkzeug.serving import make_server

from browser_host import launch_chromium, make_photo

DOCS = Path(__file__).parents[2] / "docs"
AWAIT = re.compile(r"^(?:const .*= )?await ", re.MULTILINE)
NAME = re.compile(r"^const (\w+) =", re.MULTILINE)
PASSWORD = "secret"
PAGE = """<!doctype html>
<title>Manual</title>
<link rel=icon href="data:,">
<form><input name=first_name><input name=number_phone></form>
<input type=file>
<img alt=Avatar>
"""


class Manual:
    """A page of the manual.

    Args:
        name: The name of the page.
        page: A new page of a browser.
    """

    def __init__(self, name: str, page: Page) -> None:
        self.page = page
        self.errors: list[Error] = []
        self.page.on("pageerror", lambda error: self.errors.append(error))
        self._name = f"{name}.md"
        self._text = (DOCS / self._name).read_text()

    def execute_python(self, only: slice = slice(None), **names: Any) -> dict[str, Any]:
        """Execute the visible blocks, or some of them, and return their namespace."""
        namespace: dict[str, Any] = {"__name__": "page"} | names
        for block in self.find_blocks("python")[only]:
            # Without dont_inherit, this module's postponed annotations would hold in the block.
            exec(compile(block, self._name, "exec", dont_inherit=True), namespace)
        return namespace

    def execute_javascript(self, origin: str) -> None:
        """Execute the blocks, which define functions and add listeners.

        A block with an ``await`` outside of functions is a module, for ``run``.
        """
        self.page.goto(f"{origin}/page")
        for block in self.find_blocks("js"):
            if not AWAIT.search(block):
                self.page.add_script_tag(content=block)
        assert not self.errors, self.errors

    def execute_modules(self) -> None:
        """Execute the blocks with an ``await`` outside of functions, and keep their names."""
        for block in filter(AWAIT.search, self.find_blocks("js")):
            names = ", ".join(NAME.findall(block))
            done = f"Object.assign(globalThis, {{ {names} }}, {{ done: true }});"
            self.page.add_script_tag(content=f"{block}\n{done}", type="module")
            self.page.wait_for_function("globalThis.done")

    def run(self, body: str, *arguments: object) -> Any:
        """Return the result of an asynchronous function's body, which may use ``args``."""
        return self.page.evaluate(f"async (args) => {{ {body} }}", arguments)

    def refusal(self, body: str, *arguments: object) -> str:
        """Return the message of the error that a function's body throws."""
        message = f"return (async () => {{ {body} }})().then(() => '', (error) => error.message)"
        return str(self.run(message, *arguments))

    def find_blocks(self, language: str) -> list[str]:
        blocks = re.findall(rf"^```{language}\n(.*?)^```", self._text, re.MULTILINE | re.DOTALL)
        assert blocks, f"The page has no blocks of {language}."
        return blocks


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve an app and the page at /page, and yield the origin."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    page = DispatcherMiddleware(app, {"/page": Response(PAGE, mimetype="text/html")})
    server = make_server("127.0.0.1", 0, page, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def issue_tokens(app: Flask, identity: str = "1", **options: Any) -> dict[str, str]:
    with app.app_context():
        access_token = create_access_token(identity, **options)
        refresh_token = create_refresh_token(identity)
    return {"access_token": access_token, "refresh_token": refresh_token}


def check_reading(manual: Manual) -> None:
    """Read a profile with each kind of token, and from a server that is busy or broken."""
    made = manual.execute_python()
    app: Flask = made["create_app"]()
    made["add_refresh"](app)
    db, user = made["db"], made["User"]
    with app.app_context():
        db.session.add(user(id=2, username="ivan", email="ivan@example.com", is_active=False))
        db.session.commit()
    with serve(app) as origin:
        manual.execute_javascript(origin)
        check_tokens(manual, app)
        with app.app_context():
            tokens = made["issue_tokens"](db.session.get(user, 1))
        check_failures(manual, tokens)


READ = "return [await readProfile(args[0]), args[0].access_token]"


def check_tokens(manual: Manual, app: Flask) -> None:
    tokens = issue_tokens(app)
    expired = issue_tokens(app, expires_delta=timedelta(days=-1))
    profile, _ = manual.run(READ, tokens)
    assert profile["username"] == "alice", profile
    profile, access = manual.run(READ, expired)
    assert profile["username"] == "alice", profile
    assert access not in expired.values(), "The token was not refreshed."
    for identity in ("2", "404"):  # An inactive and a deleted user.
        assert manual.run(READ, issue_tokens(app, identity))[0] is None, identity
    assert manual.run(READ, expired | {"refresh_token": "x"})[0] is None


def check_failures(manual: Manual, tokens: dict[str, str]) -> None:
    def fail(route: Route) -> None:
        if failures:
            status, body = failures.pop()
            route.fulfill(status=status, body=body, headers={"Retry-After": "0.1"})
        else:
            route.continue_()

    busy = '{"error": "The profile is temporarily unavailable."}'
    failures = [(503, busy), (503, busy)]
    manual.page.route("**/api/profile/", fail)
    assert manual.run(READ, tokens)[0]["id"] == 1
    for failures, message in (
        ([(503, busy)] * 3, "The profile is temporarily unavailable."),
        ([(500, '{"error": "The profile could not be loaded."}')], "The profile could not be"),
        ([(502, "<!doctype html>")], "HTTP 502"),
    ):
        assert message in manual.refusal(READ, tokens), message
        assert not failures, failures


def check_editing(manual: Manual) -> None:
    """Save a form while another client edits other fields, and then the same one."""
    made = manual.execute_python()
    app = made["create_app"]()
    with serve(app) as origin:
        manual.execute_javascript(origin)
        check_conflicts(
            manual, issue_tokens(app)["access_token"], lambda **v: made["edit_profile"](app, v)
        )


def check_conflicts(manual: Manual, token: str, edit_elsewhere: Callable[..., object]) -> None:
    def save(base: Any, entered: dict[str, str]) -> tuple[dict[str, Any], list[list[str]]]:
        decide = "(...values) => { asked.push(values); return values[1] + '!' }"
        result = manual.run(
            f"const asked = []; const decide = {decide};"
            "return [await saveProfile(args[0], args[1], args[2], decide), asked]",
            token,
            base,
            entered,
        )
        return result[0], result[1]

    base = manual.run("return readWithEtag(args[0])", token)
    assert base["status"] == 200, base
    unchanged = {name: base["body"][name] for name in ("last_name", "number_phone")}
    saved, asked = save(base, unchanged | {"first_name": "Ali"})
    assert (saved["status"], saved["body"]["first_name"], asked) == (200, "Ali", [])

    edit_elsewhere(last_name="Miracle")
    saved, asked = save(saved, unchanged | {"first_name": "Al"})
    names = saved["body"]["first_name"], saved["body"]["last_name"]
    assert (saved["status"], names, asked) == (200, ("Al", "Miracle"), [])

    edit_elsewhere(first_name="Lissy")
    saved, asked = save(saved, {"first_name": "Ally"})
    assert (saved["status"], saved["body"]["first_name"]) == (200, "Ally!"), saved
    assert asked == [["first_name", "Ally", "Lissy"]], asked

    refused, _ = save(saved, {"first_name": "x" * 201, "number_phone": "5551234567"})
    assert refused["status"] == 400, refused
    show = """
      const form = document.querySelector("form");
      showMessages(form, args[0]);
      return [...form.elements].map((input) => input.validationMessage);
    """
    expected = ["Longer than maximum length 200.", ""]
    assert manual.run(show, refused["body"]) == expected
    assert manual.run(show, {}) == ["", ""]
    assert save(saved | {"etag": None}, {})[0]["status"] == 200


def check_deletion(manual: Manual) -> None:
    """Delete an account with a token that is not fresh, after the password is asked for."""
    made = manual.execute_python()
    app, db = made["app"], made["db"]
    with app.app_context():
        sara = made["User"](username="sara", email="sara@example.com")
        sara.password_hash = generate_password_hash(PASSWORD)
        db.session.add(sara)
        db.session.commit()
        stale = issue_tokens(app, str(sara.id))["access_token"]
    delete = "return deleteAccount(args[0], 'sara@example.com', async () => args[1])"
    with serve(app) as origin:
        manual.execute_javascript(origin)
        assert manual.run(delete, stale, None) is False
        refusal = manual.refusal(delete, stale, "wrong")
        assert refusal == "Wrong email or password.", refusal
        assert manual.refusal(delete, "x", PASSWORD) == "Given token not valid for any token type"
        assert manual.run(delete, stale, PASSWORD) is True
    with app.app_context():
        assert db.session.scalar(db.select(made["User"])) is None


def encode(image: Image.Image, format_name: str) -> bytes:
    data = BytesIO()
    image.save(data, format_name)
    return data.getvalue()


def check_avatars(manual: Manual) -> None:
    """Shrink and upload images of several formats, and a file that is none."""
    made = manual.execute_python()
    with tempfile.TemporaryDirectory() as folder:
        app = made["create_app"](PROFILE_MEDIA_STORAGE=folder)
        made["serve_media"](app)
        with serve(app) as origin:
            manual.execute_javascript(origin)
            check_uploads(manual, issue_tokens(app)["access_token"])


def check_uploads(manual: Manual, token: str) -> None:
    page = manual.page
    page.evaluate("(value) => { globalThis.token = value }", token)
    measure = """
      const file = document.querySelector("input[type=file]").files[0];
      const smaller = await shrink(file);
      const image = await createImageBitmap(smaller);
      const canvas = new OffscreenCanvas(image.width, image.height);
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const [, , , opacity] = context.getImageData(0, 0, 1, 1).data;
      return [image.width, image.height, smaller.type, smaller.size, opacity];
    """
    photo = make_photo()
    clear = Image.new("RGBA", (64, 32))
    for name, data, size, opacity in (
        ("photo.jpg", photo, (768, 1024), 255),
        ("clear.png", encode(clear, "PNG"), (64, 32), 0),
        ("tall.avif", encode(Image.new("RGB", (10, 4000)), "AVIF"), (3, 1024), 255),
    ):
        before = page.get_attribute("img", "src")
        with page.expect_response("**/api/profile/avatar/") as uploaded:
            page.set_input_files("input[type=file]", {"name": name, "mimeType": "", "buffer": data})
        assert uploaded.value.status == 200, (name, uploaded.value.text())
        page.wait_for_function(
            "(before) => document.querySelector('img').getAttribute('src') !== before", arg=before
        )
        assert page.get_attribute("img", "src") == uploaded.value.json()["avatar"], name
        width, height, media_type, length, alpha = manual.run(measure)
        assert ((width, height), media_type, alpha) == (size, "image/webp", opacity), name
        assert length < len(photo) / 5, (name, length)
        page.wait_for_function("document.querySelector('img').naturalWidth > 0")

    refusal = manual.refusal("await uploadAvatar(args[0], new File(['<p>'], 'x.png'))", token)
    assert refusal == "The avatar must be a PNG, JPEG, WebP or GIF image.", refusal


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


def check_one_module(browser: Browser) -> None:
    """Parse the JavaScript of all pages as one module: no two pages declare the same name."""
    page = browser.new_page()
    blocks = [block for name in CHECKS for block in Manual(name, page).find_blocks("js")]
    with page.expect_event("pageerror") as stopped:
        stop = "throw new Error('It was parsed.');"
        page.add_script_tag(content="\n".join([stop, *blocks]), type="module")
    assert stopped.value.message == "It was parsed.", stopped.value
    page.close()
    print("The JavaScript of all pages can be in one module.")


CHECKS = {
    "reading": check_reading,
    "editing": check_editing,
    "avatars": check_avatars,
    "account-deletion": check_deletion,
    "recipes": check_cookies,
}


def check_page(browser: Browser, name: str, check: Callable[[Manual], None]) -> None:
    manual = Manual(name, browser.new_page())
    check(manual)
    assert not manual.errors, (name, manual.errors)
    manual.page.close()
    print(f"The JavaScript of {name}.md works in Chromium {browser.version}.")


def main() -> None:
    """Check the JavaScript of each page."""
    with launch_chromium() as browser:
        for name, check in CHECKS.items():
            check_page(browser, name, check)
        check_one_module(browser)


if __name__ == "__main__":
    main()
