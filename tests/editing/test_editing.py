"""One change of a user: its response, its statements and its transaction."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import event, select
from sqlalchemy.sql import Update

from conftest import JOHN, JOHN_AS_JSON, SECRET
from contract import JOHN_PROFILE, NOT_SAVED, TAKEN, UNAVAILABLE, URL
from editing.requests import parse, patch
from flask_profile import profile_updated
from host_databases import find_written_columns, read_users
from schemas import WritableSchema, make_interrupted_schema


class TestDefault:
    def test_patch_is_not_allowed(self, john):
        response = patch(john, {"first_name": "Jack"})
        assert parse(response) == (405, {"detail": 'Method "PATCH" not allowed.'})
        assert response.headers["Allow"] == "OPTIONS, POST"
        assert read_users(john, "first_name") == ["John"]

    def test_opt_in_modules_are_not_imported(self):
        code = f"""
import sys
import flask_profile
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy

app, db = Flask("host"), SQLAlchemy()
app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", JWT_SECRET_KEY={SECRET!r})

class User(flask_profile.ProfileMixin, db.Model):
    pass

db.init_app(app)
JWTManager(app)
app.register_blueprint(flask_profile.ProfileBlueprint())
with app.app_context():
    db.create_all()
    db.session.add(User(username="john", email="john@example.com"))
    db.session.commit()
    headers = {{"Authorization": f"Bearer {{create_access_token('1')}}"}}
assert app.test_client().post("/api/profile/", headers=headers).status_code == 200
with app.app_context():
    db.engine.dispose()
