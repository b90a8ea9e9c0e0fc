"""Use every control of the demo's page in a browser, and check for errors and accessibility."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from browser_upload import make_photo, serve_demo
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, sync_playwright

AXE = "axe-core@4.14.1"
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
FAILED_REQUEST = re.compile(
    r"Failed to load resource: the server responded with a status of (\d+) "
)
ERRORS = {
    "No token": 401,
    "Expired token": 401,
    "Tampered token": 401,
    "Refresh token": 401,
    "Inactive user": 401,
    "Deleted user": 404,
}
HOSTILE_NAME = """O'Brien "$HOME" `id` \\n !é"""


class Visit:
    """A page of the demo, and the problems that the browser reports on it."""

    def __init__(self, page: Page, origin: str, axe: str) -> None:
        self.page = page
        self.origin = origin
        self._axe = axe
        self._problems: list[str] = []
        page.on("console", self._record_message)
        page.on("pageerror", lambda error: self._problems.append(f"An exception: {error}"))
        page.on("request", self._check_request)
        page.on(
            "requestfailed", lambda request: self._problems.append(f"No response: {request.url}")
        )

    def _record_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._problems.append(f"{message.text} {message.location['url']}")

    def _check_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self._problems.append(f"A request to another origin: {request.url}")
        if "eyJ" in request.url:
            self._problems.append(f"A token in a URL: {request.url}")

    def expect_errors(self, *statuses: int) -> None:
        """Check that these error statuses are the only problems since the last check."""
        for _ in range(100):  # Console messages arrive a little after the page has changed.
            self.page.wait_for_timeout(20)
            if len(self._problems) >= len(statuses):
                break
        problems, self._problems[:] = [*self._problems], []
        failed = [int(found[1]) for text in problems if (found := FAILED_REQUEST.match(text))]
        assert failed == [*statuses], f"{problems}, but {statuses} were expected."
        assert len(problems) == len(failed), problems

    def expect_problems(self, pattern: str) -> None:
        """Check that the browser has reported problems, and that all of them match the pattern."""
        problems, self._problems[:] = [*self._problems], []
        assert problems, f"The browser has reported nothing that matches {pattern}."
        assert all(re.search(pattern, text) for text in problems), problems

    def audit(self, state: str, exclude: str = "") -> None:
        """Check the accessibility with axe-core, and that the page is not wider than the screen."""
        options = {"exclude": [[exclude]]} if exclude else {}
        self.page.evaluate(self._axe)
        found = self.page.evaluate(
            "(context) => axe.run({include: [['html']], ...context})", options
        )
        assert len(found["passes"]) > 10, f"axe-core has checked almost nothing: {found}"
        violations = [
            f"{violation['id']}: {node['html'][:120]}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]
        assert not violations, f"{state}: " + "\n".join(violations)
        widths = "[document.documentElement.scrollWidth, innerWidth]"
        scrolled, width = self.page.evaluate(widths)
        assert scrolled <= width, (
            f"{state}: the page is {scrolled} pixels wide, the screen only {width}."
        )

    def text(self, selector: str) -> str:
        """Return the visible text of an element."""
        return self.page.locator(selector).inner_text()

    def wait_for_message(self, section: str, pattern: str) -> None:
        """Wait until the live region of a section shows a message."""
        message = self.page.locator(f"{section} .message")
        message.filter(has_text=re.compile(pattern)).wait_for()

    def wait_until(self, expression: str) -> None:
        """Wait until an expression is true; the page's CSP does not allow wait_for_function."""
        for _ in range(500):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"This has not become true: {expression}")

    def focused(self) -> str:
        """Return the id of the focused element, or its text if it has no id."""
        element = "document.activeElement"
        return str(self.page.evaluate(f"{element}.id || {element}.innerText"))

    def sign_in(self, username: str) -> None:
        """Sign in with the button of a user."""
        self.page.get_by_role("button", name=username).click()
        self.page.locator("#profile").wait_for()
        assert self.text("#profile [data-field=username]") == username
        assert self.focused() == "name", self.focused()

    def sign_out(self) -> None:
        """Sign out, and check that no data of the user is left in the page or the browser."""
        self.page.click("#sign-out")
        self.page.locator("#sign-in").wait_for()
        assert self.focused() == "sign-in-title", self.focused()
        kept = "[localStorage.length, sessionStorage.length, document.cookie]"
        assert self.page.evaluate(kept) == [0, 0, ""]
        html = self.page.content()
        assert "eyJ" not in html, html
        assert "wonder" not in self.page.locator("#profile").inner_html().lower()

    def run_curl(self, folder: Path, *changes: tuple[str, str]) -> tuple[str, str]:
        """Run the displayed curl command in a shell; return the status line and the body."""
        command = self.page.locator("#curl").text_content() or ""
        for old, new in changes:
            assert old in command, command
            command = command.replace(old, new)
        command = f"{command} --silent"
        output = subprocess.check_output(["bash", "-c", command], text=True, cwd=folder)
        head, _, body = output.replace("\r\n", "\n").partition("\n\n")
        while head.startswith("HTTP/1.1 100"):
            head, _, body = body.partition("\n\n")
        return head.split("\n")[0], body

    def check_curl(self, folder: Path) -> None:
        """Check that the curl command gets the same response as the page."""
        shown, _, body = self.text("#response").partition("\n\n")
        line, curl_body = self.run_curl(folder)
        assert line == shown.split("\n")[0], (line, shown)
        assert (json.loads(curl_body) if curl_body else "") == (json.loads(body) if body else "")


