"""The built manual in Chromium: nothing is cut off, code can be copied, and the search finds pages.

.ci/run docs browser
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page

from browser_host import launch_chromium

BUILD = Path(__file__).parents[2] / "docs/_build"
# A word that a reader searches for, and a page that the search has to find.
SEARCHES = {
    "deploy": "deployment",
    "production": "deployment",
    "swagger": "openapi",
    "nginx": "deployment",
    "datetime": "existing-app",
    "pytest": "recipes",
    "mypy": "recipes",
    "Flask-Login": "recipes",
    "delete": "account-deletion",
    "CSRF": "recipes",
    "UUID": "recipes",
    "S3": "avatars",
    "PgBouncer": "scaling",
    "profile_updated": "reference",
    "PROFILE_REALM": "reference",
}
# Elements that need a scroll bar, or are cut off.
OVERFLOWING = """
() => [...document.querySelectorAll("article pre, article .table-wrapper, article img, article p")]
  .filter((element) => element.scrollWidth > element.clientWidth + 1
    || element.getBoundingClientRect().right > innerWidth)
  .map((element) => element.textContent.trim().slice(0, 80))
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serve_manual() -> Iterator[str]:
    """Serve the built manual in a thread, and yield its URL."""
    handler = partial(QuietHandler, directory=str(BUILD))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def check_page(page: Page, url: str) -> None:
    """Check the widths of a page, and that each of its code blocks has a button to copy it."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(url)
    cut_off = page.evaluate(OVERFLOWING)
    assert not cut_off, (url, cut_off)
    blocks = page.locator("article div.highlight > pre").count()
    assert page.locator("button.copybtn").count() == blocks, url
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, (url, width)


def search(page: Page, url: str, words: str) -> list[str]:
    """Return the names of the pages that the search of the manual finds, the best first."""
    page.goto(f"{url}/search.html?q={quote(words)}")
    page.wait_for_selector("#search-results p.search-summary:not(:empty)")
    page.wait_for_function("!document.querySelector('#search-progress')?.textContent.includes('…')")
    links = page.locator("#search-results ul.search a").evaluate_all(
        "links => links.map((link) => link.pathname.slice(1))"
    )
    return [link.removesuffix(".html") for link in dict.fromkeys(links)]


def check_manual(page: Page, url: str) -> None:
    names = sorted(
        path.stem for path in BUILD.glob("*.html") if (BUILD / f"{path.stem}.md").exists()
    )
    assert len(names) > 15, names
    for name in names:
        check_page(page, f"{url}/{name}.html")
    for words, expected in SEARCHES.items():
        found = search(page, url, words)
        print(f"search for {words}: {', '.join(found[:4])}")
        assert expected in found, (words, found)
    index = (BUILD / "llms.txt").read_text()
    complete = (BUILD / "llms-full.txt").read_text()
    for name in names:
        assert name == "index" or f"{name}.md" in index, name
        assert (BUILD / f"{name}.md").read_text().splitlines()[0] in complete, name
    print(f"{len(names)} pages are whole at 1280 and 390 pixels.")


def save_screenshots(page: Page, url: str, folder: Path) -> None:
    """Save a screenshot of the top of each page, in the sizes and colours of the check."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for path in sorted(BUILD.glob("*.md")):
                page.goto(f"{url}/{path.stem}.html")
                page.screenshot(path=folder / f"{path.stem}-{width}-{scheme}.png", full_page=True)


with serve_manual() as url, launch_chromium() as browser:
    page = browser.new_page()
    if sys.argv[1:]:
        save_screenshots(page, url, Path(sys.argv[1]))
    else:
        check_manual(page, url)
