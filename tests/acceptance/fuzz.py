"""Send hostile requests to gunicorn; each response must be a documented one, byte for byte.

    .ci/run fuzz [-- --seed SEED]

It runs on SQLite, or in a separate schema or database on a server. It prints the request and exits
with status 1 if a response is not one that the request allows. It also exits with status 1 if a
worker logs an error, exits, or uses more memory than it may, or if data has changed that no request
edits. fuzz_requests.py has the requests, fuzz_app.py the apps.
"""

from __future__ import annotations

import argparse
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

import contract
from empty_databases import empty_database
from fuzz_app import CONFIGS, create_tables, fetch_avatar_of_eve, fetch_unedited_rows
from fuzz_cases import BAD_HOST, NO_RESPONSE, Case
from fuzz_requests import make_requests

HERE = Path(__file__).parent
WARM_UP, CLIENTS, MAX_GROWTH = 10_000, 4, 1.05

Response = tuple[int, dict[str, str], bytes]


def read_response(file: BinaryIO, method: str) -> Response | None:
    """Read one response; return None if the server has closed the connection."""
    try:
        status = file.readline()
        if not status:
            return None
        assert re.match(rb"HTTP/1\.[01] \d{3} ", status), status
        headers: dict[str, str] = {}
        while (line := file.readline()) != b"\r\n":
            name, value = line.decode("latin-1").rstrip("\r\n").split(": ", 1)
            assert name not in headers, f"The header {name} is repeated."
            headers[name] = value
        if status[9:12] == b"100":
            return read_response(file, method)
        has_body = method != "HEAD" and status[9:12] not in {b"204", b"304"}
        body = file.read(int(headers["Content-Length"])) if has_body else b""
    except ConnectionError:
        return None
    return int(status[9:12]), headers, body


def identify_response(case: Case, response: Response | None) -> str:
    """Return the name of a documented response, or of one that gunicorn or Flask sends."""
    if response is None:
        return NO_RESPONSE
    status, headers, body = response
    if "Server" not in headers:  # gunicorn has rejected the request.
        assert headers.keys() == {"Connection", "Content-Type", "Content-Length"}, headers
        assert body.startswith(b"<html>\n  <head>\n    <title>"), body
        return f"gunicorn {status}"
    if status == 400 and body.startswith(b"<!doctype html>\n<html lang=en>\n<title>400 "):
        return BAD_HOST  # Flask rejects a bad Host header before routing.
    name: str = contract.identify_response(
        *response,
        method=case.method,
        media_type=case.media_type,
        vary=case.vary,
        profile=case.profile,
        allow=case.allow,
    )
    return name


def check_response(case: Case, file: BinaryIO) -> str:
    """Read a response, check that the case allows it, and return its name."""
    response = None
    try:
        response = read_response(file, case.method)
        name = identify_response(case, response)
        assert name in case.allowed, f"The response is {name}, and not one of {case.allowed}."
    except (AssertionError, OSError, KeyError, ValueError) as error:
        request = case.data[:2_000]
        raise AssertionError(f"{error!r}\nrequest: {request!r}\nresponse: {response}") from error
    return name


def send_requests(port: int, seed: str, count: int) -> Counter[str]:
    """Send requests over persistent connections, and count the responses by name."""
    rng, counts, connection = random.Random(seed), Counter[str](), None
    while counts.total() < count:
        cases = make_requests(rng, rng.choice([1, 1, 5]))
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
            pass  # The server has responded and closed the connection before the end.
        if hangs_up:
            counts["(the client hung up)"] += 1
        else:
            counts.update(check_response(case, file) for case in cases)
            # gunicorn may reject the rest of a body that no app has read.
            rest = cases[-1]._replace(allowed={NO_RESPONSE, "gunicorn 400"})
            while is_last and check_response(rest, file) != NO_RESPONSE:
                pass
        if is_last or hangs_up:
            file.close()
            connection.close()
            connection = None
    return counts


def worker_ids(master: int) -> set[str]:
    """Return the process ids of gunicorn's workers."""
    return {*Path(f"/proc/{master}/task/{master}/children").read_text().split()}


def resident_memory(workers: set[str]) -> int:
    """Return the total resident memory of the workers, in kB."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in workers]
    return sum(int(re.findall(r"^Rss:\s+(\d+)", rollup, re.M)[0]) for rollup in rollups)


def run(seed: str, requests: int) -> None:
    """Start the server, send the requests, and print how often each response was sent."""
    folder = Path(tempfile.mkdtemp())
    log, media = folder / "gunicorn.log", folder / "media"
    CONFIGS["full"]["PROFILE_MEDIA_STORAGE"] = str(media)
    os.environ["FUZZ_CONFIGS"] = json.dumps(CONFIGS)
    create_tables()
    unedited_rows = fetch_unedited_rows()
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port, bound = listener.getsockname()[1], f"fd://{listener.fileno()}"
    command = [sys.executable, "-m", "gunicorn", "fuzz_app:application()", "--bind", bound]
    command += ["--error-logfile", str(log), "--forwarded-allow-ips="]
    command += ["--workers=2", "--threads=4", "--keep-alive=60"]

    def send(phase: str, count: int) -> Counter[str]:
        futures = [
            pool.submit(send_requests, port, f"{seed} {phase} {number}", count // CLIENTS)
            for number in range(CLIENTS)
        ]
        return sum((future.result() for future in futures), Counter())

    with ProcessPoolExecutor(CLIENTS, mp_context=get_context("fork")) as pool:
        server = subprocess.Popen(command, cwd=HERE, pass_fds=[listener.fileno()])
        try:
            send("warm-up", WARM_UP)
            workers = worker_ids(server.pid)
            before, started = resident_memory(workers), time.monotonic()
            counts = send("measured", requests)
            seconds, after = time.monotonic() - started, resident_memory(workers)
            assert worker_ids(server.pid) == workers, "A worker has exited."
        finally:
            server.terminate()
            server.wait()

    for name, number in counts.most_common():
        print(f"{number:8,} {name}")
    print(f"{counts.total() / seconds:,.0f} requests/s; RSS {before:,} kB, then {after:,} kB")
    errors = re.search(r"\[(ERROR|CRITICAL)\]|ERROR in |^Traceback", log.read_text(), re.M)
    assert not errors, f"The log contains an error:\n{log.read_text()[errors.start() :][:5_000]}"
    assert after <= before * MAX_GROWTH, "The memory of the workers has grown."
    assert fetch_unedited_rows() == unedited_rows, "A row has changed that no request edits."
    files = {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}
    expected = {fetch_avatar_of_eve()} - {None}
    assert files == expected, f"The stored files are {files}, but Eve's avatar is {expected}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", help='"sqlite", or a URL')
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    with empty_database(options.database, "flask_profile_fuzz") as url:
        print(f"{url.drivername}, seed {options.seed}", flush=True)
        if "options" in url.query:  # Edits are faster so.
            path = f"{url.query['options']} -csynchronous_commit=off"
            url = url.update_query_dict({"options": path})
        os.environ["DATABASE"] = url.render_as_string(hide_password=False)
        try:
            run(options.seed, options.requests)
        except AssertionError as failure:
            sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()
