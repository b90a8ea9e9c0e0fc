"""A fixture that starts an app of this folder."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hosts.cases import HOSTS, PASSWORD_HASH
from hosts.clients import RunningHost
from pem_keys import make_private_pem, make_public_pem


@cache
def make_pem_files(algorithm):
    key = (
        rsa.generate_private_key(65537, 2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return {"private.pem": make_private_pem(key), "public.pem": make_public_pem(key)}


def require_redis():
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url("redis://127.0.0.1:6379") as server:
        try:
            server.ping()
        except redis.ConnectionError:
            pytest.skip("no Redis server responds on 127.0.0.1:6379")


@pytest.fixture
def start_host(create_database, tmp_path):
    """Return a function that starts a host; it skips the test if a dependency is missing."""
    hosts = []

    def start(name, **config):
        case = HOSTS[name]
        pytest.importorskip(case.needs, reason=f"install the extra `hosts` for {case.needs}")
        if case.needs == "redis" and "REDIS_URL" not in config:
            require_redis()
        module = import_module(f"hosts.{case.module}")
        folder = tmp_path / str(len(hosts))
        folder.mkdir()
        defaults = {
            "JWT_SECRET_KEY": "s" * 32,
            "SECRET_KEY": "t" * 32,
            **create_database(),
            **case.config,
        }
        uri = defaults["SQLALCHEMY_DATABASE_URI"]
        defaults["SQLALCHEMY_DATABASE_URI"] = re.sub(
            r"^sqlite:///(?=\w)", f"sqlite:///{folder}/", uri
        )
        if "JWT_ALGORITHM" in defaults:
            defaults["KEY_FOLDER"] = str(folder)
            for file, pem in make_pem_files(defaults["JWT_ALGORITHM"]).items():
                (folder / file).write_text(pem)
        host = RunningHost(case, module.create_app(defaults | config), module)
        hosts.append(host)
        return host.add(password_hash=PASSWORD_HASH)

    yield start
    for host in hosts:
        with host.app.app_context():
            host.db.session.remove()
            for engine in host.db.engines.values():
                engine.dispose()
