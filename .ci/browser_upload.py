"""Upload avatars and edit a profile by a browser, from a page that the demo's origin serves."""

from __future__ import annotations

import logging
import re
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask, Response, request
from PIL import Image
from playwright.sync_api import ConsoleMessage, Page, sync_playwright
from werkzeug.serving import make_server

ORIENTATION, GPS = 0x0112, 0x8825
ROTATED_BY_90 = 6
SIZE = 512
PAGE = """<!doctype html>
<title>Profile</title>
<link rel=icon href="data:,">
<input type=file>
<img alt="Avatar">
<script>
const PROFILE = "/api/profile/", AVATAR = "/api/profile/avatar/";
let authorization = {};

async function request(method, path, {body, headers} = {}) {
  const answer = await fetch(path, {method, body, headers: {...authorization, ...headers}});
  const text = await answer.text();
  const etag = answer.headers.get("ETag");
  return {status: answer.status, etag, json: text ? JSON.parse(text) : null};
}

async function signIn(email, password) {
  const headers = {"Content-Type": "application/json"};
  const body = JSON.stringify({email, password});
  const {status, json} = await request("POST", "/api/sign-in/", {body, headers});
  authorization = {Authorization: `Bearer ${json.access}`};
  return status;
}

function edit(changes, etag) {
  const headers = {"Content-Type": "application/json", "If-Match": etag};
  return request("PATCH", PROFILE, {body: JSON.stringify(changes), headers});
}

const picked = () => document.querySelector("input").files[0];

function uploadForm() {
  const form = new FormData();
  form.append("avatar", picked());
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest(), progress = [];
    sending.upload.onprogress = (event) => progress.push([event.loaded, event.total]);
    sending.onload = () =>
      resolve({status: sending.status, json: JSON.parse(sending.responseText), progress});
    sending.onerror = () => reject(new Error("The upload has got no answer."));
    sending.open("PUT", AVATAR);
    sending.setRequestHeader("Authorization", authorization.Authorization);
    sending.send(form);
  });
}

const uploadBlob = () => request("PUT", AVATAR, {body: new Blob([picked()])});

async function show(url) {
  const image = document.querySelector("img");
  image.src = url;
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const at = (part) => [...context.getImageData(canvas.width / 2, canvas.height * part, 1, 1).data];
  return {size: [image.naturalWidth, image.naturalHeight], top: at(0.1), bottom: at(0.9)};
}
</script>
"""


def photo() -> bytes:
    """A large photo that a camera took on its side and that tells where: its top is red."""
    noise = Image.effect_noise((4000, 3000), 20)
    picture = Image.merge("RGB", [noise] * 3)
    picture.paste("red", (0, 0, 1000, 3000))
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED_BY_90
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 51.0, 29.9), 3: "E", 4: (2.0, 17.0, 40.2)})
    data = BytesIO()
    picture.save(data, "JPEG", quality=85, exif=exif)
    with Image.open(data) as opened:
        assert opened.getexif().get_ifd(GPS), "The photo has lost its place before its upload."
    return data.getvalue()


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, list[tuple[str, str, int]]]]:
    """Serve the demo and a page; yield its origin, and what has been answered to which request."""
    answered: list[tuple[str, str, int]] = []

    def note(response: Response) -> Response:
        answered.append((request.method, request.path, response.status_code))
        return response

    module = runpy.run_path("examples/demo/app.py", run_name="demo")
    app: Flask = module["create_app"](str(folder))
    app.add_url_rule("/uploads", view_func=lambda: PAGE)
    app.after_request(note)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", answered
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            module["db"].engine.dispose()


def pick(page: Page, name: str, media_type: str, data: bytes) -> None:
    """Choose a file as a user does."""
    page.set_input_files("input", {"name": name, "mimeType": media_type, "buffer": data})


