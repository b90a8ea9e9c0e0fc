"""What the browser tests share: the demo on a port of its own, a browser and a photo."""

from __future__ import annotations

import logging
import runpy
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Thread

from flask import Flask, Response, request
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

ORIENTATION, GPS = 0x0112, 0x8825
ROTATED_BY_90 = 6


@contextmanager
def launch_chromium() -> Iterator[Browser]:
    """Start the Chromium of the system, and close it at the end."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def make_photo() -> bytes:
    """Return a large photo with a red top, an EXIF orientation of 90 degrees and a GPS position."""
    noise = Image.effect_noise((4000, 3000), 20)
    image = Image.merge("RGB", [noise] * 3)
    image.paste("red", (0, 0, 1000, 3000))
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED_BY_90
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 51.0, 29.9), 3: "E", 4: (2.0, 17.0, 40.2)})
    data = BytesIO()
    image.save(data, "JPEG", quality=85, exif=exif)
    with Image.open(data) as opened:
        assert opened.getexif().get_ifd(GPS), "The test photo has no GPS position."
    return data.getvalue()


@contextmanager
def serve_demo(folder: Path, page: str = "") -> Iterator[tuple[str, list[tuple[str, str, int]]]]:
    """Serve the demo, and a page at /uploads; yield the origin and the log of all requests."""
    log: list[tuple[str, str, int]] = []

    def record(response: Response) -> Response:
        log.append((request.method, request.path, response.status_code))
        return response

    sys.path.append("examples/demo")  # The modules that app.py imports.
    module = runpy.run_path("examples/demo/app.py", run_name="demo")
    app: Flask = module["create_app"](str(folder))
    app.add_url_rule("/uploads", view_func=lambda: page)
    app.after_request(record)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", log
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            module["db"].engine.dispose()
