"""Fixtures that build a host with avatars, and check what it stores and logs."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path

import pytest

from contract import AVATAR_URL, URL
from host_databases import shared_database_config


class AvatarHost:
    """A host with avatars enabled, and helpers that call it and inspect its storage."""

    def __init__(self, host, media):
        self.host = host
        self.media = media

    def put(self, data, *, url=AVATAR_URL, identity="1", headers=(), **options):
        headers = {**self.host.bearer(identity), **dict(headers)}
        return self.host.client.put(url, data=data, headers=headers, **options)

    def put_form(self, data, name="me.png", content_type="image/png", **options):
        return self.put({"avatar": (BytesIO(data), name, content_type)}, **options)

    def delete(self, **headers):
        return self.host.client.delete(AVATAR_URL, headers=self.host.bearer() | headers)

    def get(self):
        return self.host.client.get(URL, headers=self.host.bearer())

    def list_files(self):
        return sorted(str(p.relative_to(self.media)) for p in self.media.rglob("*") if p.is_file())

    def read_column(self):
        with self.host.app.app_context():
            return self.host.db.session.get(self.host.User, 1).avatar

    def upload(self, data):
        """Upload an image and return the bytes of the only stored file, which the row must name."""
        response = self.put(data)
        assert response.status_code == 200, response.data
        assert self.list_files() == [self.read_column()]
        assert response.json["avatar"] == f"/media/{self.read_column()}"
        return Path(self.media, self.read_column()).read_bytes()

    def rejects(self, data, status, body):
        """Return whether an upload that gets this error response changes nothing."""
        before = self.list_files(), self.read_column()
        response = self.put(data)
        assert (response.status_code, response.json) == (status, body)
        return (self.list_files(), self.read_column()) == before


@pytest.fixture
def make_avatars(host, tmp_path, database):
    """Return a factory of hosts with avatars enabled; it takes config by keyword."""

    def make(*, on_disk=False, **config):
        database_config = shared_database_config(database) if on_disk else {}
        media = tmp_path / "storage"
        defaults = {
            "PROFILE_AVATARS": True,
            "PROFILE_MEDIA_STORAGE": str(media),
            "PROFILE_METHODS": ["GET", "POST"],
        }
        return AvatarHost(host(**(defaults | database_config | config)).add(), media)

    return make


@pytest.fixture
def avatars(make_avatars):
    return make_avatars()


@pytest.fixture
def no_logged_errors(caplog):
    """Check that nothing a client does is logged as an error."""
    yield
    assert not [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
