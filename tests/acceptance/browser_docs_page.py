"""A page of the manual in a browser: its app is served, and its JavaScript is defined."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask
from flask_jwt_extended import create_access_token, create_refresh_token
from playwright.sync_api import Error, Page
from werkzeug import Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

DOCS = Path(__file__).parents[2] / "docs"
AWAIT = re.compile(r"^(?:const .*= )?await ", re.MULTILINE)
NAME = re.compile(r"^const (\w+) =", re.MULTILINE)
PASSWORD = "secret"
PAGE = """<!doctype html>
<title>Manual</title>
<link rel=icon href="data:,">
<form><input name=first_name><input name=number_phone></form>
<input type=file>
<img alt=Avatar>
"""


class Manual:
    """A page of the manual.

    Args:
        name: The name of the page.
        page: A new page of a browser.
    """

    def __init__(self, name: str, page: Page) -> None:
        self.page = page
        self.errors: list[Error] = []
        self.page.on("pageerror", lambda error: self.errors.append(error))
        self._name = f"{name}.md"
        self._text = (DOCS / self._name).read_text()

    def execute_python(self, only: slice = slice(None), **names: Any) -> dict[str, Any]:
        """Execute the visible blocks, or some of them, and return their namespace."""
        namespace: dict[str, Any] = {"__name__": "page"} | names
        for block in self.find_blocks("python")[only]:
            # Without dont_inherit, this module's postponed annotations would hold in the block.
            exec(compile(block, self._name, "exec", dont_inherit=True), namespace)
        return namespace

    def execute_javascript(self, origin: str) -> None:
        """Execute the blocks, which define functions and add listeners.

        A block with an ``await`` outside of functions is a module, for ``run``.
        """
        self.page.goto(f"{origin}/page")
        for block in self.find_blocks("js"):
            if not AWAIT.search(block):
                self.page.add_script_tag(content=block)
        assert not self.errors, self.errors

    def execute_modules(self) -> None:
        """Execute the blocks with an ``await`` outside of functions, and keep their names."""
        for block in filter(AWAIT.search, self.find_blocks("js")):
            names = ", ".join(NAME.findall(block))
            done = f"Object.assign(globalThis, {{ {names} }}, {{ done: true }});"
            self.page.add_script_tag(content=f"{block}\n{done}", type="module")
            self.page.wait_for_function("globalThis.done")

    def run(self, body: str, *arguments: object) -> Any:
        """Return the result of an asynchronous function's body, which may use ``args``."""
        return self.page.evaluate(f"async (args) => {{ {body} }}", arguments)

    def refusal(self, body: str, *arguments: object) -> str:
        """Return the message of the error that a function's body throws."""
        message = f"return (async () => {{ {body} }})().then(() => '', (error) => error.message)"
        return str(self.run(message, *arguments))

    def find_blocks(self, language: str) -> list[str]:
        blocks = re.findall(rf"^```{language}\n(.*?)^```", self._text, re.MULTILINE | re.DOTALL)
        assert blocks, f"The page has no blocks of {language}."
        return blocks


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve an app and the page at /page, and yield the origin."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    page = DispatcherMiddleware(app, {"/page": Response(PAGE, mimetype="text/html")})
    server = make_server("127.0.0.1", 0, page, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def issue_tokens(app: Flask, identity: str = "1", **options: Any) -> dict[str, str]:
    with app.app_context():
        access_token = create_access_token(identity, **options)
        refresh_token = create_refresh_token(identity)
    return {"access_token": access_token, "refresh_token": refresh_token}