def check_sign_in(visit: Visit) -> None:
    """Sign in as each user with the buttons, and with the form."""
    page = visit.page
    for username, name, badge in (
        ("john_doe", "John Doe", ""),
        ("alice_wonder", "Alice Wonder", ""),
        ("sara_staff", "sara_staff", "Staff"),
    ):
        visit.sign_in(username)
        assert visit.text("#name") == name
        badges = page.locator(".badges")
        assert (badges.inner_text() if badges.is_visible() else "") == badge
        if username == "alice_wonder":
            assert visit.text("[data-field=date_joined]") == "1 February 2024 at 08:15"
            joined = page.locator("[data-field=date_joined]").get_attribute("datetime")
            assert joined == "2024-02-01T08:15:30Z", joined
            assert visit.text("[data-field=number_phone]") == "5551234567"
        elif username == "sara_staff":
            assert visit.text("[data-field=last_login]") == "never"
            assert visit.text(".avatar") == "s", visit.text(".avatar")
            visit.audit("signed in, with a badge and without an avatar")
        visit.sign_out()
    visit.expect_errors()

    page.get_by_role("button", name="ivan_idle").click()
    visit.wait_for_message("#sign-in", "No active user")
    visit.audit("a refused sign-in")
    visit.expect_errors(401)
    page.fill("#email", "alice@example.com")
    page.fill("#password", "wrong")
    page.click("#sign-in form button")
    page.locator("#request").filter(has_text='"wrong"').wait_for()
    visit.expect_errors(401)
    page.fill("#password", "demo-password")
    page.press("#password", "Enter")
    page.locator("#profile").wait_for()
    visit.expect_errors()


def check_errors(visit: Visit, folder: Path, *, get: bool, refused: str, signed_in: bool) -> None:
    """Press each button that provokes an error, and run the curl command of each.

    If get is true, the page reads the profile with GET. The last button sends the request refused,
    which has a method that the app does not allow.
    """
    page = visit.page
    buttons = page.locator("#wire .errors button")
    refused_name = f"{refused.split()[0]} not allowed"
    errors = ERRORS | {refused_name: 405}
    names = [" ".join(text.split()) for text in buttons.all_inner_texts()]
    assert names == [f"{name} {status}" for name, status in errors.items()], names
    for button, (name, status) in zip(buttons.all(), errors.items(), strict=True):
        if not signed_in and name in {"Tampered token", "Refresh token"}:
            assert button.is_disabled(), name
            continue
        button.click()
        visit.wait_for_message("#wire", f"^{status} .+, as expected")
        visit.expect_errors(status)
        visit.check_curl(folder)
        line = visit.text("#request strong")
        method = "GET" if get else "POST"
        sent = refused if status == 405 else f"{method} /api/profile/"
        assert line == f"{sent} HTTP/1.1", line
        has_token = name not in {"No token", refused_name}
        assert ("Authorization" in visit.text("#request")) == has_token
        assert ("WWW-Authenticate: Bearer" in visit.text("#response")) == (status == 401)


