"""Use every control of the demo's page in a browser, and check for errors and accessibility."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from browser_account import check_avatar, check_badges_and_failures, check_deletion
from browser_host import launch_chromium
from browser_page import (
    check_copy,
    check_docs,
    check_errors,
    check_history,
    check_keyboard,
    check_scrolling,
)
from browser_profile import check_edits, check_reading, check_sign_in
from browser_visit import SIZES, Visit, set_environment, visit_demo

AXE = "axe-core@4.14.1"


def check_full_demo(visit: Visit, folder: Path) -> None:
    """Use all controls of the demo with its own settings."""
    visit.page.goto(visit.origin)
    visit.page.locator("#errors .errors button").first.wait_for()
    assert visit.text("#wire-title") == "POST /api/profile/"
    visit.audit("signed out")
    visit.expect_errors()
    refused = "PUT /api/profile/"
    check_scrolling(visit)
    check_errors(visit, folder, get=False, refused=refused, signed_in=False)
    check_sign_in(visit)
    visit.audit("signed in")
    token = check_copy(visit)
    check_errors(visit, folder, get=False, refused=refused, signed_in=True)
    visit.audit("an error")
    check_reading(visit)
    check_edits(visit, folder)
    check_avatar(visit, folder)
    visit.sign_out()
    visit.sign_in("alice_wonder")
    check_history(visit)
    visit.sign_out()
    check_badges_and_failures(visit, folder)
    check_deletion(visit, folder)
    check_keyboard(visit)
    check_docs(visit, token)


def check_read_only_demo(visit: Visit, folder: Path, *, get: bool, refused: str) -> None:
    """Use all controls of a demo whose settings do not allow edits."""
    page = visit.page
    page.goto(visit.origin)
    visit.sign_in("alice_wonder")
    for name in ("edit", "upload", "remove", "delete", "progress"):
        assert page.locator(f"#{name}").is_hidden(), name
    assert visit.text("#request strong").startswith("GET" if get else "POST")
    visit.check_curl(folder)
    check_errors(visit, folder, get=get, refused=refused, signed_in=True)
    visit.audit("read-only")
    visit.sign_out()
    page.get_by_role("link", name="API reference").click()
    page.locator(".opblock").first.wait_for()
    visit.expect_errors()


def install_axe() -> str:
    """Install axe-core in a temporary directory, and return its source."""
    with tempfile.TemporaryDirectory() as folder:
        install = ["npm", "install", "--silent", "--no-save", "--prefix", folder, AXE]
        subprocess.run(install, check=True)
        return Path(folder, "node_modules/axe-core/axe.min.js").read_text()


def main() -> None:
    """Visit the demo with each of its settings."""
    axe = install_axe()
    read_only = {"FLASK_PROFILE_METHODS": '["POST"]', "FLASK_PROFILE_AVATARS": "false"}
    with launch_chromium() as browser:
        for size, scheme in zip(SIZES, ("light", "dark"), strict=True):
            with visit_demo(browser, axe, size, scheme) as (visit, folder):
                check_full_demo(visit, folder)
            print(f"All controls work, without errors: {size}, {scheme}.", flush=True)
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


if __name__ == "__main__":
    main()
