"""Call the WSGI app of a contender in this process, with the standard library only."""

from __future__ import annotations

import io
import sys
from time import perf_counter_ns
from typing import Any

TimedResponse = tuple[int, int, bytes]  # Nanoseconds, status, body.


def call_wsgi(contender: Any, bearer: str) -> TimedResponse:
    """Call the app as a WSGI server does, and read the whole response."""
    environ = {
        "REQUEST_METHOD": contender.METHOD,
        "SCRIPT_NAME": "",
        "PATH_INFO": contender.PATH,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "0",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {bearer}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    statuses: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        statuses.append(status)

    begin = perf_counter_ns()
    chunks = contender.app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return perf_counter_ns() - begin, int(statuses[0][:3]), body
