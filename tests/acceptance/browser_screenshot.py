"""Take a screenshot of the demo, and save it to a file: docs/demo.png is made so."""

from __future__ import annotations

import sys
from pathlib import Path

import jwt
from playwright.sync_api import Browser, Route

from browser_host import launch_chromium
from browser_visit import set_environment, visit_demo


def take_screenshot(browser: Browser, path: Path) -> None:
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
        visit_demo(browser, "", "desktop") as (visit, _),
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


if __name__ == "__main__":
    with launch_chromium() as chromium:
        take_screenshot(chromium, Path(sys.argv[1]))
