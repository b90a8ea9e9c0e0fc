"""Time one contender in its own environment; compare.py sends commands as lines of JSON.

This uses the standard library only, because it runs in the environment of every contender.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import platform
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module, metadata
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

from wsgi import Operation, TimedResponse, call_wsgi

contender: Any = import_module(sys.argv[1])


async def call_asgi(bearer: str, operation: Operation | None = None) -> TimedResponse:
    operation = operation or Operation(contender.METHOD, contender.PATH)
    headers = {"host": "127.0.0.1", "authorization": f"Bearer {bearer}"}
    if operation.body:
        headers |= {"content-type": "application/json", "content-length": str(len(operation.body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": operation.method,
        "scheme": "http",
        "path": operation.path,
        "raw_path": operation.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": operation.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    begin = perf_counter_ns()
    await contender.app(scope, receive, send)
    duration = perf_counter_ns() - begin
    return duration, sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def call_all(
    bearers: list[str], make_operation: Callable[[], Operation | None] = lambda: None
) -> list[TimedResponse]:
    if loop is None:
        return [call_wsgi(contender, bearer, make_operation()) for bearer in bearers]

    async def call_in_turn() -> list[TimedResponse]:
        return [await call_asgi(bearer, make_operation()) for bearer in bearers]

    return loop.run_until_complete(call_in_turn())


def create_event_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that uvicorn uses if the app is an ASGI app, and None otherwise."""
    if not inspect.iscoroutinefunction(type(contender.app).__call__):
        return None
    return import_module("uvloop").new_event_loop()  # type: ignore[no-any-return]


loop = create_event_loop()
numbers = count()


@cache
def cycle_tokens(kind: str) -> Iterator[str]:
    """Return an endless iterator of tokens of random users in the table."""
    users = random.Random(1).choices(range(1, int(os.environ["ROWS"]) + 1), k=4000)
    tokens = [contender.create_token(user, -60 if kind == "expired" else 86400) for user in users]
    if kind == "tampered":  # Change the first character of the signature.
        parts = [token.rpartition(".") for token in tokens]
        tokens = [f"{head}.{'B' if sign[0] == 'A' else 'A'}{sign[1:]}" for head, _, sign in parts]
    return cycle(tokens)


def time_requests(kind: str, requests: int) -> float:
    """Return the median duration, in microseconds, of requests with one kind of token."""
    responses = call_all([*islice(cycle_tokens(kind), requests)])
    expected = {200} if kind == "accepted" else {401, 422}
    unexpected = [response for response in responses if response[1] not in expected]
    if unexpected:
        sys.exit(f"{sys.argv[1]} returns {unexpected[0]} for {kind} tokens.")
    return median(duration for duration, _, _ in responses) / 1000


def make_operation(kind: str) -> Operation:
    """Return a read, a read of an unchanged profile, or an edit with a new value."""
    if kind == "edit":
        body = json.dumps({"first_name": f"Alice {os.getpid()} {next(numbers)}"}).encode()
        return Operation("PATCH", contender.PATH, body)
    return Operation("GET", contender.PATH, if_none_match="*" if kind == "unchanged" else "")


def time_operations(kind: str, requests: int) -> float:
    """Return the median duration, in microseconds, of requests of one kind."""
    bearers = [*islice(cycle_tokens("accepted"), requests)]
    responses = call_all(bearers, lambda: make_operation(kind))
    expected = 304 if kind == "unchanged" else 200
    unexpected = [response for response in responses if response[1] != expected]
    if unexpected:
        sys.exit(f"{sys.argv[1]} returns {unexpected[0]} for {kind}.")
    return median(duration for duration, _, _ in responses) / 1000


def get_route() -> tuple[str, str]:
    return contender.METHOD, contender.PATH


def fetch_profile(user_id: int) -> str:
    return call_all([contender.create_token(user_id, 60)])[0][2].decode()


def write_tokens(path: str, count: int) -> None:
    Path(path).write_text("\n".join(islice(cycle_tokens("accepted"), count)) + "\n")


def list_versions(*names: str) -> dict[str, str]:
    own = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    return own | {name: metadata.version(name) for name in names}


for line in sys.stdin:
    command, *arguments = json.loads(line)
    functions: tuple[Callable[..., Any], ...] = (
        *(time_requests, time_operations, get_route, fetch_profile, write_tokens),
        list_versions,
    )
    commands = {function.__name__: function for function in functions}
    print(json.dumps(commands[command](*arguments)), flush=True)
