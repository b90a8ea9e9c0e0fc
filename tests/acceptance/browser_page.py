"""Checks of the rest of the demo: errors, the curl command, the keyboard and the API reference."""

from __future__ import annotations

import re
from pathlib import Path

from browser_visit import Visit

ERRORS = {
    "No token": 401,
    "Expired token": 401,
    "Inactive user": 401,
    "Tampered token": 401,
    "Refresh token": 401,
    "Deleted user": 404,
}
EDIT_ERRORS = {
    "Read-only field": 400,
    "Outdated ETag": 412,
    "Body too large": 413,
    "Body not JSON": 415,
    "Database busy": 503,
}
OWN = {"Tampered token", "Refresh token", "Token not fresh", *EDIT_ERRORS}
# By the status, what only the response of this status has.
MARKS = {
    400: '"is_staff"',
    401: "WWW-Authenticate: Bearer",
    405: "Allow: ",
    415: "Accept-Patch: ",
    503: "Retry-After: 1",
}


def list_errors(allowed_methods: str, refused: str) -> dict[str, int]:
    """Return the labels of the buttons and their statuses."""
    errors = ERRORS | {f"{refused.split()[0]} not allowed": 405}
    if "DELETE" in allowed_methods:
        errors["Token not fresh"] = 401
    if "PATCH" in allowed_methods:
        errors |= EDIT_ERRORS
    return errors


def check_errors(visit: Visit, folder: Path, *, get: bool, refused: str, signed_in: bool) -> None:
    """Press each button that provokes an error, and run the curl command of each.

    If get is true, the page reads the profile with GET. One button sends the request refused, which
    has a method that the app does not allow.
    """
    buttons = visit.page.locator("#errors .errors button")
    errors = list_errors(visit.allowed_methods(), refused)
    labels = [tuple(text.split(maxsplit=1)) for text in buttons.all_inner_texts()]
    assert {label: int(status) for status, label in labels} == errors, labels
    assert labels == sorted(labels, key=lambda label: label[0]), labels
    assert visit.page.locator("#own").is_visible() != signed_in
    for button, (_, label) in zip(buttons.all(), labels, strict=True):
        if not signed_in and label in OWN:
            assert button.is_disabled(), label
            continue
        sent = f"{'GET' if get else 'POST'} /api/profile/"
        if label in EDIT_ERRORS:
            sent = "PATCH /api/profile/"
        elif label == "Token not fresh":
            sent = "DELETE /api/profile/"
        elif errors[label] == 405:
            sent = refused
        button.click()
        check_error(visit, folder, label, errors[label], sent)


def check_error(visit: Visit, folder: Path, label: str, status: int, sent: str) -> None:
    """Check what the page shows after a button has been pressed."""
    visit.wait_for_message("#wire", rf"^{status} .+, as expected\. \w.+\.$")
    visit.expect_errors(status)
    assert label in visit.focused(), visit.focused()
    wait_for_view(visit)
    assert visit.text("#wire-title") == sent
    assert visit.text("#request strong") == f"{sent} HTTP/1.1"
    has_token = label != "No token" and status != 405
    assert ("Authorization" in visit.text("#request")) == has_token
    for marked, mark in MARKS.items():
        assert (mark in visit.text("#response")) == (marked == status), (label, mark)
    if status == 503:  # The lock is gone, so a repeated request gets another response.
        assert visit.run_curl(folder)[0] == "HTTP/1.1 200 OK"
        visit.page.click("#earlier")
        assert visit.text("#request strong") == "POST /api/demo-lock/ HTTP/1.1"
        assert visit.page.locator("#wire .message").is_hidden()
        visit.page.click("#later")
        visit.wait_for_message("#wire", "as expected")
    else:
        visit.check_curl(folder)


def wait_for_view(visit: Visit) -> None:
    """Wait until the title, the message and the response are in view, which needs a scroll."""
    for _ in range(100):
        if all(visit.is_in_view(f"#wire {part}") for part in ("h2", ".message", "#response")):
            return
        visit.page.wait_for_timeout(20)
    raise AssertionError("The response is not in view.")


