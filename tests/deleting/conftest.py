"""Fixtures that build a host whose users may delete their accounts."""

from __future__ import annotations

import pytest

from contract import URL
from host_databases import shared_database_config


@pytest.fixture
def deletable_host(host, database):
    """Return a factory of hosts with all methods, for many threads, with John in the database."""

    def make(*, values=None, **config):
        defaults = {"PROFILE_METHODS": ["GET", "POST", "PATCH", "DELETE"]}
        made = host(**defaults | shared_database_config(database) | config)
        return made.add(**values or {})

    return make


@pytest.fixture
def delete():
    """Return a function that sends a DELETE request with a fresh token."""

    def send(host, identity="1", *, fresh=True, headers=(), **options):
        headers = {**host.bearer(identity, fresh=fresh), **dict(headers)}
        return host.client.delete(URL, headers=headers, **options)

    return send
