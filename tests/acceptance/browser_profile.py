"""Checks of the demo's profile: sign-in, reading and edits."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

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
        assert visit.text("#wire-title") == "POST /api/profile/"
        assert visit.text("#name") == name
        last_login = page.locator("[data-field=last_login]").get_attribute("datetime") or ""
        age = datetime.now(timezone.utc) - datetime.fromisoformat(last_login.replace("Z", "+00:00"))
        assert timedelta(0) <= age < timedelta(minutes=1), last_login
        badges = page.locator(".badges")
        assert (badges.inner_text() if badges.is_visible() else "") == badge
        if username == "alice_wonder":
            assert visit.text("[data-field=date_joined]") == "1 Feb 2024, 08:15"
            joined = page.locator("[data-field=date_joined]").get_attribute("datetime")
            assert joined == "2024-02-01T08:15:30Z", joined
            assert visit.text("[data-field=number_phone]") == "5551234567"
        elif username == "sara_staff":
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


def check_reading(visit: Visit) -> None:
    """Read the profile again: first without an ETag, then with it."""
    page = visit.page
    page.click("#read")
    visit.wait_for_message("#profile", "is read again")
    assert visit.text("#wire-title") == "GET /api/profile/"
    assert "If-None-Match" not in visit.text("#request")
    (etag,) = re.findall('ETag: (".+")', visit.text("#response"))
    page.click("#read")
    visit.wait_for_message("#profile", "has not changed")
    assert f"If-None-Match: {etag}" in visit.text("#request")
    assert visit.text("#response strong") == "HTTP/1.1 304 NOT MODIFIED"
    visit.expect_errors()


def check_edits(visit: Visit, folder: Path) -> None:
    """Save invalid values, valid values and a conflicting edit; then cancel an edit."""
    page = visit.page
    page.click("#edit")
    page.locator("#changes").wait_for()
    assert visit.focused() == "first_name", visit.focused()
    assert visit.text("#wire-title") == "GET /api/profile/"
    page.fill("#number_phone", "0123456789012")
    page.fill("#last_name", "x" * 201)
    page.click("#changes .primary")
    visit.wait_for_message("#profile", r"^Not saved\. Check the highlighted fields\.$")
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
    page.click("#earlier")  # The edit that was saved; the last request has read the profile.
    visit.run_curl(folder, (etag, "*"), (HOSTILE_NAME.split()[1].replace('"', '\\"'), "Other"))
    page.click("#changes .primary")
    visit.wait_for_message("#profile", "Not saved. The profile was changed elsewhere")
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