def check_copy(visit: Visit) -> None:
    """Copy the curl command, also where the clipboard is not available."""
    visit.page.click("#copy")
    visit.wait_for_message("#wire", "copied")
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    assert copied == visit.page.locator("#curl").text_content()
    visit.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject() }")
    visit.page.click("#copy")
    visit.wait_for_message("#wire", "selected")
    selected = visit.page.evaluate("getSelection().toString()")
    assert selected.split() == copied.split(), selected
    visit.expect_errors()


def check_edits(visit: Visit, folder: Path) -> None:
    """Save invalid values, valid values and a conflicting edit; then cancel an edit."""
    page = visit.page
    page.click("#edit")
    assert visit.focused() == "first_name", visit.focused()
    page.fill("#number_phone", "0123456789012")
    page.fill("#last_name", "x" * 201)
    page.click("#profile form .primary")
    visit.wait_for_message("#profile", "not saved")
    for field in ("last_name", "number_phone"):
        entry = page.locator(f"#{field}")
        assert entry.get_attribute("aria-invalid") == "true"
        assert entry.get_attribute("aria-describedby") == f"{field}-error"
        assert "Longer than" in visit.text(f"#{field}-error")
    assert page.locator("#first_name").get_attribute("aria-invalid") is None
    assert visit.focused() == "last_name", visit.focused()
    visit.audit("editing with errors")
    visit.expect_errors(400)
    visit.check_curl(folder)

    page.fill("#first_name", HOSTILE_NAME)
    page.fill("#last_name", "")
    page.fill("#number_phone", "")
    page.press("#number_phone", "Enter")
    visit.wait_for_message("#profile", "^Saved")
    assert page.locator("#profile form").is_hidden()
    assert visit.focused() == "edit", visit.focused()
    assert visit.text("#name") == " ".join(HOSTILE_NAME.split())
    assert visit.text("[data-field=number_phone]") == "none"
    etag = re.findall(r'If-Match: (".+")', visit.text("#request"))[0]
    assert visit.run_curl(folder)[0] == "HTTP/1.1 412 PRECONDITION FAILED", "If-Match was not sent."
    status, body = visit.run_curl(folder, (etag, "*"))
    assert status == "HTTP/1.1 200 OK", status
    assert json.loads(body)["first_name"] == HOSTILE_NAME
    visit.expect_errors()

    page.click("#edit")
    page.fill("#last_name", "Mine")
    visit.run_curl(folder, (etag, "*"), (HOSTILE_NAME.split()[1].replace('"', '\\"'), "Other"))
    page.click("#profile form .primary")
    visit.wait_for_message("#profile", "Not saved: the profile has changed")
    assert "412" in visit.text("#response strong")
    assert page.input_value("#last_name") == "Mine"
    assert "Other" in page.input_value("#first_name")
    assert "Other" in visit.text("#name")
    visit.audit("a conflict")
    visit.expect_errors(412)
    page.click("#profile form .primary")
    visit.wait_for_message("#profile", "^Saved")
    assert visit.text("#name").endswith("Mine")

    page.click("#edit")
    page.fill("#first_name", "Nobody")
    page.click("#cancel")
    assert visit.focused() == "edit", visit.focused()
    assert "Nobody" not in visit.text("#name")
    page.click("#edit")
    page.fill("#first_name", "Alice")
    page.click("#profile form .primary")
    visit.wait_for_message("#profile", "^Saved")
    assert visit.text("#name") == "Alice Mine"
    visit.expect_errors()


