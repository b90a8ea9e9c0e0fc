"""Checks of the rest of the demo: errors, the curl command, the keyboard and the API reference."""

from __future__ import annotations

from pathlib import Path

from browser_visit import Visit

ERRORS = {
    "No token": 401,
    "Expired token": 401,
    "Tampered token": 401,
    "Refresh token": 401,
    "Token not fresh": 401,
    "Inactive user": 401,
    "Deleted user": 404,
}


OWN = {"Tampered token", "Refresh token", "Token not fresh"}


def check_errors(visit: Visit, folder: Path, *, get: bool, refused: str, signed_in: bool) -> None:
    """Press each button that provokes an error, and run the curl command of each.

    If get is true, the page reads the profile with GET. The last button sends the request refused,
    which has a method that the app does not allow. Only where accounts can be deleted, one button
    tries that.
    """
    page = visit.page
    buttons = page.locator("#wire .errors button")
    refused_name = f"{refused.split()[0]} not allowed"
    errors = ERRORS | {refused_name: 405}
    if "DELETE" not in visit.allowed_methods():
        del errors["Token not fresh"]
    names = [" ".join(text.split()) for text in buttons.all_inner_texts()]
    assert names == [f"{name} {status}" for name, status in errors.items()], names
    for button, (name, status) in zip(buttons.all(), errors.items(), strict=True):
        if not signed_in and name in OWN:
            assert button.is_disabled(), name
            continue
        button.click()
        visit.wait_for_message("#wire", f"^{status} .+, as expected")
        visit.expect_errors(status)
        visit.check_curl(folder)
        line = visit.text("#request strong")
        method = "GET" if get else "POST"
        sent = refused if status == 405 else f"{method} /api/profile/"
        if name == "Token not fresh":
            sent = "DELETE /api/profile/"
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
