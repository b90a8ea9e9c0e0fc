"""Kill a server process during a thousand changes; each change must be complete or have no effect.

    .ci/run kills

Clients edit and delete profiles, and upload and remove avatars, in an app that gunicorn serves with
one worker. A profile that is deleted is added again, with the same primary key.
The worker gets SIGKILL at random moments, and just after a file has been created or removed. The
database is a SQLite file, or a separate one on a server. The storage is a directory. The
script exits with status 1 in these cases:

- A row has neither its old state nor the state that the interrupted change would give it.
- A row names a file that is missing, broken or wrong.
- There are more files without a row than uploads, removals and deletions that were interrupted.

It needs Linux and gunicorn.
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

from flask_jwt_extended import create_access_token
from PIL import Image
from sqlalchemy import select

from empty_databases import empty_database
from kills_host import User, create_app, db
from manual_tables import format_table, write_table
from processes import children_of, free_port, is_listening, wait_until

HERE = Path(__file__).parent
CLIENTS, USERS_OF_EACH = 4, 3
SIDE = 160
LEVELS = range(20, 256, 40)
# These colours differ so much that each is still recognized after the lossy WebP encoding.
COLOURS = [(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS]
NOISE = Image.effect_noise((SIDE, SIDE), 90)  # Makes each file several kilobytes long.
# The event before a kill. A kill at a random moment (None) rarely hits the short time between the
# change of the storage and the change of the database.
EVENTS = ["created", "removed", None]
HEAD = ("database", "changes", "kills", "cut off", "committed", "orphans", "rows checked")


class State(NamedTuple):
    """The expected state of a row: the name in both name columns, and the colour of the avatar."""

    name: str = ""
    colour: int | None = None
    is_deleted: bool = False


DELETED = State(is_deleted=True)


class Change(NamedTuple):
    """A request, and the state of the row after it."""

    method: str
    path: str
    body: bytes
    state: State

    @property
    def changes_avatar(self) -> bool:
        return self.method != "PATCH"


class UnexpectedStateError(Exception):
    """A row, a file or a response is not as expected."""


class Storage:
    """The directory of the storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def colour_of(self, name: str | None) -> int | None:
        """Return the index of the colour of an image file, which must be complete."""
        if name is None:
            return None
        try:
            with Image.open(self.folder / name) as opened:
                image = opened.convert("RGB")
        except Exception as error:
            raise UnexpectedStateError(f"A row names {name}: {error!r}") from error
        if image.size != (SIDE, SIDE):
            raise UnexpectedStateError(f"{name} is an image of {image.size} pixels.")
        pixel: Any = image.getpixel((SIDE // 4, SIDE // 4))
        for number, colour in enumerate(COLOURS):
            if all(
                abs(actual - expected) < 20 for actual, expected in zip(pixel, colour, strict=True)
            ):
                return number
        raise UnexpectedStateError(f"{name} is an image of another colour: {pixel}")

    def wait(self, event: str | None, seconds: float) -> None:
        """Wait until a file is created or removed; without an event, wait for some seconds."""
        if event is None:
            time.sleep(seconds)
            return
        deadline, before = time.monotonic() + 1, self._names()
        while time.monotonic() < deadline:
            now = self._names()
            if now - before if event == "created" else before - now:
                return
            before = now

    def _names(self) -> set[str]:
        folder = self.folder / "avatars"
        return {path.name for path in folder.glob("*.webp")}

    def orphans(self, named: set[str]) -> list[str]:
        """Return the files that no row names, including files that are still being written."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [name for path in files if (name := str(path.relative_to(self.folder))) not in named]


class Client(threading.Thread):
    """A client that changes the rows of some users, and keeps track of their expected states."""

    def __init__(self, run: Run, users: list[int], seed: str) -> None:
        super().__init__(daemon=True)
        self.states = dict.fromkeys(users, State())
        self.interrupted: list[tuple[Change, bool]] = []  # Each with whether it was committed.
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
        change = self._choose_change(number, before)
        now = change.state
        if not self._run.send(user, change):
            now = self._run.read_state(user)
            if now not in {before, change.state}:
                raise UnexpectedStateError(
                    f"The state is {now}, which is neither {before} nor {change.state}."
                )
            self.interrupted.append((change, now == change.state))
        if now == DELETED:
            self._run.add_user(user)
            now = State()
        self.states[user] = now

    def _choose_change(self, number: int, before: State) -> Change:
        kind = self._random.choices(["PUT", "DELETE", "PATCH", "account"], [5, 2, 3, 2])[0]
        if kind == "account":
            return Change("DELETE", "", b"", DELETED)
        if kind == "PATCH":
            name = f"number {number}"
            # A merge into the JSON column: it has two members, independent of its old value.
            prefs = {"name": name, f"member {number % 2}": number, f"member {1 - number % 2}": None}
            body = json.dumps({"first_name": name, "last_name": name, "prefs": prefs}).encode()
            return Change(kind, "", body, before._replace(name=name))
        if kind == "DELETE":
            return Change(kind, "avatar/", b"", before._replace(colour=None))
        colour = number % len(COLOURS)
        return Change(kind, "avatar/", make_image(COLOURS[colour]), before._replace(colour=colour))


class Run:
    """The server with its database and its storage, and the progress of the changes."""

    def __init__(self, folder: Path, database: str, changes: int) -> None:
        self.storage = Storage(folder / "media")
        self.started = 0
        self.rows_checked = 0
        self._changes = changes
        self._lock = threading.Lock()
        self._port = free_port()
        os.environ |= {"DATABASE": database, "MEDIA": str(self.storage.folder)}
        self._app = create_app()
        self._tokens: dict[int, str] = {}
        with self._app.app_context():
            db.create_all()
            for user in range(1, CLIENTS * USERS_OF_EACH + 1):
                self.add_user(user)
                self._tokens[user] = create_access_token(str(user), expires_delta=False)
            db.engine.dispose()
        command = [sys.executable, "-m", "gunicorn", "kills_host:create_app()", "--preload"]
        command += [f"--threads={CLIENTS}", f"--bind=127.0.0.1:{self._port}"]
        command += ["--chdir", str(HERE), f"--log-file={folder / 'host.log'}"]
        self._process = subprocess.Popen(command)
        wait_until(lambda: is_listening(self._port) and len(self.workers()) == 1)

    def workers(self) -> list[str]:
        return children_of(self._process.pid)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the changes; each number goes to one client only."""
        while True:
            with self._lock:
                if self.started == self._changes:
                    return
                self.started += 1
                number = self.started
            yield number

    def send(self, user: int, change: Change) -> bool:
        """Send a change, and return whether a response, which must be a success, has arrived."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {
            "Authorization": f"Bearer {self._tokens[user]}",
            "Content-Type": "application/json" if change.method == "PATCH" else "image/png",
        }
        url = f"/api/profile/{change.path}"
        try:
            connection.request(change.method, url, change.body, headers)
            response = connection.getresponse()
            body = response.read()
        except (ConnectionError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status != (204 if change.method == "DELETE" else 200):
            raise UnexpectedStateError(
                f"The response to {change.method} is {response.status} {body!r}."
            )
        return True

    def read_state(self, user: int) -> State:
        """Read a row, as soon as no interrupted transaction locks it."""
        with self._app.app_context():
            columns = (User.first_name, User.last_name, User.avatar, User.prefs)
            query = select(*columns).filter_by(id=user).with_for_update()
            row = db.session.execute(query).one_or_none()
            db.session.rollback()
        with self._lock:
            self.rows_checked += 1
        if row is None:
            return DELETED
        merged = row.prefs or {"name": "", "": 0}
        if not row.first_name == row.last_name == merged["name"] or len(merged) != 2:
            raise UnexpectedStateError(f"A change has been applied in part: {row}")
        return State(row.first_name, self.storage.colour_of(row.avatar))

    def add_user(self, user: int) -> None:
        """Add a row, as a new user has it."""
        with self._app.app_context():
            db.session.add(User(id=user, username=f"user {user}", email=f"{user}@example.com"))
            db.session.commit()

    def avatars(self) -> set[str]:
        """Return the names of all files that a row names."""
        with self._app.app_context():
            return {*db.session.scalars(select(User.avatar).where(User.avatar.is_not(None)))}

    def kill(self) -> None:
        """Kill the worker, and wait until gunicorn has started another."""
        (worker,) = self.workers()
        os.kill(int(worker), signal.SIGKILL)
        wait_until(lambda: len(self.workers()) == 1 and self.workers() != [worker])

    def dispose(self) -> None:
        with self._app.app_context():
            db.engine.dispose()


@cache
def make_image(colour: tuple[int, int, int]) -> bytes:
    """Return a PNG of noise with a square of one colour."""
    image = NOISE.convert("RGB")
    image.paste(colour, (0, 0, SIDE // 2, SIDE // 2))
    encoded = BytesIO()
    image.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def kill_repeatedly(run: Run, clients: list[Client], changes: int, kills: int, seed: str) -> int:
    """Kill the server at times spread over the changes, and return how often it was killed."""
    moments = random.Random(seed)
    for number in range(1, kills + 1):
        due = number * changes // (kills + 1)
        while run.started < due and any(client.is_alive() for client in clients):
            time.sleep(0.001)
        run.storage.wait(EVENTS[number % len(EVENTS)], moments.uniform(0, 0.03))
        if any(client.failure for client in clients):
            return number - 1
        run.kill()
    return kills


def check(run: Run, changes: int, kills: int, seed: str) -> list[int]:
    """Run the changes and the kills, check the result, and return the numbers of the table."""
    sys.setswitchinterval(0.0005)  # A client must not delay a kill that follows an event.
    clients = [
        Client(run, [*range(1 + n * USERS_OF_EACH, 1 + (n + 1) * USERS_OF_EACH)], f"{seed} {n}")
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    killed = kill_repeatedly(run, clients, changes, kills, seed)
    for client in clients:
        client.join()
        if client.failure:
            raise client.failure
        for user, state in client.states.items():
            now = run.read_state(user)
            if now != state:
                raise UnexpectedStateError(
                    f"The state is {now}, but the last response was for {state}."
                )

    interrupted = [each for client in clients for each in client.interrupted]
    avatar_changes = sum(change.changes_avatar for change, _ in interrupted)
    orphans = run.storage.orphans(run.avatars())
    if len(orphans) > avatar_changes:
        raise UnexpectedStateError(
            f"Only {avatar_changes} of these were interrupted, but no row names {orphans}."
        )
    if not interrupted:
        raise UnexpectedStateError("No kill has interrupted a change.")
    committed = sum(is_committed for _, is_committed in interrupted)
    return [run.started, killed, len(interrupted), committed, len(orphans), run.rows_checked]


def run_on(database: str, changes: int, kills: int, seed: str) -> tuple[str, ...]:
    """Run on one database, and return its row of the table; exit with status 1 on a failure."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(empty_database(database, "flask_profile_kills"))
        run = Run(folder, url.render_as_string(hide_password=False), changes)
        stack.callback(run.dispose)
        stack.callback(run.stop)
        try:
            numbers = check(run, changes, kills, seed)
        except UnexpectedStateError as failure:
            print((folder / "host.log").read_text()[-5_000:])
            sys.exit(f"FAILED: {failure}")
    return (url.drivername, *(f"{number:,}" for number in numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("databases", nargs="+", help='"sqlite", or a URL')
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--write", action="store_true", help="write the table to the manual")
    options = parser.parse_args()
    print(f"Seed {options.seed}", flush=True)
    rows: list[tuple[str, ...]] = []
    for database in options.databases:
        rows.append(run_on(database, options.changes, options.kills, options.seed))
        print(*rows[-1], sep=" | ", flush=True)
    if options.write:
        write_table("reliability.md", "tests/acceptance/kills.py", format_table(HEAD, rows))


if __name__ == "__main__":
    main()
