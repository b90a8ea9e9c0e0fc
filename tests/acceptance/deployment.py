"""Run the app, and the configurations of gunicorn and nginx, that docs/deployment.md shows.

It takes these blocks out of the page, replaces only paths and ports, and checks by requests what
the page says about them. It exits with status 1 for the first difference. It needs Linux, nginx,
gunicorn, Flask-Migrate, python-dotenv, openssl, and a PostgreSQL server on which it creates a
database of its own.

    python tests/acceptance/deployment.py postgresql+psycopg://postgres@127.0.0.1/test
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

from PIL import Image
from sqlalchemy import URL, Connection

from deployment_client import AVATAR, CLIENT_ADDRESS, PROFILE, Client, expect, finish_patch
from deployment_setup import create_certificate, create_database, create_users, deploy, write_files
from deployment_workers import (
    check_database_outage,
    check_preload,
    check_reload,
    check_sync_worker,
    check_timeouts,
    count_connections,
)
from processes import free_port, wait_until
from web_servers import run_gunicorn, run_nginx

MIB = 1024 * 1024


def check_https(client: Client, plain_port: int) -> None:
    response = Client(plain_port, client.token).send("POST", PROFILE)
    location = response.headers["Location"]
    redirect = (response.status, location)
    expect(redirect == (308, f"https://api.example.com{PROFILE}"), "the redirect", redirect)
    response = client.send("POST", PROFILE)
    expect(response.status == 200, "POST", response)
    expect("Strict-Transport-Security" in response.headers, "HSTS", response.headers)
    expect(response.headers["Cache-Control"] == "no-store", "POST is not stored")
    seen = client.send("GET", "/seen", X_Forwarded_For="8.8.8.8", X_Forwarded_Proto="ftp")
    expected = ["https", CLIENT_ADDRESS, "api.example.com"]
    expect(json.loads(seen.body) == expected, "ProxyFix", seen.body)
    response = client.send("OPTIONS", PROFILE)
    expect("PATCH" in response.headers["Allow"], "OPTIONS reaches the app", response)
    refused = client.send("POST", PROFILE, Authorization="Bearer " + "a" * 12_000)
    expect((refused.status, refused.type) == (401, "application/json"), "a large token", refused)


def check_etags(client: Client) -> None:
    first = client.send("GET", PROFILE, Accept_Encoding="gzip")
    etag = first.headers["ETag"]
    expect(etag.startswith('W/"'), "nginx makes the ETag weak", etag)
    expect(first.headers["Cache-Control"] == "private, no-cache", "GET", first.headers)
    vary = sorted(first.headers.get_all("Vary", []))
    expect(vary == ["Accept-Encoding", "Authorization"], "Vary of a compressed response", vary)
    statuses = [
        client.send("GET", PROFILE, If_None_Match=etag).status,
        client.patch(If_Match=etag).status,
        client.patch(If_Match=etag).status,
        client.send("GET", PROFILE, If_None_Match=etag).status,
    ]
    expect(statuses == [304, 200, 412, 200], "conditional requests", statuses)


def check_uploads(client: Client) -> None:
    buffer = BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    image = buffer.getvalue().ljust(10 * MIB, b"\0")  # What follows the image is ignored.
    form = b'--x\r\nContent-Disposition: form-data; name="avatar"; filename="a"\r\n\r\n'
    form += image + b"\r\n--x--\r\n"
    response = client.send("PUT", AVATAR, image)
    expect(response.status == 200, "an image of 10 MiB", response)
    response = client.send("PUT", AVATAR, form, Content_Type="multipart/form-data; boundary=x")
    expect(response.status == 200, "a form with an image of 10 MiB", response)
    refusals = [client.send("PUT", AVATAR, bytes(10 * MIB + 1)) for _ in range(6)]
    found = {(refused.status, refused.type) for refused in refusals}
    others = found - {(413, "application/json")}
    expect(others < found and others <= {(502, "text/html")}, "more than 10 MiB", found)
    refused = client.send("PUT", AVATAR, bytes(11 * MIB + 1))
    expect((refused.status, refused.type) == (413, "text/html"), "a body over 11 MiB", refused)
    url = json.loads(response.body)["avatar"]
    served = client.send("GET", url)
    headers = served.headers
    expect((served.status, served.type) == (200, "image/webp"), "the image", headers)
    expect("immutable" in headers["Cache-Control"], "the image is cached", headers)
    expect(headers["X-Content-Type-Options"] == "nosniff", "nosniff", headers)
    expect("Strict-Transport-Security" in headers, "HSTS of an image", headers)
    shared = client.send("GET", "/media/default.jpg")
    expect((shared.status, shared.type) == (200, "image/jpeg"), "a shared image", shared)
    expect("Cache-Control" not in shared.headers, "a shared image is not immutable", shared)
    missing = client.send("GET", "/media/avatars/missing.webp")
    is_cached = "Cache-Control" in missing.headers
    expect((missing.status, is_cached) == (404, False), "a missing image", missing)
    expect(client.send("DELETE", AVATAR).status == 204, "DELETE")


def check_slow_clients(client: Client) -> None:
    connections = [client.begin_patch() for _ in range(30)]
    other = Client(client.port, client.token, tls=client.tls, timeout=5)
    response = other.send("POST", PROFILE)
    expect(response.status == 200, "a client beside slow ones", response)
    for connection in connections:
        finish_patch(connection)


def check_logs(client: Client, folder: Path) -> None:
    """Send a token in a URL, and check that both logs have the ID of the request."""
    client.send("GET", f"/seen?jwt={client.token}")
    nginx, gunicorn = folder / "app.log", folder / "gunicorn.log"
    pattern = r'"GET /seen" 200 .* ([0-9a-f]{32})$'

    def find_request_ids() -> list[str]:
        return [found for log in (nginx, gunicorn) for found in read_last(log, pattern)]

    wait_until(lambda: len({*find_request_ids()}) == 1 and len(find_request_ids()) == 2)
    expect("LockNotAvailable" in gunicorn.read_text(), "the warning of a 503")
    expect(f"Exception on {PROFILE} [POST]" in gunicorn.read_text(), "the error of a 500")


def read_last(log: Path, pattern: str) -> list[str]:
    return re.findall(pattern, log.read_text(), re.MULTILINE)[-1:]


def check_no_token_is_in_a_log(folder: Path, tokens: list[str]) -> None:
    for log in folder.glob("*.log"):
        written = log.read_text()
        expect(not any(token in written for token in tokens), "no token in a log", log.name)


def check_servers(
    folder: Path, nginx: str, ports: list[int], url: URL, connection: Connection, token: str
) -> None:
    """Check gunicorn behind nginx.

    Args:
        folder: The folder of their files.
        nginx: The configuration of nginx.
        ports: The ports of gunicorn, and of nginx for HTTP and HTTPS.
        url: The database.
        connection: A connection to another database of the server.
        token: An access token.
    """
    app_port, http_port, https_port = ports
    client = Client(https_port, token, tls=create_certificate(folder))
    with (
        (folder / "gunicorn.log").open("w") as log,
        run_gunicorn(["seen:create_app()"], app_port, cwd=folder, stdout=log, stderr=log) as pid,
        run_nginx(folder, nginx, https_port),
    ):
        client.send("GET", "/healthz")
        number = count_connections(connection)
        expect(number == 0, "connections before a request that needs one", number)
        check_https(client, http_port)
        check_etags(client)
        check_uploads(client)
        check_slow_clients(client)
        check_reload(client, pid)
        check_timeouts(client, url)
        check_database_outage(client, connection)
        check_logs(client, folder)


def main(server: str) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        url, connection = stack.enter_context(create_database(server))
        variables = {
            "FLASK_SQLALCHEMY_DATABASE_URI": url.render_as_string(hide_password=False),
            "FLASK_JWT_SECRET_KEY": os.urandom(32).hex(),
        }
        ports = [free_port() for _ in range(3)]
        nginx = write_files(folder, *ports)
        deploy(folder, variables)
        os.environ.update(variables)
        tokens = create_users(folder)
        check_servers(folder, nginx, ports, url, connection, tokens[0])
        check_sync_worker(folder, tokens[0])
        check_preload(folder, tokens)
        check_no_token_is_in_a_log(folder, tokens)
    print("The app and the configurations of docs/deployment.md work as the page says.")


if __name__ == "__main__":
    main(*sys.argv[1:])
