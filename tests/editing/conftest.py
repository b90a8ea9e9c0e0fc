"""Fixtures that build a host whose users may edit their profiles."""

from __future__ import annotations

import pytest

from host_databases import shared_database_config


@pytest.fixture
def editable_host(host):
    """Return a factory of hosts that allow PATCH as well as GET, with John in the database."""

    def make(*, values=None, **config):
        return host(**{"PROFILE_METHODS": ["GET", "POST", "PATCH"]} | config).add(**values or {})

    return make


@pytest.fixture
def concurrent_host(editable_host, database):
    """Return the same factory, for a database that many threads write to at once."""
    config = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 8, "max_overflow": 0, "pool_timeout": 60}}
    config |= shared_database_config(database)
    return lambda **options: editable_host(**config | options)
