"""Changes of one user, or of one value, by several requests at once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from conftest import JOHN
from contract import JOHN_PROFILE, TAKEN, URL
from editing.requests import patch
from host_databases import close_pooled_connection, read_users
from schemas import WritableSchema

MANY_CLIENTS = 50


def run_concurrently(count, call):
    """Call a function from many threads at once, and return the results in order."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(run, range(count))]


@contextmanager
def listen_to_engine(host, event_name, listener):
    """Call a listener on an event of the host's engine, within the context."""
    with host.app.app_context():
        engine = host.db.engine
    event.listen(engine, event_name, listener)
    yield
    event.remove(engine, event_name, listener)


class TestConcurrency:
    def test_only_one_of_two_users_gets_the_same_name(self, concurrent_host):
        host = concurrent_host(PROFILE_SCHEMA=WritableSchema).add(
            id=2, username="ann", email="ann@example.com"
        )
        responses = run_concurrently(2, lambda n: patch(host, {"username": "neo"}, str(n + 1)))
        assert sorted(response.status_code for response in responses) == [200, 400]
        (loser,) = [response for response in responses if response.status_code == 400]
        assert loser.json == {"username": TAKEN}
        assert read_users(host, "username").count("neo") == 1

    def test_only_one_of_many_users_gets_the_same_name(self, concurrent_host):
        host = concurrent_host(PROFILE_SCHEMA=WritableSchema)
        with host.app.app_context():
            for number in range(2, MANY_CLIENTS + 1):
                values = {"id": number, "username": f"u{number}", "email": f"{number}@example.com"}
                host.db.session.add(host.User(**JOHN | values))
            host.db.session.commit()
        responses = run_concurrently(
            MANY_CLIENTS, lambda n: patch(host, {"username": "neo"}, str(n + 1))
        )
        statuses = Counter(response.status_code for response in responses)
        assert statuses == {200: 1, 400: MANY_CLIENTS - 1}
        assert all(r.json == {"username": TAKEN} for r in responses if r.status_code == 400)
        assert read_users(host, "username").count("neo") == 1

    @pytest.mark.parametrize("from_loader", [False, True], ids=["user by query", "user by loader"])
    def test_only_one_of_many_requests_with_the_same_etag_succeeds(
        self, from_loader, concurrent_host
    ):
        host = concurrent_host()
        etag = host.client.get(URL, headers=host.bearer()).headers["ETag"]
        if from_loader:
            host.jwt.user_lookup_loader(lambda *_: host.db.session.get(host.User, 1))

        def edit(number):
            return patch(host, {"first_name": f"John {number}"}, headers={"If-Match": etag})

        responses = run_concurrently(MANY_CLIENTS, edit)
        statuses = Counter(response.status_code for response in responses)
        assert statuses == {200: 1, 412: MANY_CLIENTS - 1}
        (winner,) = [response for response in responses if response.status_code == 200]
        assert host.post().json == winner.json

    def test_concurrent_changes_of_different_fields_are_both_kept(self, concurrent_host):
        host = concurrent_host()
        bodies = [{"first_name": "Jack"}, {"last_name": "Roe"}]
        responses = run_concurrently(2, lambda n: patch(host, bodies[n]))
        assert [response.status_code for response in responses] == [200, 200]
        assert host.post().json == JOHN_PROFILE | bodies[0] | bodies[1]

    def test_a_dead_connection_in_the_pool_does_not_fail_a_request(self, concurrent_host):
        host = concurrent_host()
        for name in ("Jack", "Jim"):
            close_pooled_connection(host)
            assert patch(host, {"first_name": name}).json["first_name"] == name