def check_avatar(visit: Visit, folder: Path) -> None:
    """Upload a photo with a progress bar, then files that are refused; then remove the avatar."""
    page = visit.page
    data = make_photo()
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": len(data)})
    page.evaluate(
        """() => {
          const bar = document.querySelector("#progress");
          window.seen = [];
          new MutationObserver(() => seen.push([bar.value, bar.checkVisibility()]))
            .observe(bar, {attributes: true});
        }"""
    )
    before = page.get_attribute(".avatar img", "src")
    page.set_input_files(
        "#file", {"name": "my photo.jpg", "mimeType": "image/jpeg", "buffer": data}
    )
    page.locator(".progress").wait_for()
    visit.audit("uploading")
    visit.wait_for_message("#profile", "is uploaded")
    network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    network.detach()
    seen = page.evaluate("seen")
    shares = [share for share, visible in seen if visible]
    assert len(shares) >= 3, f"The progress bar did not move: {seen}"
    assert shares == sorted(shares), shares
    assert shares[-1] == 1, shares
    assert page.locator(".progress").is_hidden()
    uploaded = page.get_attribute(".avatar img", "src")
    assert uploaded != before, uploaded
    visit.wait_until("document.querySelector('.avatar img').naturalHeight === 512")
    assert f"({len(data)} bytes of my photo.jpg)" in visit.text("#request")
    Path(folder, "my photo.jpg").write_bytes(data)
    status, body = visit.run_curl(folder)
    assert status == "HTTP/1.1 200 OK", (status, body)
    visit.expect_errors()

    page.set_input_files(
        "#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"<script>alert(1)</script>"}
    )
    visit.wait_for_message("#profile", "must be a PNG")
    visit.expect_errors(415)
    oversized = data + bytes(6 * 1024**2)
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": oversized})
    visit.wait_for_message("#profile", "too large")
    visit.expect_errors(413)
    assert page.get_attribute(".avatar img", "src") == uploaded

    page.reload()
    visit.sign_in("alice_wonder")
    page.click("#remove")
    visit.wait_for_message("#profile", "is removed")
    assert page.locator(".avatar img").is_hidden()
    assert visit.text(".avatar") == "AM"
    assert page.locator("#remove").is_hidden()
    assert visit.focused() == "file", visit.focused()
    assert visit.text("#request strong") == "DELETE /api/profile/avatar/ HTTP/1.1"
    visit.check_curl(folder)
    visit.expect_errors()


def check_badges_and_failures(visit: Visit, folder: Path) -> None:
    """Show every badge; then test a missing avatar file, a lost network and a deactivated user."""
    page = visit.page

    def add_badges(route: Route) -> None:
        response = route.fetch()
        changes = {"is_active": False, "is_superuser": True, "avatar": "/media/none.png"}
        route.fulfill(response=response, json=response.json() | changes)

    page.route("**/api/profile/", add_badges)
    visit.sign_in("sara_staff")
    assert visit.text(".badges").split() == ["Superuser", "Staff", "Inactive"]
    page.locator(".avatar span").wait_for()
    assert page.locator(".avatar img").is_hidden()
    visit.audit("every badge")
    visit.expect_errors(404)
    page.unroute("**/api/profile/")

    page.context.set_offline(True)
    page.get_by_role("button", name="No token").click()
    visit.wait_for_message("#wire", "has not answered")
    page.set_input_files("#file", {"name": "x.png", "mimeType": "", "buffer": b"x"})
    visit.wait_for_message("#profile", "has not answered")
    page.context.set_offline(False)
    visit.expect_problems("ERR_INTERNET_DISCONNECTED|No response: .*/api/profile/")

    page.click("#edit")
    users = sqlite3.connect(folder / "demo.db")
    with users:
        users.execute("UPDATE user SET is_active = 0 WHERE id = 3")
    page.click("#profile form .primary")
    visit.wait_for_message("#sign-in", "User is inactive")
    assert page.locator("#profile").is_hidden()
    assert visit.focused() == "sign-in-title", visit.focused()
    visit.expect_errors(401)
    with users:
        users.execute("UPDATE user SET is_active = 1 WHERE id = 3")
    users.close()


def tab_to(visit: Visit, name: str) -> None:
    """Press Tab until an element has the focus; every focus on the way must be visible."""
    for _ in range(40):
        visit.page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        label = "getComputedStyle(document.activeElement.nextElementSibling ?? document.body)"
        styles = visit.page.evaluate(f"[{outline}, {label}.outlineStyle]")
        assert "solid" in styles, f"The focus is not visible on {visit.focused()}."
        if visit.focused().startswith(name):
            return
    raise AssertionError(f"The keyboard does not reach {name}.")


