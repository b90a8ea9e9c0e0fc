"""Send hostile requests to gunicorn; every answer must be one of the contract's, to the byte.

    python .ci/fuzz.py [SEED]

It ends with 1, and the request, where an answer is not the one that it must be; and with 1 where a
worker logs an error, ends or grows. fuzz_requests.py has the requests, fuzz_app.py the apps.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

from fuzz_app import CONFIGS, avatar_of_eve, fill, others_than_eve
from fuzz_requests import BAD_HOST, NOTHING, Case, some

import responses

WARM_UP, MEASURED, CLIENTS, GROWTH = 10_000, 100_000, 4, 1.05

Answer = tuple[int, dict[str, str], bytes]


def read_answer(file: BinaryIO, method: str) -> Answer | None:
    """Read one answer, if there is any."""
    try:
        status = file.readline()
        if not status:
            return None
        assert re.match(rb"HTTP/1\.[01] \d{3} ", status), status
        headers: dict[str, str] = {}
        while (line := file.readline()) != b"\r\n":
            name, value = line.decode("latin-1").rstrip("\r\n").split(": ", 1)
            assert name not in headers, f"{name} is there twice"
            headers[name] = value
        if status[9:12] == b"100":
            return read_answer(file, method)
        has_body = method != "HEAD" and status[9:12] not in {b"204", b"304"}
        body = file.read(int(headers["Content-Length"])) if has_body else b""
    except ConnectionError:
        return None
    return int(status[9:12]), headers, body


def name_of(case: Case, answer: Answer | None) -> str:
    """Return the name of an answer of the contract, or of the server before it."""
    if answer is None:
        return NOTHING
    status, headers, body = answer
    if "Server" not in headers:  # What gunicorn says of a request that no app sees.
        assert headers.keys() == {"Connection", "Content-Type", "Content-Length"}, headers
        assert body.startswith(b"<html>\n  <head>\n    <title>"), body
        return f"gunicorn {status}"
    if status == 400 and body.startswith(b"<!doctype html>\n<html lang=en>\n<title>400 "):
        return BAD_HOST  # What Flask says of a host before it looks for a route.
    return responses.name_of(
        *answer,
        method=case.method,
        media_type=case.media_type,
        vary=case.vary,
        profile=case.profile,
        allow=case.allow,
    )


def checked(case: Case, file: BinaryIO) -> str:
    """Return the name of the answer that is read, which has to be allowed."""
    answer = None
    try:
        answer = read_answer(file, case.method)
        name = name_of(case, answer)
        assert name in case.allowed, f"{name}, where it must be of {case.allowed}"
    except (AssertionError, OSError, KeyError, ValueError) as error:
        raise AssertionError(f"{error!r}\nrequest: {case.data!r}\nanswer: {answer}") from error
    return name


def client(port: int, seed: str, count: int) -> Counter[str]:
    """Send requests over connections that are kept alive, and count the answers by their names."""
    rng, counts, connection = random.Random(seed), Counter[str](), None
    while counts.total() < count:
        cases = some(rng, rng.choice([1, 1, 5]))
        is_last, hangs_up = cases[-1].is_last(), rng.random() < 0.02
        data = b"".join(case.data for case in cases)
        if connection is None:
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            file = connection.makefile("rb")
        try:
            connection.sendall(data[: rng.randint(0, len(data))] if hangs_up else data)
            if is_last:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server has answered, and closed, before it was told all.
        if hangs_up:
            counts["(the client hung up)"] += 1
        else:
            counts.update(checked(case, file) for case in cases)
            # gunicorn may find fault with the rest of a body that no app has read.
            rest = cases[-1]._replace(allowed={NOTHING, "gunicorn 400"})
            while is_last and checked(rest, file) != NOTHING:
                pass
        if is_last or hangs_up:
            file.close()
            connection = connection.close()
    return counts


def workers_of(master: int) -> set[str]:
    """Return the ids of its processes."""
    return {*Path(f"/proc/{master}/task/{master}/children").read_text().split()}


def rss_of(workers: set[str]) -> int:
    """Return the resident memory of all workers together, in kB."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in workers]
    return sum(int(re.findall(r"^Rss:\s+(\d+)", rollup, re.M)[0]) for rollup in rollups)


def main(seed: str) -> None:
    """Serve, warm up, measure, and print how often each answer was given."""
    print(f"Seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp())
    log, media = folder / "gunicorn.log", folder / "media"
    CONFIGS["open"]["PROFILE_MEDIA_STORAGE"] = str(media)
    os.environ["FUZZ_CONFIGS"] = json.dumps(CONFIGS)
    fill()
    others = others_than_eve()
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port, bound = listening.getsockname()[1], f"fd://{listening.fileno()}"
    command = [sys.executable, "-m", "gunicorn", "fuzz_app:application()", "--bind", bound]
    command += ["--chdir", str(Path(__file__).parent), "--error-logfile", str(log)]
    command += ["--workers=2", "--threads=4", "--keep-alive=60", "--forwarded-allow-ips="]

    def send(phase: str, count: int) -> Counter[str]:
        futures = [
            pool.submit(client, port, f"{seed} {phase} {number}", count // CLIENTS)
            for number in range(CLIENTS)
        ]
        return sum((future.result() for future in futures), Counter())

    with ProcessPoolExecutor(CLIENTS, mp_context=get_context("fork")) as pool:
        server = subprocess.Popen(command, pass_fds=[listening.fileno()])
        try:
            send("warm-up", WARM_UP)
            workers = workers_of(server.pid)
            before, started = rss_of(workers), time.monotonic()
            counts = send("measured", MEASURED)
            seconds, after = time.monotonic() - started, rss_of(workers)
            assert workers_of(server.pid) == workers, "A worker has ended."
        finally:
            server.terminate()
            server.wait()

    for name, number in counts.most_common():
        print(f"{number:8,} {name}")
    print(f"{counts.total() / seconds:,.0f} requests/s; RSS {before:,} kB, then {after:,} kB")
    errors = re.search(r"\[(ERROR|CRITICAL)\]|ERROR in |^Traceback", log.read_text(), re.M)
    assert not errors, f"The log has an error:\n{log.read_text()[errors.start() :][:5_000]}"
    assert after <= before * GROWTH, "The workers have grown."
    assert others_than_eve() == others, "A row has changed that nobody edits."
    files = {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}
    named = {avatar_of_eve()} - {None}
    assert files == named, f"There are {files}, and Eve has {named}."


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else str(random.randrange(10**6)))
    except AssertionError as failure:
        sys.exit(f"FAILED: {failure}")
