"""Upload avatars and edit profiles in a browser, on a page with the same origin as the demo."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import ConsoleMessage, Page

from browser_host import launch_chromium, make_photo, serve_demo

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
  const response = await fetch(path, {method, body, headers: {...authorization, ...headers}});
  const text = await response.text();
  const etag = response.headers.get("ETag");
  return {status: response.status, etag, json: text ? JSON.parse(text) : null};
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

const selectedFile = () => document.querySelector("input").files[0];

function uploadForm() {
  const form = new FormData();
  form.append("avatar", selectedFile());
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest(), progress = [];
    xhr.upload.onprogress = (event) => progress.push([event.loaded, event.total]);
    xhr.onload = () =>
      resolve({status: xhr.status, json: JSON.parse(xhr.responseText), progress});
    xhr.onerror = () => reject(new Error("The upload got no response."));
    xhr.open("PUT", AVATAR);
    xhr.setRequestHeader("Authorization", authorization.Authorization);
    xhr.send(form);
  });
}

const uploadBlob = () => request("PUT", AVATAR, {body: new Blob([selectedFile()])});

async function show(url) {
  const image = document.querySelector("img");
  image.src = url;
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const pixelAt = (height) =>
    [...context.getImageData(canvas.width / 2, canvas.height * height, 1, 1).data];
  const size = [image.naturalWidth, image.naturalHeight];
  return {size, top: pixelAt(0.1), bottom: pixelAt(0.9)};
}
</script>
"""


def select_file(page: Page, name: str, media_type: str, data: bytes) -> None:
    """Select a file in the page's file input."""
    page.set_input_files("input", {"name": name, "mimeType": media_type, "buffer": data})


def check_upload(page: Page, response: dict[str, Any], list_stored: Callable[[], set[str]]) -> str:
    """Check that the avatar in a response is stored and displayed; return its URL."""
    assert response["status"] == 200, response
    avatar: str = response["json"]["avatar"]
    stored = list_stored()
    assert stored == {avatar}, f"The stored files are {stored}, but the avatar is {avatar}."
    with page.expect_response(f"**{avatar}") as image_response:
        shown = page.evaluate("(url) => show(url)", avatar)
    assert shown["size"] == [SIZE * 3 // 4, SIZE], f"The orientation or the size is wrong: {shown}"
    red, green, blue, opacity = shown["top"]
    assert red > 200 > 90 > max(green, blue), f"The top is not red: {shown}"
    assert opacity == 255, shown
    assert max(shown["bottom"][:3]) - min(shown["bottom"][:3]) < 30, (
        f"The bottom is not grey: {shown}"
    )

    image = image_response.value
    assert image.header_value("Content-Type") == "image/webp", image.headers
    assert image.header_value("X-Content-Type-Options") == "nosniff"
    body = image.body()
    with Image.open(BytesIO(body)) as served:
        metadata = set(served.info) & {"exif", "xmp", "icc_profile"}
        assert served.format == "WEBP", served.format
        assert not served.getexif(), "The image has EXIF data."
        assert not metadata, f"The image contains {metadata}."
    assert b"EXIF" not in body, "The file has an EXIF chunk."
    return avatar


def check_avatars(page: Page, folder: Path) -> None:
    """Upload with a form and as a Blob, upload files that are refused, and remove the avatar."""

    def list_stored() -> set[str]:
        return {f"/media/avatars/{path.name}" for path in folder.glob("media/**/*.*")}

    data = make_photo()
    select_file(page, "photo.jpg", "image/jpeg", data)
    response = page.evaluate("uploadForm()")
    first = check_upload(page, response, list_stored)
    sent, total = response["progress"][-1]
    assert sent == total > len(data), f"The progress is {response['progress']}."

    second = check_upload(page, page.evaluate("uploadBlob()"), list_stored)
    assert second != first, "The URL has not changed, so caches would keep the old avatar."

    select_file(page, "x.png", "image/png", b"<!doctype html><script>alert(1)</script>")
    for upload in ("uploadForm()", "uploadBlob()"):
        response = page.evaluate(upload)
        assert response["status"] == 415, response
    select_file(page, "photo.jpg", "image/jpeg", data + bytes(11 * 1024**2 - len(data)))
    for upload in ("uploadForm()", "uploadBlob()"):
        response = page.evaluate(upload)
        assert response["status"] == 413, response
    assert page.evaluate("request('GET', PROFILE)")["json"]["avatar"] == second
    assert list_stored() == {second}, f"After refused uploads, these files exist: {list_stored()}."

    for _ in range(2):
        response = page.evaluate("request('DELETE', AVATAR)")
        assert response["status"] == 204, response
    assert page.evaluate("request('GET', PROFILE)")["json"]["avatar"] is None
    assert not list_stored(), list_stored()


def check_edits(page: Page, log: list[tuple[str, str, int]]) -> None:
    """Edit with a current ETag, then with an outdated one, and read from the browser's cache."""
    etag = page.evaluate("request('GET', PROFILE)")["etag"]
    edited = page.evaluate("(etag) => edit({first_name: 'Jo'}, etag)", etag)
    assert (edited["status"], edited["json"]["first_name"]) == (200, "Jo"), edited
    refused = page.evaluate("(etag) => edit({first_name: 'Late'}, etag)", etag)
    assert refused["status"] == 412, refused

    for status in (200, 304):  # The script sees 200 both times, because the cache handles a 304.
        read = page.evaluate("request('GET', PROFILE)")
        assert log[-1] == ("GET", "/api/profile/", status), log[-1]
        assert read == edited, f"The page read {read} after it wrote {edited}."


def check(page: Page, origin: str, folder: Path, log: list[tuple[str, str, int]]) -> None:
    """Use the page as two users do, and check the messages in the browser's console."""
    errors: list[str] = []

    def record(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            errors.append(message.text)

    page.on("console", record)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{origin}/uploads")
    for user, number in (("john", 1), ("alice", 42)):  # Both in the same browser.
        email = f"{user}@example.com"
        status = page.evaluate("(email) => signIn(email, 'demo-password')", email)
        assert status == 200, f"The sign-in of {email} gets status {status}."
        assert page.evaluate("request('GET', PROFILE)")["json"]["id"] == number
        check_avatars(page, folder)
        check_edits(page, log)

    failed = re.findall(r"Failed to load resource: .* status of (\d+) ", "\n".join(errors))
    expected = ["415", "415", "413", "413", "412"] * 2
    assert len(errors) == len(expected), errors
    assert failed == expected, errors


def main() -> None:
    """Serve the demo and control a browser."""
    with (
        tempfile.TemporaryDirectory() as name,
        serve_demo(Path(name), PAGE) as (origin, log),
        launch_chromium() as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(30_000)
        check(page, origin, Path(name), log)
        print(f"Uploads and edits work in Chromium {browser.version}.")


if __name__ == "__main__":
    main()
