"""Let fifty clients edit one row at once, at each isolation level, and count what they receive.

Each edit adds one to a counter in Python, so an update that is lost leaves the counter behind the
number of 200 responses. It exits with status 1 if one is lost, or if a response is neither 200 nor
503. With --write, it writes the table to docs/reliability.md.

    python tests/acceptance/conflicts.py --write sqlite postgresql+psycopg://… mysql+pymysql://…
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import URL
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from empty_databases import empty_database
from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema
from manual_tables import format_table, write_table

CLIENTS = 50
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
HEAD = ("database", "isolation level", "read by", "200", "503", "other", "lost")


class AddingSchema(ProfileSchema):
    added = fields.Integer(load_only=True)


class Host:
    """A host whose users have a counter, to which an edit adds a number."""

    def __init__(self, url: URL, level: str, *, loads_user: bool) -> None:
        app = Flask("conflicts")
        app.config.update(
            SQLALCHEMY_DATABASE_URI=url,
            SQLALCHEMY_ENGINE_OPTIONS={
                "isolation_level": level,
                "pool_size": 20,
                "max_overflow": 0,
                "pool_timeout": 30,
            },
            JWT_SECRET_KEY="a secret of more than thirty-two bytes",
            PROFILE_METHODS=["PATCH"],
            PROFILE_SCHEMA=AddingSchema,
        )
        db = SQLAlchemy(app)

        class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
            counter: Mapped[int] = mapped_column(default=0)

            @hybrid_property
            def added(self) -> int:
                return 0

            @added.inplace.setter
            def _add(self, number: int) -> None:
                self.counter = self.counter + number

        manager = JWTManager(app)
        if loads_user:
            manager.user_lookup_loader(lambda *_: db.session.get(User, 1))
        app.register_blueprint(ProfileBlueprint())
        self.app, self.db, self.User = app, db, User
        with app.app_context():
            db.create_all()
            db.session.add(User(username="john_doe", email="john@example.com"))
            db.session.commit()
            self._headers = {"Authorization": f"Bearer {create_access_token('1')}"}

    def edit_at_once(self, seconds: float) -> Counter[int]:
        """Let all clients edit the row for some seconds, and count the statuses."""
        statuses: Counter[int] = Counter()
        deadline = time.monotonic() + seconds
        lock = threading.Lock()

        def edit() -> None:
            client = self.app.test_client()
            while time.monotonic() < deadline:
                response = client.patch("/api/profile/", json={"added": 1}, headers=self._headers)
                with lock:
                    statuses[response.status_code] += 1

        threads = [threading.Thread(target=edit) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def close(self) -> int:
        """Drop the table, and return the counter."""
        with self.app.app_context():
            counter: int = self.db.session.get_one(self.User, 1).counter
            self.db.session.remove()
            self.db.drop_all()
            self.db.engine.dispose()
        return counter


def measure(url: URL, seconds: float) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each isolation level of a database."""
    name = url.get_backend_name()
    for level in LEVELS if name != "sqlite" else LEVELS[-1:]:
        for loads_user in (False, True):
            host = Host(url, level, loads_user=loads_user)
            statuses = host.edit_at_once(seconds)
            lost = statuses[200] - host.close()
            other = statuses.total() - statuses[200] - statuses[503]
            counts = [f"{count:,}" for count in (statuses[200], statuses[503], other, lost)]
            row = (url.drivername, level, "loader" if loads_user else "query", *counts)
            print(*row, sep=" | ", flush=True)
            if other or lost or not statuses[200]:
                sys.exit(f"Not as documented: {statuses}")
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="+", help='"sqlite", or a URL')
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--write", action="store_true", help="write the table to the manual")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    for database in options.databases:
        with empty_database(database, "flask_profile_conflicts") as url:
            rows += measure(url, options.seconds)
    if options.write:
        write_table("reliability.md", "tests/acceptance/conflicts.py", format_table(HEAD, rows))


if __name__ == "__main__":
    main()
