"""Run the app, and the configurations of gunicorn and nginx, that docs/deployment.md shows.

It takes these blocks out of the page, replaces only paths and ports, and checks by requests what
the page says about them. It exits with status 1 for the first difference. It needs Linux, nginx,
gunicorn, Flask-Migrate, python-dotenv, openssl, and a PostgreSQL server on which it creates a
database of its own.

    python tests/acceptance/deployment.py postgresql+psycopg://postgres@127.0.0.1/test
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from sqlalchemy import URL, Connection, create_engine, text

from processes import children_of, free_port, wait_until
from web_servers import run_gunicorn, run_nginx

PAGE = Path(__file__).parents[2] / "docs/deployment.md"
DATABASE = "flask_profile_deployment"
PROFILE, AVATAR = "/api/profile/", "/api/profile/avatar/"
USERS = 8
CLIENT_ADDRESS = "127.0.0.2"  # nginx connects to gunicorn from 127.0.0.1.
MIB = 1024 * 1024
# The app of the page, with a route that shows what ProxyFix makes of the request.
SEEN = """
import app as page
from flask import request

def create_app():
    app = page.create_app()

    @app.get("/seen")
    def seen():
        return [request.scheme, request.remote_addr, request.host]

    return app
"""
# An app that connects to the database before the workers are forked.
CONNECTED = """
from app import create_app, db, text

app = create_app()
with app.app_context():
    db.session.execute(text("SELECT 1"))
    db.session.remove()
"""
# Prints an access token of each user.
USERS_SCRIPT = f"""
from app import User, create_app, db
from flask_jwt_extended import create_access_token

with create_app().app_context():
    users = [User(username=f"u{{n}}", email=f"u{{n}}@example.com") for n in range({USERS})]
    db.session.add_all(users)
    db.session.commit()
    for user in users:
        print(create_access_token(str(user.id)))
"""


class Response(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def type(self) -> str:
        return self.headers.get_content_type()


class Client:
    """Sends requests as a user.

    Args:
        port: The port of nginx, which speaks HTTPS, or of gunicorn.
        token: The access token.
        tls: The certificates to trust, for HTTPS.
        timeout: How many seconds it waits for a response.
    """

    def __init__(
        self, port: int, token: str, *, tls: ssl.SSLContext | None = None, timeout: float = 20
    ) -> None:
        self.port, self.token, self.tls, self._timeout = port, token, tls, timeout

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        names = {"Authorization": f"Bearer {self.token}", "Host": "api.example.com", **names}
        connection = http.client.HTTPConnection("api.example.com")
        connection.sock = self._connect()
        try:
            connection.request(method, path, body or None, names)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def patch(self, **headers: str) -> Response:
        body = json.dumps({"first_name": os.urandom(8).hex()}).encode()
        return self.send("PATCH", PROFILE, body, Content_Type="application/json", **headers)

    def begin_patch(self) -> socket.socket:
        """Send a PATCH without its last byte, and return the connection."""
        body = b'{"first_name": "Al" '
        head = (
            f"PATCH {PROFILE} HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body) + 1}\r\n\r\n"
        )
        connection = self._connect()
        connection.sendall(head.encode() + body)
        return connection

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(
            ("127.0.0.1", self.port), self._timeout, source_address=(CLIENT_ADDRESS, 0)
        )
        if self.tls is None:
            return connection
        return self.tls.wrap_socket(connection, server_hostname="api.example.com")


def finish_patch(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"}")
        line = connection.recv(65_536).split(b"\r\n")[0]
    expect(b" 200 " in line, "the PATCH of a slow client", line)


def expect(is_met: bool, name: str, found: object = "") -> None:
    if not is_met:
        sys.exit(f"Not as documented: {name}: {found}")


def read_blocks() -> dict[str, str]:
    """Return the blocks of the page by the name of the file that stands before each of them."""
    found = re.findall(r"^`([^`\n]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    return {name.rpartition("/")[2]: block for name, block in found}


def read_block(pattern: str) -> str:
    """Return the one block that begins with a pattern."""
    (block,) = re.findall(rf"^```\w+\n({pattern}.*?)^```$", PAGE.read_text(), re.M | re.S)
    return str(block)


def read_app(blocks: dict[str, str]) -> str:
    """Return the app of the page, with the lines that the page adds to it for migrations."""
    return adapt(
        blocks["app.py"],
        {
            "def create_app(": read_block("from flask_migrate") + "\n\ndef create_app(",
            "db.init_app(app)\n": "db.init_app(app)\n    migrate.init_app(app)\n",
        },
    )


def adapt(block: str, replacements: dict[str, str]) -> str:
    """Replace paths and ports, each of which must be in the block."""
    for old, new in replacements.items():
        expect(old in block, "the block contains", old)
        block = block.replace(old, new)
    return block


@contextmanager
def create_database(server: str) -> Iterator[tuple[URL, Connection]]:
    """Create a database, and yield its URL and a connection to another one of the server."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {DATABASE}"))
        try:
            yield engine.url.set(database=DATABASE), connection
        finally:
            connection.execute(text(f"DROP DATABASE {DATABASE} WITH (FORCE)"))
    engine.dispose()


