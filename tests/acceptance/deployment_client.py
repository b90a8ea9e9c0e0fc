"""A client of the app that docs/deployment.md shows, and what its responses have."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import sys
from typing import NamedTuple

PROFILE, AVATAR = "/api/profile/", "/api/profile/avatar/"
CLIENT_ADDRESS = "127.0.0.2"  # nginx connects to gunicorn from 127.0.0.1.


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