def check_keyboard(visit: Visit) -> None:
    """Sign in, edit, provoke an error, copy and sign out with the keyboard only."""
    page = visit.page
    page.goto(visit.origin)
    page.locator("#wire .errors button").first.wait_for()
    tab_to(visit, "john_doe")
    page.keyboard.press("Enter")
    visit.wait_until("document.activeElement.id === 'name'")
    tab_to(visit, "edit")
    page.keyboard.press("Space")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("Johnny")
    page.keyboard.press("Enter")
    visit.wait_for_message("#profile", "^Saved")
    assert visit.text("#name").startswith("Johnny"), visit.text("#name")
    assert visit.focused() == "edit", visit.focused()
    tab_to(visit, "file")
    tab_to(visit, "Deleted user")
    page.keyboard.press("Enter")
    visit.wait_for_message("#wire", "as expected")
    tab_to(visit, "copy")
    page.keyboard.press("Enter")
    visit.wait_for_message("#wire", "copied")
    page.keyboard.press("Shift+Tab")
    page.locator("#sign-out").focus()
    page.keyboard.press("Enter")
    visit.wait_until("document.activeElement.id === 'sign-in-title'")
    visit.expect_errors(404)


def check_docs(visit: Visit, token: str) -> None:
    """Open the API reference, and try an operation with a token."""
    page = visit.page
    page.get_by_role("link", name="API reference").click()
    page.wait_for_url("**/docs/")
    page.locator(".opblock").first.wait_for()
    document = page.evaluate("fetch('/openapi.json').then((response) => response.json())")
    operations = sum(len(methods) for methods in document["paths"].values())
    assert page.locator(".opblock").count() == operations, operations
    visit.audit("the reference", exclude="#viewer")
    page.locator(".auth-wrapper .authorize").first.click()
    page.locator(".auth-container input").fill(token)
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    post = page.locator(".opblock-post")
    post.locator(".opblock-summary-control").click()
    post.locator(".try-out__btn").click()
    post.locator(".execute").click()
    live = post.locator(".live-responses-table tbody .response-col_status")
    live.filter(has_text="200").wait_for()
    assert '"alice_wonder"' in post.locator(".live-responses-table").inner_text()
    visit.expect_errors()
    page.get_by_role("link", name="OpenAPI document").click()
    page.wait_for_url("**/openapi.json")
    page.go_back()
    page.get_by_role("link", name="Demo", exact=True).click()
    page.locator("#sign-in").wait_for()
    visit.expect_errors()


def check_full_demo(visit: Visit, folder: Path) -> None:
    """Use all controls of the demo with its own settings."""
    visit.page.goto(visit.origin)
    visit.page.locator("#wire .errors button").first.wait_for()
    visit.audit("signed out")
    visit.expect_errors()
    refused = "GET /api/profile/avatar/"
    check_errors(visit, folder, get=True, refused=refused, signed_in=False)
    check_sign_in(visit)
    visit.audit("signed in")
    token = re.findall("Bearer (.+)", visit.text("#request"))[0]
    check_errors(visit, folder, get=True, refused=refused, signed_in=True)
    visit.audit("the wire, filled")
    check_copy(visit)
    check_edits(visit, folder)
    check_avatar(visit, folder)
    visit.sign_out()
    check_badges_and_failures(visit, folder)
    check_keyboard(visit)
    check_docs(visit, token)


def check_read_only_demo(visit: Visit, folder: Path, *, get: bool, refused: str) -> None:
    """Use all controls of a demo whose settings do not allow edits."""
    page = visit.page
    page.goto(visit.origin)
    visit.sign_in("alice_wonder")
    for name in ("edit", "upload", "remove", "progress"):
        assert page.locator(f"#{name}").is_hidden(), name
    assert visit.text("#request strong").startswith("GET" if get else "POST")
    visit.check_curl(folder)
    check_errors(visit, folder, get=get, refused=refused, signed_in=True)
    visit.audit("read-only")
    visit.sign_out()
    page.get_by_role("link", name="API reference").click()
    page.locator(".opblock").first.wait_for()
    visit.expect_errors()