def create_certificate(folder: Path) -> ssl.SSLContext:
    """Create a certificate and its key, and return a context that trusts it."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=api.example.com"
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    name = ["-addext", "subjectAltName=DNS:api.example.com"]
    subprocess.run([*command.split(), *name, *files], check=True, capture_output=True)
    return ssl.create_default_context(cafile=str(folder / "fullchain.pem"))


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


def check_sync_worker(folder: Path, token: str) -> None:
    """Check that a slow client blocks a sync worker, and that one connection is enough for it."""
    options = json.dumps({"pool_size": 1, "max_overflow": 0, "pool_timeout": 1})
    environment = {**os.environ, "FLASK_SQLALCHEMY_ENGINE_OPTIONS": options}
    client = Client(free_port(), token)
    arguments = ["--worker-class=sync", "--threads=1", "--workers=1"]
    with (
        (folder / "sync.log").open("w") as log,
        run_gunicorn(arguments, client.port, cwd=folder, env=environment, stdout=log, stderr=log),
    ):
        client.send("GET", "/healthz")
        slow = client.begin_patch()
        try:
            response = Client(client.port, token, timeout=1).send("POST", PROFILE)
        except TimeoutError:
            finish_patch(slow)
        else:
            expect(False, "a slow client blocks a sync worker", response)
        image = BytesIO()
        Image.new("RGB", (64, 64)).save(image, "PNG")
        statuses = [
            client.send("GET", PROFILE).status,
            client.patch().status,
            client.send("PUT", AVATAR, image.getvalue()).status,
            client.send("DELETE", AVATAR).status,
        ]
        expect(statuses == [200, 200, 200, 204], "a pool of one connection", statuses)


def check_reload(client: Client, pid: int) -> None:
    """Reload gunicorn while requests are sent."""
    results: list[object] = []
    is_over = threading.Event()

    def request() -> None:
        while not is_over.is_set():
            try:
                results.append(client.send("POST", PROFILE).status)
            except (OSError, http.client.HTTPException) as error:
                results.append(repr(error))

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    old = {*children_of(pid)}
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: len({*children_of(pid)}) == len(old) and old.isdisjoint(children_of(pid)))
    is_over.set()
    for thread in threads:
        thread.join()
    expect({*results} == {200}, f"{len(results)} requests during a reload", {*results})


def check_timeouts(client: Client, url: URL) -> None:
    """Lock the row of the user."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text('SELECT 1 FROM "user" WHERE id = 1 FOR UPDATE'))
        started = time.monotonic()
        response = client.patch()
        seconds = time.monotonic() - started
        retry_after = response.headers["Retry-After"]
        expect((response.status, retry_after) == (503, "1"), "a locked row", response)
        expect(2 <= seconds < 5, "the lock_timeout", seconds)
        expect(client.send("GET", PROFILE).status == 200, "a locked row can be read")
    engine.dispose()


