"""Edit a profile by its ETag behind servers that compress the response and change the tag.

This starts an app in gunicorn, and nginx with gzip in front of it; and the same app with
Flask-Compress. A client reads the profile with each coding, then sends the ETag that it received in
If-None-Match and If-Match. It exits with status 1 unless that is a 304 and a 200 response, and a
412 once the profile has changed. It needs nginx, gunicorn and flask-compress.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from processes import free_port
from web_servers import run_gunicorn, run_nginx

HERE = Path(__file__).parent
CODINGS = ("identity", "gzip", "br", "deflate", "zstd")


def write_http(app_port: int, port: int) -> str:
    """Return the configuration of an nginx that compresses all responses of an app."""
    return f"""gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{app_port}; }}
    }}
"""


def request(port: int, token: str, method: str, **headers: str) -> tuple[int, str, str]:
    """Send a request, and return the status, the ETag and the coding of the response."""
    body = None
    if method == "PATCH":
        body = json.dumps({"first_name": os.urandom(8).hex()}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/api/profile/"
    try:
        with urlopen(Request(url, body, named, method=method)) as response:
            response.read()
            return response.status, response.headers["ETag"], response.headers["Content-Encoding"]
    except HTTPError as error:
        return error.code, "", ""


def check(name: str, port: int, token: str) -> None:
    """Read and edit with each coding, and exit with status 1 for a wrong status."""
    seen = []
    for coding in CODINGS:
        _, etag, used = request(port, token, "GET", Accept_Encoding=coding)
        seen.append(f"{used or 'identity'}: {etag}")
        statuses = [
            request(port, token, "GET", Accept_Encoding=coding, If_None_Match=etag)[0],
            request(port, token, "PATCH", Accept_Encoding=coding, If_Match=etag)[0],
            request(port, token, "PATCH", Accept_Encoding=coding, If_Match=etag)[0],
            request(port, token, "GET", Accept_Encoding=coding, If_None_Match=etag)[0],
        ]
        if statuses != [304, 200, 412, 200]:
            sys.exit(f"{name}, {coding}, {etag}: {statuses}")
    print(f"{name}: {', '.join(seen)}")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        folder.chmod(0o755)
        os.environ["DATABASE"] = f"sqlite:///{folder}/users.db"
        os.environ["PYTHONPATH"] = str(HERE)
        from proxy_host import add_user

        token = add_user()
        app_port, nginx_port, compressing_port = (free_port() for _ in range(3))
        for app, port in (
            ("proxy_host:create_app()", app_port),
            ("proxy_host:create_app(compresses=True)", compressing_port),
        ):
            arguments = [app, "--log-level=warning"]
            stack.enter_context(run_gunicorn(arguments, port, cwd=folder))
        http = write_http(app_port, nginx_port)
        stack.enter_context(run_nginx(folder, http, nginx_port))
        check("gunicorn", app_port, token)
        check("nginx with gzip", nginx_port, token)
        check("Flask-Compress", compressing_port, token)


if __name__ == "__main__":
    main()
