"""One request to a contender in this process, by the standard library alone (compare_worker.py)."""

from __future__ import annotations

import io
import sys
from time import perf_counter_ns
from typing import Any

Answer = tuple[int, int, bytes]  # Nanoseconds, status, body.


def ask_wsgi(contender: Any, bearer: str) -> Answer:
    """Send a request to a contender as its server would, and take all of the answer."""
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
    started: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        started.append(status)

    begin = perf_counter_ns()
    chunks = contender.app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return perf_counter_ns() - begin, int(started[0][:3]), body