def check_database_outage(client: Client, connection: Connection) -> None:
    """Let no process connect to the database for a while."""
    terminate = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {where_ours()}")
    connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"))
    connection.execute(terminate)
    requests = [("GET", "/healthz"), ("GET", "/readyz"), ("POST", PROFILE)]
    statuses = [client.send(method, path).status for method, path in requests]
    expect(statuses == [204, 503, 500], "the database is away", statuses)
    anonymous = client.send("POST", PROFILE, Authorization="")
    expect(anonymous.status == 401, "no token while the database is away", anonymous)
    connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"))
    connection.execute(terminate)
    statuses = [client.send("POST", PROFILE).status for _ in range(20)]
    expect({*statuses} == {200}, "dead connections", statuses)
    statuses = [client.send("GET", "/readyz").status for _ in range(20)]
    expect(statuses[-1] == 204, "the database is back", statuses)


def where_ours() -> str:
    return f"WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid()"


def count_connections(connection: Connection) -> int:
    statement = text(f"SELECT count(*) FROM pg_stat_activity {where_ours()}")
    number: int = connection.execute(statement).scalar_one()
    return number


def check_preload(folder: Path, tokens: list[str]) -> None:
    """Check that workers do not share a connection that was opened before the fork."""
    port = free_port()
    arguments = ["--config=preload.conf.py", "connected:app"]
    with (
        (folder / "preload.log").open("w") as log,
        run_gunicorn(arguments, port, cwd=folder, stdout=log, stderr=log),
    ):
        check_users(port, tokens)


def check_users(port: int, tokens: list[str]) -> None:
    """Check that users who read at the same time get their own profiles."""
    names: list[list[str]] = [[] for _ in tokens]

    def read(client: Client, found: list[str]) -> None:
        for _ in range(20):
            found.append(json.loads(client.send("POST", PROFILE).body)["username"])

    threads = [
        threading.Thread(target=read, args=[Client(port, token), found])
        for token, found in zip(tokens, names, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [[f"u{number}"] * 20 for number in range(len(tokens))]
    expect(names == expected, "the profiles that users read", names)


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


def write_files(folder: Path, app_port: int, http_port: int, https_port: int) -> str:
    """Write the files of the page, and return the configuration of nginx."""
    blocks = read_blocks()
    gunicorn = adapt(blocks["gunicorn.conf.py"], {"127.0.0.1:8000": f"127.0.0.1:{app_port}"})
    for name, content in {
        "app.py": read_app(blocks),
        "seen.py": SEEN,
        "connected.py": CONNECTED,
        "gunicorn.conf.py": gunicorn,
        "preload.conf.py": f"{gunicorn}preload_app = True\n{read_block('def post_fork')}",
    }.items():
        (folder / name).write_text(content)
    (folder / "instance/media").mkdir(parents=True)
    (folder / "instance/media/default.jpg").touch()
    return adapt(
        blocks["app.conf"],
        {
            "127.0.0.1:8000": f"127.0.0.1:{app_port}",
            "listen 80;": f"listen 127.0.0.1:{http_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{https_port} ssl;",
            "/etc/letsencrypt/live/api.example.com/": f"{folder}/",
            "/var/log/nginx/": f"{folder}/",
            "/srv/app/": f"{folder}/",
        },
    )


def deploy(folder: Path, variables: dict[str, str]) -> None:
    """Generate the migration, and run the last step of a deployment, as the page says."""
    (folder / ".venv").symlink_to(sys.prefix)
    env_file = folder / "app.env"
    env_file.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    deployment = adapt(
        read_block("cd /srv/app"),
        {
            "/srv/app": str(folder),
            "/etc/app.env": str(env_file),
            "sudo -u app ": "",
            "sudo systemctl reload app": "echo reloaded",
        },
    )
    run_in_shell(folder, f". .venv/bin/activate\n{read_block('flask db init')}", variables)
    expect("\nreloaded\n" in run_in_shell(folder, deployment), "the last step of a deployment")


def run_in_shell(folder: Path, script: str, variables: Mapping[str, str] | None = None) -> str:
    command = ["bash", "-e", "-c", script]
    environment = {**os.environ, **(variables or {})}
    environment.pop("PYTHONPATH", None)  # It has another wsgi.py, which flask would find first.
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    expect(run.returncode == 0, script, run.stdout + run.stderr)
    return run.stdout


def create_users(folder: Path) -> list[str]:
    """Create the users, and return their access tokens."""
    command = [sys.executable, "-c", USERS_SCRIPT]
    created = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return created.stdout.split()


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
