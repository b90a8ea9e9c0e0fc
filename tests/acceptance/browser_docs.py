"""Execute the JavaScript of the manual in a browser, against the app of the same page.

The blocks of a page, in Python and in JavaScript, are executed word for word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, Route
from werkzeug.security import generate_password_hash

from browser_docs_cookies import check_cookies
from browser_docs_page import PASSWORD, Manual, issue_tokens, serve
from browser_host import launch_chromium, make_photo


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
