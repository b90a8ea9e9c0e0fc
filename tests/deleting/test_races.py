"""Deletions at the same time, in transactions of the host, with avatars, and with loaders."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import g
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from contract import AVATAR_URL, NOT_FOUND, NOT_VALID, URL
from editing.requests import parse, patch
from flask_profile import profile_deleted
from host_databases import read_users
from images import encode


def at_once(*calls):
    """Call functions from as many threads at once, and return the results."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(run, calls)]


POOL = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 8, "pool_timeout": 60}}


class TestAtOnce:
    @pytest.mark.parametrize("by_loader", [False, True], ids=["by query", "by loader"])
    def test_one_of_two_deletions_is_a_204_and_the_other_a_404(
        self, by_loader, deletable_host, delete
    ):
        host = deletable_host(**POOL)
        if by_loader:
            host.jwt.user_lookup_loader(lambda *_: host.db.session.get(host.User, 1))
        responses = at_once(*[lambda: delete(host)] * 6)
        assert sorted(r.status_code for r in responses) == [204, *[404] * 5]
        assert all(r.json == NOT_FOUND for r in responses if r.status_code == 404)
        assert read_users(host) == []

    def test_an_edit_comes_before_or_finds_no_user(self, deletable_host, delete):
        for _ in range(5):
            host = deletable_host(**POOL)
            deleted, edited = at_once(
                lambda host=host: delete(host), lambda host=host: patch(host, {"first_name": "J"})
            )
            assert deleted.status_code == 204
            assert edited.status_code in {200, 404}
            assert read_users(host) == []


class TestRetries:
    def test_after_a_conflict_the_token_is_verified_again(self, deletable_host, delete, listen):
        host, failures, checks = deletable_host(), [], []
        host.jwt.token_in_blocklist_loader(lambda *_: bool(checks.append(1)))
        with host.app.app_context():
            engine = host.db.engine

        def fail(_connection, _cursor, statement, *_):
            if statement.startswith("DELETE") and len(failures) < 3:
                failures.append(statement)
                error = Exception("could not serialize access")
                error.sqlstate = "40001"
                raise OperationalError("", {}, error)

        listen(engine, "before_cursor_execute", fail)
        assert delete(host).status_code == 204
        assert (len(failures), len(checks)) == (3, 4)

    def test_in_a_transaction_of_the_host_it_is_committed_with_it(self, deletable_host, delete):
        host = deletable_host()
        host.add(id=2, username="ann", email="ann@example.com")

        @host.app.before_request
        def prepare():
            g.ann = host.db.session.get(host.User, 2)
            g.ann.first_name = "Seen"

        assert delete(host).status_code == 204
        assert read_users(host, "first_name") == ["Seen"]


class TestAvatar:
    @pytest.fixture
    def with_avatar(self, deletable_host, tmp_path):
        """Return a function that makes a host, and uploads an avatar."""

        def make(**config):
            host = deletable_host(
                PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=str(tmp_path), **config
            )
            assert (
                host.client.put(AVATAR_URL, data=encode(), headers=host.bearer()).status == "200 OK"
            )
            (file,) = tmp_path.rglob("*.webp")
            return host, Path(file)

        return make

    def test_it_is_removed_after_the_commit(self, with_avatar, delete):
        host, file = with_avatar()
        at_commit = []
        with host.app.app_context():
            engine = host.db.engine
        event.listen(engine, "commit", lambda _connection: at_commit.append(file.exists()))
        assert delete(host).status_code == 204
        assert at_commit[-1:] == [True]
        assert not file.exists()

    def test_it_stays_where_the_deletion_fails(self, with_avatar, delete, listen):
        host, file = with_avatar()
        with host.app.app_context():
            engine = host.db.engine

        def fail(*_):
            raise OSError("the disk is full")

        listen(engine, "commit", fail)
        assert delete(host).status_code == 500
        assert file.exists()

    def test_it_stays_with_a_user_who_is_deactivated(self, with_avatar, delete):
        host, file = with_avatar(PROFILE_ON_DELETE="deactivate")
        assert delete(host).status_code == 204
        assert file.exists()

    def test_the_signal_has_its_url(self, with_avatar, delete):
        host, file = with_avatar(PROFILE_MEDIA_URL="https://cdn.example/")
        received = []

        def receive(_app, profile, **_):
            received.append(profile["avatar"])

        with profile_deleted.connected_to(receive):
            assert delete(host).status_code == 204
        assert received == [f"https://cdn.example/avatars/{file.name}"]


def test_tokens_that_a_receiver_revokes_are_refused(deletable_host, delete):
    """The receiver of the manual: an identity may come back, but no token of before."""
    host, deleted = deletable_host(), set()
    host.jwt.token_in_blocklist_loader(lambda _header, claims: claims["sub"] in deleted)
    headers = host.bearer()

    def revoke(_app, identity, **_):
        deleted.add(identity)

    with profile_deleted.connected_to(revoke, host.app):
        assert delete(host).status_code == 204
    host.add(username="new", email="new@example.com")
    assert parse(host.client.post(URL, headers=headers)) == (401, NOT_VALID)
