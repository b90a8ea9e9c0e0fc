"""Call the WSGI app of a contender in this process, with the standard library only."""

from __future__ import annotations

import io
import sys
from time import perf_counter_ns
from typing import Any, NamedTuple

TimedResponse = tuple[int, int, bytes]  # Nanoseconds, status, body.


class Operation(NamedTuple):
    """A request, without its token."""

    method: str
    path: str
    body: bytes = b""
    if_none_match: str = ""


def call_wsgi(contender: Any, bearer: str, operation: Operation | None = None) -> TimedResponse:
    """Call the app as a WSGI server does, and read the whole response."""
    operation = operation or Operation(contender.METHOD, contender.PATH)
    environ = {
        "REQUEST_METHOD": operation.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": operation.path,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(operation.body)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {bearer}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(operation.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if operation.if_none_match:
        environ["HTTP_IF_NONE_MATCH"] = operation.if_none_match
    statuses: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        statuses.append(status)

    begin = perf_counter_ns()
    chunks = contender.app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return perf_counter_ns() - begin, int(statuses[0][:3]), body