def check_scrolling(visit: Visit) -> None:
    """Check that the page scrolls to a response, and smoothly if the visitor allows motion."""
    page = visit.page
    page.evaluate(
        """() => {
          window.behaviors = [];
          Element.prototype.scrollIntoView = ({behavior}) => window.behaviors.push(behavior);
        }"""
    )
    for motion in ("no-preference", "reduce"):
        page.emulate_media(reduced_motion=motion)
        page.locator("#errors").evaluate("(panel) => scrollTo(0, panel.offsetTop)")
        page.get_by_role("button", name="No token").click()
        visit.wait_for_message("#wire", "as expected")
        visit.expect_errors(401)
    assert page.evaluate("behaviors") == ["smooth", "auto"]
    back = page.get_by_role("link", name="Back to the errors")
    is_narrow = page.evaluate("innerWidth < 800")
    assert back.is_visible() == is_narrow
    if is_narrow:
        back.click()
        assert visit.is_in_view("#errors")
    page.emulate_media(reduced_motion="no-preference")
    page.goto(visit.origin)
    page.locator("#errors .errors button").first.wait_for()


def check_copy(visit: Visit) -> str:
    """Copy the curl command, also if the clipboard is not available; return the whole token."""
    page = visit.page
    copied = visit.copy_curl()
    (token,) = re.findall(r"Bearer ([\w-]+\.[\w-]+\.[\w-]+)", copied)
    shown = page.locator("#curl").text_content() or ""
    short = f"{token[:10]}…\u2060{token[-3:]}"
    assert shown == copied.replace(token, short), shown
    assert short in visit.text("#request")
    assert token not in page.content()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject() }")
    page.click("#copy")
    page.locator("#copied", has_text="Selected").wait_for()
    selected = page.evaluate("getSelection().toString()")
    assert selected.split() == copied.split(), selected
    page.evaluate("() => { delete navigator.clipboard.writeText }")
    visit.expect_errors()
    return str(token)


def check_history(visit: Visit) -> None:
    """Look at the requests of a sign-in, the earlier and the later one."""
    page = visit.page
    assert visit.text("#position") == "2 of 2"
    page.click("#earlier")
    assert visit.text("#wire-title") == "POST /api/sign-in/"
    assert '"refresh": "eyJ' in visit.text("#response")
    assert not re.search(r"eyJ[\w.-]{8}", page.content()), "A token is not shortened."
    assert visit.focused() == "later", visit.focused()
    page.click("#later")
    assert visit.text("#wire-title") == "POST /api/profile/"
    assert visit.focused() == "earlier", visit.focused()


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
    page.locator("#errors .errors button").first.wait_for()
    tab_to(visit, "john_doe")
    page.keyboard.press("Enter")
    visit.wait_until("document.activeElement.id === 'name'")
    tab_to(visit, "edit")
    page.keyboard.press("Space")
    visit.wait_until("document.activeElement.id === 'first_name'")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("Johnny")
    page.keyboard.press("Enter")
    visit.wait_for_message("#profile", "^Saved")
    assert visit.text("#name").startswith("Johnny"), visit.text("#name")
    assert visit.focused() == "edit", visit.focused()
    tab_to(visit, "file")
    tab_to(visit, "copy")
    page.keyboard.press("Enter")
    page.locator("#copied", has_text="Copied").wait_for()
    tab_to(visit, "404")
    page.keyboard.press("Enter")
    visit.wait_for_message("#wire", "as expected")
    tab_to(visit, "503")
    page.keyboard.press("Enter")
    page.locator("#controls:disabled").wait_for()
    visit.wait_for_message("#wire", "as expected")
    assert visit.focused().startswith("503"), visit.focused()
    page.locator("#sign-out").focus()
    page.keyboard.press("Enter")
    visit.wait_until("document.activeElement.id === 'sign-in-title'")
    visit.expect_errors(404, 503)


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