print(*sys.modules)
"""
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        names = [
            *("editing", "patching", "locking", "uniqueness", "signals"),
            *("avatars", "images", "storage", "openapi"),
        ]
        modules = {f"flask_profile.{name}" for name in names}
        assert not (modules | {"PIL", "obstore", "apispec"}) & {*result.stdout.split()}


class TestResponse:
    def test_it_is_the_complete_new_profile(self, editable_host):
        host = editable_host()
        response = patch(host, {"first_name": "Jack", "number_phone": None})
        expected = JOHN_AS_JSON.replace('"John"', '"Jack"').replace('"1234567890"', "null")
        assert (response.status_code, response.get_data(as_text=True)) == (200, expected)
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Authorization"
        assert host.post().get_data(as_text=True) == expected

    def test_its_etag_is_the_same_as_for_get_and_head(self, editable_host):
        host = editable_host()
        for body in ({}, {"first_name": "Jack"}, {"last_name": "ä😀"}):
            etag = patch(host, body).headers["ETag"]
            assert etag.startswith('"')
            assert host.client.get(URL, headers=host.bearer()).headers["ETag"] == etag
            assert host.client.head(URL, headers=host.bearer()).headers["ETag"] == etag

    def test_it_is_the_same_without_the_trailing_slash(self, editable_host):
        host = editable_host()
        response = host.client.patch(
            "/api/profile", headers=host.bearer(), json={"first_name": "Jack"}
        )
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")

    def test_text_is_stored_unchanged(self, editable_host):
        host = editable_host()
        for text in (" \t Jack\n ", "Jack", "Jack ", "", "𝕁𝕒𝕔𝕜 😀", "\u202e\u0301", "'\"\\%s"):
            assert patch(host, {"first_name": text}).json["first_name"] == text
            assert host.post().json == JOHN_PROFILE | {"first_name": text}
            assert read_users(host, "first_name") == [text]


class TestStatements:
    def test_an_empty_patch_writes_nothing(self, editable_host):
        host, signals = editable_host(), []
        with (
            host.statements() as statements,
            profile_updated.connected_to(lambda *_, **values: signals.append(values)),
        ):
            response = patch(host, {})
        assert (response.status_code, response.get_data(as_text=True)) == (200, JOHN_AS_JSON)
        assert (find_written_columns(statements), signals) == ([], [])

    def test_only_changed_columns_are_written(self, editable_host):
        host = editable_host()
        with host.statements() as statements:
            patch(host, {"first_name": "Jack", "last_name": "Doe", "number_phone": "1234567890"})
        assert find_written_columns(statements) == [["first_name"]]
        with host.statements() as statements:
            assert patch(host, {"first_name": "Jack"}).status_code == 200
        assert find_written_columns(statements) == []

    def test_a_concurrent_write_of_the_host_is_not_overwritten(self, editable_host):
        schema = make_interrupted_schema(
            lambda: host, password_hash="new", last_name="Roe", is_staff=True
        )
        host = editable_host(PROFILE_SCHEMA=schema)
        response = patch(host, {"first_name": "Jack"})
        changes = {"first_name": "Jack", "last_name": "Roe", "is_staff": True}
        assert response.json == JOHN_PROFILE | changes
        (row,) = read_users(host)
        assert row.items() >= (changes | {"password_hash": "new"}).items()

    @pytest.mark.parametrize("body", [{}, {"first_name": "Jack"}, {"username": "ann"}])
    def test_the_password_hash_is_not_read(self, body, editable_host):
        host = editable_host(PROFILE_SCHEMA=WritableSchema, values={"password_hash": "secret"})
        host.add(id=2, username="ann", email="ann@example.com")
        with host.statements() as statements:
            assert patch(host, body).status_code in {200, 400}
        assert "password_hash" not in " ".join(statements)
        assert read_users(host, "password_hash") == ["secret", None]


class TestSession:
    @pytest.mark.parametrize("event_name", ["commit", "after_flush", "before_commit"])
    def test_a_failure_at_the_end_of_the_transaction_changes_nothing(
        self, event_name, editable_host, caplog
    ):
        host, signals = editable_host(), []

        def fail(*_):
            raise OSError("the disk is full")

        with host.app.app_context():
            target = host.db.engine if event_name == "commit" else host.db.session
        event.listen(target, event_name, fail)
        with profile_updated.connected_to(lambda *_, **values: signals.append(values)):
            assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
        event.remove(target, event_name, fail)
        assert [record.exc_info[0] for record in caplog.records] == [OSError]
        assert signals == []
        assert host.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_a_commit_that_sqlite_rejects_leaves_no_lock(self, editable_host):
        host = editable_host(
            SQLALCHEMY_DATABASE_URI="sqlite:///locked.db",
            SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 0}},
        )
        with host.app.app_context():
            path = host.db.engine.url.database
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN")
            # An open read transaction blocks the COMMIT of another connection.
            other.execute("SELECT * FROM user").fetchall()
            assert parse(patch(host, {"first_name": "Jack"})) == (503, UNAVAILABLE)
            other.execute("COMMIT")
            other.execute("UPDATE user SET last_name = 'Roe'")
        assert host.post().json == JOHN_PROFILE | {"last_name": "Roe"}

    def test_a_session_that_reads_from_a_replica_writes_to_the_primary(self, host, create_database):
        class Routing(Session):
            def get_bind(self, mapper=None, clause=None, bind=None, **options):
                if bind is not None:
                    return bind
                if not (self._flushing or isinstance(clause, Update)):
                    return self._db.engines["replica"]
                return super().get_bind(mapper=mapper, clause=clause, **options)

        host_app = host(
            db=SQLAlchemy(session_options={"class_": Routing}),
            SQLALCHEMY_BINDS={"replica": create_database()["SQLALCHEMY_DATABASE_URI"]},
            PROFILE_METHODS="GET,PATCH",
            PROFILE_SCHEMA=WritableSchema,
        )
        with host_app.app.app_context():
            users, engines = host_app.User.__table__, dict(host_app.db.engines)
        john, ann = JOHN | {"last_login": None}, {"username": "ann", "email": "ann@example.com"}
        for name, rows in ((None, [john, john | ann | {"id": 2}]), ("replica", [john])):
            users.create(engines[name])
            with engines[name].begin() as connection:
                connection.execute(users.insert(), rows)
        response = patch(host_app, {"first_name": "Jack"})
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")
        assert patch(host_app, {"last_name": "Roe"}).json["first_name"] == "Jack"
        assert parse(patch(host_app, {"username": "ann"})) == (400, {"username": TAKEN})
        for name, first_name in ((None, "Jack"), ("replica", "John")):
            with engines[name].connect() as connection:
                query = select(users.c.first_name).where(users.c.id == 1)
                assert connection.scalar(query) == first_name

    @pytest.mark.parametrize("flushed", [True, False])
    def test_pending_changes_of_the_host_are_committed_with_the_patch(self, flushed, editable_host):
        host = editable_host(PROFILE_METHODS=["PATCH"])

        @host.app.before_request
        def set_password_hash():
            host.db.session.get(host.User, 1).password_hash = "seen"
            if flushed:
                host.db.session.flush()

        assert patch(host, {"first_name": "Jack"}).json == JOHN_PROFILE | {"first_name": "Jack"}
        assert (read_users(host, "first_name"), read_users(host, "password_hash")) == (
            ["Jack"],
            ["seen"],
        )

    def test_pending_changes_of_the_host_are_not_committed_if_the_patch_fails(self, editable_host):
        host = editable_host(PROFILE_METHODS=["PATCH"], PROFILE_SCHEMA=WritableSchema)
        host.add(id=2, username="ann", email="ann@example.com")

        @host.app.before_request
        def set_password_hash():
            host.db.session.get(host.User, 1).password_hash = "seen"

        assert parse(patch(host, {"username": "ann"})) == (400, {"username": TAKEN})
        assert read_users(host, "password_hash") == [None, None]
