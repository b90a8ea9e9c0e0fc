"""``flask profile prune-avatars``: files that no row names, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from conftest import define
from contract import AVATAR_URL
from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema
from images import encode


class OnlyId(ProfileSchema):
    class Meta:
        fields = ("id",)


ORPHAN = f"avatars/{'0' * 32}.webp"


def prune(host, *arguments):
    return host.app.test_cli_runner().invoke(args=["profile", "prune-avatars", *arguments])


@pytest.fixture
def avatars_host(host, tmp_path, persistent_config):
    """Return a function that makes a host with an uploaded avatar and an old orphan."""

    def make(*, second=None):
        config = {"PROFILE_AVATARS": True, "PROFILE_MEDIA_STORAGE": str(tmp_path)}
        made = host(**config | persistent_config).add()
        if second is not None:
            made.app.register_blueprint(second, url_prefix="/second")
        assert made.client.put(AVATAR_URL, data=encode(), headers=made.bearer()).status_code == 200
        age(tmp_path)
        Path(tmp_path, ORPHAN).write_bytes(b"x")
        age(tmp_path)
        return made

    return make


def age(folder, days=2):
    """Let all files of a folder be some days old."""
    then = time.time() - days * 86_400
    for path in folder.rglob("*.*"):
        os.utime(path, (then, then))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))


def test_it_lists_what_no_row_names_and_removes_nothing(avatars_host, tmp_path):
    host = avatars_host()
    before = files(tmp_path)
    result = prune(host)
    assert (result.exit_code, result.stdout) == (0, f"{ORPHAN}\n")
    assert result.stderr == "Avatars not in use: 1\n"
    assert files(tmp_path) == before


def test_it_removes_it_with_delete(avatars_host, tmp_path):
    host = avatars_host()
    before = files(tmp_path)
    result = prune(host, "--delete")
    assert (result.exit_code, result.stdout) == (0, f"{ORPHAN}\n")
    assert files(tmp_path) == [name for name in before if name != ORPHAN]
    assert prune(host, "--delete").stderr == "Avatars removed: 0\n"


@pytest.mark.parametrize(
    ("older_than", "is_listed"), [("1d", True), ("3d", False), ("72h", False), ("0s", True)]
)
def test_a_file_must_be_older_than_an_age(older_than, is_listed, avatars_host):
    assert bool(prune(avatars_host(), "--older-than", older_than).stdout) == is_listed


@pytest.mark.parametrize("value", ["1", "d", "1w", "-1d", "1.5d", ""])
def test_anything_else_is_no_age(value, avatars_host):
    result = prune(avatars_host(), "--older-than", value)
    assert result.exit_code == 2
    assert "is not an age such as 1d" in result.stderr


def test_other_files_are_never_touched(avatars_host, tmp_path):
    host = avatars_host()
    others = ["avatars/me.webp", f"avatars/{'0' * 32}.png", f"avatars/x/{'0' * 32}.webp", "x.webp"]
    for name in others:
        Path(tmp_path, name).parent.mkdir(exist_ok=True)
        Path(tmp_path, name).write_bytes(b"x")
    age(tmp_path)
    assert prune(host, "--delete").stdout == f"{ORPHAN}\n"
    assert {*others} <= {*files(tmp_path)}


def test_it_refuses_to_remove_anything_where_no_row_names_a_file(avatars_host, tmp_path):
    host = avatars_host()
    with host.app.app_context():
        host.db.session.get(host.User, 1).avatar = None
        host.db.session.commit()
    before = files(tmp_path)
    result = prune(host, "--delete")
    assert result.exit_code == 1
    assert "this may be the wrong database" in result.stderr
    assert files(tmp_path) == before
    assert len(prune(host).stdout.split()) == 2


def test_it_refuses_before_it_removes_anything(host, tmp_path, persistent_config):
    def model(db):
        class User(ProfileMixin, db.Model):
            pass

        class Admin(ProfileMixin, db.Model):
            pass

        return User, Admin

    db, (user, admin) = define(model)
    config = {"PROFILE_AVATARS": True, "PROFILE_MEDIA_STORAGE": str(tmp_path / "users")}
    blueprint = ProfileBlueprint(user_model=user)
    made = host(
        model=lambda _db: user, db=db, blueprint=blueprint, **config | persistent_config
    ).add()
    made.app.config["PROFILE_MEDIA_STORAGE"] = str(tmp_path / "admins")
    made.app.register_blueprint(ProfileBlueprint("admins", user_model=admin), url_prefix="/admins")
    Path(tmp_path, "users", "avatars").mkdir(parents=True)
    Path(tmp_path, "users", ORPHAN).write_bytes(b"x")
    result = prune(made, "--delete", "--older-than", "0s")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{tmp_path / 'admins'}" in result.stderr
    assert Path(tmp_path, "users", ORPHAN).exists()


def test_a_file_of_another_profile_in_the_same_storage_is_in_use(avatars_host, tmp_path):
    host = avatars_host(second=ProfileBlueprint("second", schema=OnlyId))
    assert prune(host, "--delete").stdout == f"{ORPHAN}\n"
    assert len(files(tmp_path)) == 1


def test_it_needs_avatars(host):
    result = prune(host().add())
    assert result.exit_code == 1
    assert "no profile with PROFILE_AVATARS" in result.stderr