def check_upload(page: Page, answer: dict[str, Any], stored: Callable[[], set[str]]) -> str:
    """Check that the avatar of an answer is what is stored and shown; return its URL."""
    assert answer["status"] == 200, answer
    avatar: str = answer["json"]["avatar"]
    assert stored() == {avatar}, f"There are {stored()}, and the avatar is {avatar}."
    with page.expect_response(f"**{avatar}") as response:
        shown = page.evaluate("(url) => show(url)", avatar)
    assert shown["size"] == [SIZE * 3 // 4, SIZE], f"It is not upright, or not fitted: {shown}"
    red, green, blue, opacity = shown["top"]
    assert red > 200 > 90 > max(green, blue), f"Its top is not red: {shown}"
    assert opacity == 255, shown
    assert max(shown["bottom"][:3]) - min(shown["bottom"][:3]) < 30, f"Not grey: {shown}"

    assert response.value.header_value("Content-Type") == "image/webp", response.value.headers
    assert response.value.header_value("X-Content-Type-Options") == "nosniff"
    body = response.value.body()
    with Image.open(BytesIO(body)) as served:
        told = set(served.info) & {"exif", "xmp", "icc_profile"}
        assert served.format == "WEBP", served.format
        assert not served.getexif(), "It has EXIF."
        assert not told, f"It has {told}."
    assert b"EXIF" not in body, "It has a chunk of EXIF."
    return avatar


def check_avatars(page: Page, folder: Path) -> None:
    """Upload by a form with progress, then as a Blob; then what is no picture; then remove it."""

    def stored() -> set[str]:
        return {f"/media/avatars/{path.name}" for path in folder.glob("media/**/*.*")}

    data = photo()
    pick(page, "photo.jpg", "image/jpeg", data)
    answer = page.evaluate("uploadForm()")
    first = check_upload(page, answer, stored)
    sent, total = answer["progress"][-1]
    assert sent == total > len(data), f"The progress is {answer['progress']}."

    second = check_upload(page, page.evaluate("uploadBlob()"), stored)
    assert second != first, "The name has not changed, which a cache would not see."

    pick(page, "x.png", "image/png", b"<!doctype html><script>alert(1)</script>")
    for upload in ("uploadForm()", "uploadBlob()"):
        answer = page.evaluate(upload)
        assert answer["status"] == 415, answer
    pick(page, "photo.jpg", "image/jpeg", data + bytes(6 * 1024**2 - len(data)))
    for upload in ("uploadForm()", "uploadBlob()"):
        answer = page.evaluate(upload)
        assert answer["status"] == 413, answer
    assert page.evaluate("request('GET', PROFILE)")["json"]["avatar"] == second
    assert stored() == {second}, f"Refused uploads have left {stored()}."

    for _ in range(2):
        answer = page.evaluate("request('DELETE', AVATAR)")
        assert answer["status"] == 204, answer
    assert page.evaluate("request('GET', PROFILE)")["json"]["avatar"] is None
    assert not stored(), stored()


def check_edits(page: Page, answered: list[tuple[str, str, int]]) -> None:
    """Edit with an ETag that holds, then with one that no longer does, and read from the cache."""
    etag = page.evaluate("request('GET', PROFILE)")["etag"]
    answer = page.evaluate("(etag) => edit({first_name: 'Jo'}, etag)", etag)
    assert (answer["status"], answer["json"]["first_name"]) == (200, "Jo"), answer
    late = page.evaluate("(etag) => edit({first_name: 'Late'}, etag)", etag)
    assert late["status"] == 412, late

    for status in (200, 304):  # Which the script does not see: to it the browser's cache answers.
        read = page.evaluate("request('GET', PROFILE)")
        assert answered[-1] == ("GET", "/api/profile/", status), answered[-1]
        assert read == answer, f"{read} has been read, {answer} written."


def check(page: Page, origin: str, folder: Path, answered: list[tuple[str, str, int]]) -> None:
    """Do what users do, and look at what the browser has to say of it."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{origin}/uploads")
    for user, number in (("john", 1), ("alice", 42)):  # One after the other at the same browser.
        email = f"{user}@example.com"
        status = page.evaluate("(email) => signIn(email, 'demo-password')", email)
        assert status == 200, f"The sign-in of {email} is answered with {status}."
        assert page.evaluate("request('GET', PROFILE)")["json"]["id"] == number
        check_avatars(page, folder)
        check_edits(page, answered)

    refusals = re.findall(r"Failed to load resource: .* status of (\d+) ", "\n".join(errors))
    expected = ["415", "415", "413", "413", "412"] * 2
    assert len(errors) == len(expected), errors
    assert refusals == expected, errors


def main() -> None:
    """Serve the demo and drive a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("There is no chromium: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as name,
        demo(Path(name)) as (origin, answered),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(30_000)
        check(page, origin, Path(name), answered)
        print(f"Chromium {browser.version} uploads, shows, edits and removes.")
        browser.close()


if __name__ == "__main__":
    main()
