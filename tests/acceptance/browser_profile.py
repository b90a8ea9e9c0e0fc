"""Checks of the demo's profile: sign-in, edits, avatar, badges and failures."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

from playwright.sync_api import Route

from browser_host import make_photo
from browser_visit import Visit

HOSTILE_NAME = """O'Brien "$HOME" `id` \\n !é"""


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


def check_edits(visit: Visit, folder: Path) -> None:
    """Save invalid values, valid values and a conflicting edit; then cancel an edit."""
    page = visit.page
    page.click("#edit")
    assert visit.focused() == "first_name", visit.focused()
    page.fill("#number_phone", "0123456789012")
    page.fill("#last_name", "x" * 201)
    page.click("#changes .primary")
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
    assert page.locator("#changes").is_hidden()
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
    page.click("#changes .primary")
    visit.wait_for_message("#profile", "Not saved: the profile has changed")
    assert "412" in visit.text("#response strong")
    assert page.input_value("#last_name") == "Mine"
    assert "Other" in page.input_value("#first_name")
    assert "Other" in visit.text("#name")
    visit.audit("a conflict")
    visit.expect_errors(412)
    page.click("#changes .primary")
    visit.wait_for_message("#profile", "^Saved")
    assert visit.text("#name").endswith("Mine")

    page.click("#edit")
    page.fill("#first_name", "Nobody")
    page.click("#cancel")
    assert visit.focused() == "edit", visit.focused()
    assert "Nobody" not in visit.text("#name")
    page.click("#edit")
    page.fill("#first_name", "Alice")
    page.click("#changes .primary")
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
    oversized = data + bytes(11 * 1024**2)
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": oversized})
    visit.wait_for_message("#profile", "larger than 10485760 bytes")
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
    page.click("#changes .primary")
    visit.wait_for_message("#sign-in", "User is inactive")
    assert page.locator("#profile").is_hidden()
    assert visit.focused() == "sign-in-title", visit.focused()
    visit.expect_errors(401)
    with users:
        users.execute("UPDATE user SET is_active = 1 WHERE id = 3")
    users.close()


def check_deletion(visit: Visit, folder: Path) -> None:
    """Delete an account after entering the password, and bring it back by a reset."""
    page = visit.page
    visit.sign_in("sara_staff")
    page.click("#delete")
    assert visit.focused() == "confirm-password", visit.focused()
    visit.audit("confirming a deletion")
    page.click("#keep")
    assert visit.focused() == "delete", visit.focused()
    page.click("#delete")
    page.fill("#confirm-password", "wrong")
    page.press("#confirm-password", "Enter")
    visit.wait_for_message("#profile", "not the password")
    visit.expect_errors(401)
    page.fill("#confirm-password", "demo-password")
    page.click("#confirm .primary")
    visit.wait_for_message("#sign-in", "The account is deleted")
    assert page.locator("#profile").is_hidden()
    assert visit.focused() == "sign-in-title", visit.focused()
    assert visit.text("#request strong") == "DELETE /api/profile/ HTTP/1.1"
    assert visit.text("#response strong").startswith("HTTP/1.1 204")
    assert page.get_by_role("button", name="sara_staff").count() == 0
    visit.audit("a deleted account")
    assert visit.run_curl(folder)[0] == "HTTP/1.1 404 NOT FOUND"
    visit.expect_errors()
    page.click("#reset")
    page.get_by_role("button", name="sara_staff").wait_for()
    visit.sign_in("sara_staff")
    visit.sign_out()
    visit.expect_errors()
