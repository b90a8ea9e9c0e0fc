"""Kill the process in the middle of a thousand changes; each must be made whole or not at all.

    python benchmarks/kills.py [postgresql+psycopg://postgres@127.0.0.1/test]

Clients edit profiles, and upload and remove avatars, of an app in gunicorn, whose one worker gets
SIGKILL at random moments, and when a file has just come or gone. Its database is a file of SQLite,
or a schema of its own on PostgreSQL; its storage is a directory. It ends with 1 where a row is
neither as it was nor as the change that was cut off would have it, where a row names a file that
is missing, broken or another one, and where there are more files than rows, and uploads and
removals that were cut off, account for. Needs Linux and gunicorn.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from databases import empty_schema
from flask_jwt_extended import create_access_token
from kills_host import User, create_app, db
from PIL import Image
from processes import children_of, free_port, listens, wait_until
from sqlalchemy import make_url, select

HERE = Path(__file__).parent
CLIENTS, USERS_OF_EACH = 4, 3
SIDE = 160
LEVELS = range(20, 256, 40)
COLOURS = [
    (r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS
]  # So far apart that WebP confuses no two.
NOISE = Image.effect_noise((SIDE, SIDE), 90)  # What makes a file of some kilobytes.
AIMS = ["come", "gone", None]  # Between the storage and the database a kill hits by aim only.
HEAD = "| database | changes | kills | cut off | of these made | orphans | rows checked | seconds |"


class State(NamedTuple):
    """What a row has to say: the name in both its columns, and the colour of its picture."""

    name: str = ""
    colour: int | None = None


class Change(NamedTuple):
    """A request, and the state of the row when it is made."""

    method: str
    path: str
    body: bytes
    state: State

    @property
    def is_of_avatar(self) -> bool:
        return self.method != "PATCH"


class BrokenPromiseError(Exception):
    """A row, a file or an answer is not as it must be."""


class Files:
    """The storage, as it lies on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def colour_of(self, name: str | None) -> int | None:
        """Return which picture a file has, all of which must be there."""
        if name is None:
            return None
        try:
            with Image.open(self.folder / name) as opened:
                picture = opened.convert("RGB")
        except Exception as error:
            raise BrokenPromiseError(f"A row names {name}: {error!r}") from error
        if picture.size != (SIDE, SIDE):
            raise BrokenPromiseError(f"{name} is a picture of {picture.size}")
        seen: Any = picture.getpixel((SIDE // 4, SIDE // 4))
        for number, colour in enumerate(COLOURS):
            if all(abs(have - want) < 20 for have, want in zip(seen, colour, strict=True)):
                return number
        raise BrokenPromiseError(f"{name} is a picture of another colour: {seen}")

    def wait(self, aim: str | None, seconds: float) -> None:
        """Wait until a file has come or gone, or for some time: somewhere in a change, then."""
        if aim is None:
            time.sleep(seconds)
            return
        deadline, seen = time.monotonic() + 1, self._names()
        while time.monotonic() < deadline:
            now = self._names()
            if now - seen if aim == "come" else seen - now:
                return
            seen = now

    def _names(self) -> set[str]:
        folder = self.folder / "avatars"
        return {path.name for path in folder.glob("*.webp")}

    def orphans(self, named: set[str]) -> list[str]:
        """Return the files, those that are being written included, that no row names."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [name for path in files if (name := str(path.relative_to(self.folder))) not in named]


class Client(threading.Thread):
    """Changes the rows of some users, one change after the other, and follows what they must be."""

    def __init__(self, run: Run, users: list[int], seed: str) -> None:
        super().__init__(daemon=True)
        self.states = dict.fromkeys(users, State())
        self.cut: list[tuple[Change, bool]] = []  # Each with whether it was made all the same.
        self.failure: Exception | None = None
        self._run = run
        self._random = random.Random(seed)

    def run(self) -> None:
        try:
            for number in self._run.numbers():
                self._change(number)
        except Exception as failure:
            self.failure = failure

    def _change(self, number: int) -> None:
        user = self._random.choice([*self.states])
        before = self.states[user]
        change = self._some(number, before)
        answered = self._run.send(user, change)
        if answered:
            self.states[user] = change.state
            return
        now = self._run.state_of(user)
        if now not in {before, change.state}:
            raise BrokenPromiseError(f"{now} is neither {before} nor {change.state}")
        self.states[user] = now
        self.cut.append((change, now == change.state))

    def _some(self, number: int, before: State) -> Change:
        kind = self._random.choices(["PUT", "DELETE", "PATCH"], [5, 2, 3])[0]
        if kind == "PATCH":
            name = f"number {number}"
            body = json.dumps({"first_name": name, "last_name": name}).encode()
            return Change(kind, "", body, before._replace(name=name))
        if kind == "DELETE":
            return Change(kind, "avatar/", b"", before._replace(colour=None))
        colour = number % len(COLOURS)
        return Change(kind, "avatar/", picture(COLOURS[colour]), before._replace(colour=colour))


class Run:
    """The server, its database and its storage, and how far the changes have come."""

    def __init__(self, folder: Path, database: str, changes: int) -> None:
        self.files = Files(folder / "media")
        self.begun = 0
        self.rows_checked = 0
        self._changes = changes
        self._lock = threading.Lock()
        self._port = free_port()
        os.environ |= {"DATABASE": database, "MEDIA": str(self.files.folder)}
        self._app = create_app()
        self._tokens: dict[int, str] = {}
        with self._app.app_context():
            db.create_all()
            for user in range(1, CLIENTS * USERS_OF_EACH + 1):
                db.session.add(User(id=user, username=f"user {user}", email=f"{user}@example.com"))
                self._tokens[user] = create_access_token(str(user), expires_delta=False)
            db.session.commit()
            db.engine.dispose()
        command = [sys.executable, "-m", "gunicorn", "kills_host:create_app()", "--preload"]
        command += [f"--threads={CLIENTS}", f"--bind=127.0.0.1:{self._port}"]
        command += ["--chdir", str(HERE), f"--log-file={folder / 'host.log'}"]
        self._process = subprocess.Popen(command)
        wait_until(lambda: listens(self._port) and len(self.workers()) == 1)

    def workers(self) -> list[str]:
        return children_of(self._process.pid)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the changes, each to one client only."""
        while True:
            with self._lock:
                if self.begun == self._changes:
                    return
                self.begun += 1
                number = self.begun
            yield number

    def send(self, user: int, change: Change) -> bool:
        """Send a change and tell whether it was answered, which must be with success."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {
            "Authorization": f"Bearer {self._tokens[user]}",
            "Content-Type": "application/json" if change.method == "PATCH" else "image/png",
        }
        url = f"/api/profile/{change.path}"
        try:
            connection.request(change.method, url, change.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (ConnectionError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if answer.status != (204 if change.method == "DELETE" else 200):
            raise BrokenPromiseError(f"{change.method} is answered {answer.status} {body!r}")
        return True

    def state_of(self, user: int) -> State:
        """Read a row, once no transaction that was cut off holds it any more."""
        with self._app.app_context():
            columns = (User.first_name, User.last_name, User.avatar)
            row = db.session.execute(select(*columns).filter_by(id=user).with_for_update()).one()
            db.session.rollback()
        with self._lock:
            self.rows_checked += 1
        if row.first_name != row.last_name:
            raise BrokenPromiseError(f"Half a change: {row}")
        return State(row.first_name, self.files.colour_of(row.avatar))

    def named(self) -> set[str]:
        with self._app.app_context():
            return {*db.session.scalars(select(User.avatar).where(User.avatar.is_not(None)))}

    def kill(self) -> None:
        """Kill the worker, and wait for the next."""
        (worker,) = self.workers()
        os.kill(int(worker), signal.SIGKILL)
        wait_until(lambda: len(self.workers()) == 1 and self.workers() != [worker])

    def dispose(self) -> None:
        with self._app.app_context():
            db.engine.dispose()


@cache
def picture(colour: tuple[int, int, int]) -> bytes:
    """Return a PNG of noise with a square of one colour."""
    made = NOISE.convert("RGB")
    made.paste(colour, (0, 0, SIDE // 2, SIDE // 2))
    encoded = BytesIO()
    made.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def check(run: Run, changes: int, kills: int, seed: str) -> str:
    """Change and kill, check what is left, and return the line of the table."""
    started = time.monotonic()
    sys.setswitchinterval(0.0005)  # So that a kill that is aimed does not wait for a client.
    clients = [
        Client(run, [*range(1 + n * USERS_OF_EACH, 1 + (n + 1) * USERS_OF_EACH)], f"{seed} {n}")
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    moments, killed = random.Random(seed), 0
    for number in range(1, kills + 1):
        due = number * changes // (kills + 1)
        while run.begun < due and any(client.is_alive() for client in clients):
            time.sleep(0.001)
        run.files.wait(AIMS[number % len(AIMS)], moments.uniform(0, 0.03))
        if any(client.failure for client in clients):
            break
        run.kill()
        killed += 1
    for client in clients:
        client.join()
        if client.failure:
            raise client.failure
        for user, state in client.states.items():
            if run.state_of(user) != state:
                raise BrokenPromiseError(f"{run.state_of(user)} is not {state}, as was answered")

    cut = [each for client in clients for each in client.cut]
    of_avatars = sum(change.is_of_avatar for change, _ in cut)
    named = run.named()
    orphans = run.files.orphans(named)
    if len(orphans) > of_avatars:
        raise BrokenPromiseError(f"{of_avatars} changes of avatars were cut, but {orphans}")
    if not cut:
        raise BrokenPromiseError("No kill has hit a change.")
    made, seconds = sum(is_made for _, is_made in cut), time.monotonic() - started
    return (
        f"{run.begun:,} | {killed} | {len(cut)} | {made} | {len(orphans)} | "
        f"{run.rows_checked} | {seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("database", nargs="?", help="a URL of PostgreSQL; without, it is SQLite")
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    options = parser.parse_args()
    print(f"Seed {options.seed}", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = f"sqlite:///{folder}/users.db"
        if options.database:
            url = stack.enter_context(empty_schema(options.database, "flask_profile_kills"))
            database = url.render_as_string(hide_password=False)
        run = Run(folder, database, options.changes)
        stack.callback(run.dispose)
        stack.callback(run.stop)
        try:
            line = check(run, options.changes, options.kills, options.seed)
        except BrokenPromiseError as failure:
            print((folder / "host.log").read_text()[-5_000:])
            sys.exit(f"Not as promised: {failure}")
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[make_url(database).get_backend_name()]
    print(HEAD, "|---" * HEAD.count(" | ") + "|---|", f"| {name} | {line}", sep="\n")


if __name__ == "__main__":
    main()
