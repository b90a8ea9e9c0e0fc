"""The files, the database and the users of the app that docs/deployment.md shows."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, text

from deployment_client import expect

PAGE = Path(__file__).parents[2] / "docs/deployment.md"
DATABASE = "flask_profile_deployment"
USERS = 8
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
