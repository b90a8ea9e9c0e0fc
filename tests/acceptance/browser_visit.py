"""A visit of the demo's page in a browser, which records what the browser reports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from browser_host import serve_demo

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
FAILED_REQUEST = re.compile(
    r"Failed to load resource: the server responded with a status of (\d+) "
)


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

    def allowed_methods(self) -> str:
        """Return the methods that the profile allows."""
        script = """async () => {
          const response = await fetch("/api/profile/", {method: "OPTIONS"});
          await response.text();
          return response.headers.get("Allow");
        }"""
        return str(self.page.evaluate(script))

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
        values = "[...document.querySelectorAll('input')].map((input) => input.value).join('')"
        assert self.page.evaluate(values) == ""

    def is_in_view(self, selector: str) -> bool:
        """Return whether the top of an element is inside the window."""
        top = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().top"
        return bool(self.page.evaluate(f"{top} >= 0 && {top} < innerHeight"))

    def copy_curl(self) -> str:
        """Copy the curl command with the button, and return it."""
        self.page.click("#copy")
        self.page.locator("#copied", has_text="Copied").wait_for()
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def run_curl(self, folder: Path, *changes: tuple[str, str]) -> tuple[str, str]:
        """Run the copied curl command in a shell; return the status line and the body."""
        command = self.copy_curl()
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
        assert self.text("#status") == line.split()[1]


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