@contextmanager
def set_environment(**variables: str) -> Iterator[None]:
    """Set environment variables within a with block."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


@contextmanager
def visit_demo(
    browser: Browser, axe: str, size: str, scheme: Any = "light"
) -> Iterator[tuple[Visit, Path]]:
    """Start a new demo, and open it in a window with this size and colour scheme."""
    with tempfile.TemporaryDirectory() as name, serve_demo(Path(name)) as (origin, _):
        context = browser.new_context(
            viewport=SIZES[size],  # type: ignore[arg-type]
            color_scheme=scheme,
            locale="en-GB",
            timezone_id="UTC",
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        visit = Visit(page, origin, axe)
        yield visit, Path(name)
        page.wait_for_timeout(500)
        visit.expect_errors()  # Includes the problems that were reported late.
        context.close()


def take_screenshot(browser: Browser, axe: str, path: Path) -> None:
    """Take a reproducible screenshot, with a fixed token and a fixed time."""
    secret = "a secret of more than thirty-two bytes"
    times = {"iat": 1710070000, "nbf": 1710070000, "exp": 4102444800}
    claims = {"sub": "42", "type": "access", "jti": "demo", "fresh": False, "csrf": ""} | times
    tokens = {"access": jwt.encode(claims, secret), "refresh": ""}

    def fix_headers(route: Route) -> None:
        response = route.fetch()
        fixed = {"date": "Sun, 10 Mar 2024 11:45:22 GMT", "server": "Werkzeug"}
        route.fulfill(response=response, headers=response.headers | fixed)

    with (
        set_environment(FLASK_JWT_SECRET_KEY=secret),
        visit_demo(browser, axe, "desktop") as (visit, _),
    ):
        visit.page.route("**/api/profile/", fix_headers)
        visit.page.route("**/api/sign-in/", lambda route: route.fulfill(json=tokens))
        visit.page.goto(visit.origin)
        visit.sign_in("alice_wonder")
        visit.wait_until("document.querySelector('.avatar img').naturalHeight > 0")
        host = visit.origin.removeprefix("http://")
        visit.page.evaluate(
            """(host) => {
              for (const element of document.querySelectorAll("#request, #curl"))
                for (const node of element.childNodes)
                  if (node.nodeType === 3) node.data = node.data.replace(host, "127.0.0.1:5000");
            }""",
            host,
        )
        visit.page.screenshot(path=path, full_page=True, animations="disabled")
        visit.expect_errors()


def install_axe() -> str:
    """Install axe-core in a temporary directory, and return its source."""
    with tempfile.TemporaryDirectory() as folder:
        install = ["npm", "install", "--silent", "--no-save", "--prefix", folder, AXE]
        subprocess.run(install, check=True)
        return Path(folder, "node_modules/axe-core/axe.min.js").read_text()


def main() -> None:
    """Serve the demo and control a browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--screenshot", type=Path, help="only take a screenshot, and save it to this file"
    )
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if arguments.screenshot:
            take_screenshot(browser, "", arguments.screenshot)
            return
        axe = install_axe()
        for size, scheme in itertools.product(SIZES, ("light", "dark")):
            with visit_demo(browser, axe, size, scheme) as (visit, folder):
                check_full_demo(visit, folder)
            print(f"All controls work, without errors: {size}, {scheme}.", flush=True)
        read_only = {"FLASK_PROFILE_METHODS": '["POST"]', "FLASK_PROFILE_AVATARS": "false"}
        for variables, get, refused in (
            (read_only, False, "GET /api/profile/"),
            (read_only | {"FLASK_PROFILE_METHODS": '["GET"]'}, True, "PUT /api/profile/"),
        ):
            with (
                set_environment(**variables),
                visit_demo(browser, axe, "phone") as (visit, folder),
            ):
                check_read_only_demo(visit, folder, get=get, refused=refused)
            print(f"All controls work, without errors: {variables}.")
        browser.close()


if __name__ == "__main__":
    main()
