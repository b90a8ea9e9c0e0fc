"""One contender, timed inside its own environment: compare.py asks it, a line of JSON at a time.

Uses the standard library alone, since every contender's environment runs it.
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
from collections.abc import Iterator
from functools import cache
from importlib import import_module, metadata
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

from wsgi import Answer, ask_wsgi

contender: Any = import_module(sys.argv[1])


async def ask_asgi(bearer: str) -> Answer:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": contender.METHOD,
        "scheme": "http",
        "path": contender.PATH,
        "raw_path": contender.PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {bearer}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    begin = perf_counter_ns()
    await contender.app(scope, receive, send)
    took = perf_counter_ns() - begin
    return took, sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def ask_all(bearers: list[str]) -> list[Answer]:
    if loop is None:
        return [ask_wsgi(contender, bearer) for bearer in bearers]

    async def in_turns() -> list[Answer]:
        return [await ask_asgi(bearer) for bearer in bearers]

    return loop.run_until_complete(in_turns())


def event_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that uvicorn would run the app in, if it is one for that."""
    if not inspect.iscoroutinefunction(type(contender.app).__call__):
        return None
    return import_module("uvloop").new_event_loop()  # type: ignore[no-any-return]


loop = event_loop()


@cache
def tokens(kind: str) -> Iterator[str]:
    """Return the tokens of random users of the table, without end."""
    users = random.Random(1).choices(range(1, int(os.environ["ROWS"]) + 1), k=4000)
    made = [contender.token(user, -60 if kind == "expired" else 86400) for user in users]
    if kind == "tampered":  # The first character of the signature.
        parts = [token.rpartition(".") for token in made]
        made = [f"{head}.{'B' if sign[0] == 'A' else 'A'}{sign[1:]}" for head, _, sign in parts]
    return cycle(made)


def timed(kind: str, requests: int) -> float:
    """Return the median in microseconds of some requests with accepted or refused tokens."""
    answers = ask_all([*islice(tokens(kind), requests)])
    right = {200} if kind == "accepted" else {401, 422}
    wrong = [answer for answer in answers if answer[1] not in right]
    if wrong:
        sys.exit(f"{sys.argv[1]} answers {kind} tokens with {wrong[0]}")
    return median(took for took, _, _ in answers) / 1000


def route() -> tuple[str, str]:
    return contender.METHOD, contender.PATH


def body(user_id: int) -> str:
    return ask_all([contender.token(user_id, 60)])[0][2].decode()


def write_tokens(path: str, count: int) -> None:
    Path(path).write_text("\n".join(islice(tokens("accepted"), count)) + "\n")


def versions(*names: str) -> dict[str, str]:
    own = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    return own | {name: metadata.version(name) for name in names}


for line in sys.stdin:
    command, *arguments = json.loads(line)
    commands = {f.__name__: f for f in (timed, route, body, write_tokens, versions)}
    print(json.dumps(commands[command](*arguments)), flush=True)
