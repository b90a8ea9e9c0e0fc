"""Checks of the demo's account: avatar, badges, failures, deletion and reset."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from playwright.sync_api import Route

from browser_host import make_photo
from browser_visit import Visit


def check_rest(visit: Visit) -> None:
    """Check that during an upload, the page shows it and its progress, and all buttons rest."""
    assert visit.text("#wire-title") == "PUT /api/profile/avatar/"
    visit.wait_until("/^[1-9]\\d? %$/.test(document.querySelector('#share').textContent)")
    assert re.fullmatch(r"\d+ % of the image is sent\.", visit.text("#response"))
    assert visit.page.locator("#status").is_hidden()
    assert visit.page.locator("button:enabled, input:enabled").count() == 0
    assert visit.page.locator("button:disabled").count() > 15


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
    check_rest(visit)
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
    assert page.locator("#file").is_enabled()
    uploaded = page.get_attribute(".avatar img", "src")
    assert uploaded != before, uploaded
    visit.wait_until("document.querySelector('.avatar img').naturalHeight === 512")
    assert f"({len(data):,} bytes of my photo.jpg)" in visit.text("#request")
    Path(folder, "my photo.jpg").write_bytes(data)
    status, body = visit.run_curl(folder)
    assert status == "HTTP/1.1 200 OK", (status, body)
    visit.expect_errors()

    page.set_input_files(
        "#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"<script>alert(1)</script>"}
    )
    visit.wait_for_message("#profile", "^Not uploaded. .*must be a PNG")
    visit.expect_errors(415)
    oversized = data + bytes(11 * 1024**2)
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": oversized})
    visit.wait_for_message("#profile", "^Not uploaded. .*larger than 10485760 bytes")
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
    visit.wait_for_message("#wire", "^No response. Check")
    assert visit.text("#response") == "There was no response."
    page.set_input_files("#file", {"name": "x.png", "mimeType": "", "buffer": b"x"})
    visit.wait_for_message("#profile", "^No response. Check")
    assert page.locator("#file").is_enabled()
    page.context.set_offline(False)
    visit.expect_problems("ERR_INTERNET_DISCONNECTED|No response: .*/api/profile/")

    page.click("#edit")
    page.locator("#changes").wait_for()
    users = sqlite3.connect(folder / "demo.db")
    with users:
        users.execute("UPDATE user SET is_active = 0 WHERE id = 3")
    page.click("#changes .primary")
    visit.wait_for_message("#sign-in", "^Signed out. User is inactive")
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
    visit.wait_for_message("#profile", "^Not deleted. The password is wrong")
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
    page.click("#earlier")
    assert visit.text("#wire-title") == "POST /api/sign-in/"

    page.click("#reset")
    visit.wait_for_message("#sign-in", "The demo is reset")
    assert page.locator("#nothing").is_visible()
    visit.sign_in("sara_staff")
    page.click("#reset")
    visit.wait_for_message("#sign-in", "The demo is reset")
    assert page.locator("#profile").is_hidden()
    assert visit.focused() == "sign-in-title", visit.focused()
    assert "eyJ" not in page.content()
    visit.expect_errors()
