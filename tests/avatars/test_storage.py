"""Where avatars are stored, and what remains there after a failure."""

from __future__ import annotations

import logging
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

import images
from avatars.uploads import AVATAR_NAME, CountingBody
from conftest import JOHN, SECRET, make_user_model
from contract import AVATAR_URL, CHANGED_BODY, NOT_FOUND, NOT_SAVED
from flask_profile import ConfigurationError, ProfileBlueprint, profile_updated
from images import BLUE, GREEN, RED, WHITE, decode, encode, encode_solid, read_corners

FOREIGN_AVATARS = ["avatars/default.png", "../../x", "https://cdn.example/avatars/1.webp", ""]


class TestRowAndFile:
    def test_the_replaced_file_is_deleted(self, avatars):
        avatars.upload(encode_solid())
        first = avatars.read_column()
        avatars.upload(encode())
        assert first not in avatars.list_files()

    def test_the_replaced_file_is_deleted_only_after_the_commit(self, avatars, listen):
        avatars.upload(encode_solid())
        first, files_before_commit = avatars.read_column(), []
        session = avatars.host.db.session
        listen(session, "before_commit", lambda _: files_before_commit.append(avatars.list_files()))
        avatars.upload(encode())
        assert files_before_commit == [sorted([first, avatars.read_column()])]

    @pytest.mark.parametrize("old", [*FOREIGN_AVATARS, "avatars/" + "0" * 31 + ".webp"])
    def test_a_file_with_a_foreign_name_is_not_deleted(self, old, avatars):
        set_avatar(avatars, old)
        kept = [
            avatars.media / "avatars/default.png",
            avatars.media / "avatars" / f"{'0' * 31}.webp",
        ]
        kept += [avatars.media.parent / "x", avatars.media.parent.parent / "x"]
        kept[0].parent.mkdir(parents=True)
        for path in kept:
            path.write_bytes(b"kept")
        assert avatars.put(encode()).status_code == 200
        set_avatar(avatars, old)
        assert avatars.delete().status_code == 204
        assert {path.read_bytes() for path in kept} == {b"kept"}

    @pytest.mark.parametrize("old", [None, *FOREIGN_AVATARS])
    def test_delete_clears_the_column_even_if_it_is_empty(self, old, avatars):
        set_avatar(avatars, old)
        for _ in range(2):
            response = avatars.delete()
            assert (response.status_code, response.data) == (204, b"")
            assert "Content-Type" not in response.headers
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Vary"] == "Authorization"
            assert avatars.read_column() is None
            assert avatars.get().json["avatar"] is None

    def test_delete_deletes_the_file(self, avatars):
        avatars.upload(encode())
        assert avatars.delete().status_code == 204
        assert avatars.list_files() == []

    def test_an_upload_changes_no_other_column(self, avatars):
        before = avatars.get().json
        avatars.upload(encode())
        assert avatars.get().json | {"avatar": 0} == before | {"avatar": 0}

    def test_the_etag_matches_the_next_get_response(self, avatars):
        for sent in (encode_solid(), encode()):
            response = avatars.put(sent)
            assert response.headers["ETag"] == avatars.get().headers["ETag"]

    def test_a_stale_if_match_changes_nothing(self, avatars):
        stale = avatars.get().headers["ETag"]
        avatars.upload(encode_solid())
        before = avatars.list_files()
        response = avatars.put(encode(), headers={"If-Match": stale})
        assert (response.status_code, response.json) == (412, CHANGED_BODY)
        response = avatars.delete(**{"If-Match": stale})
        assert (response.status_code, response.json) == (412, CHANGED_BODY)
        assert (avatars.list_files(), [avatars.read_column()]) == (before, before)

    def test_a_matching_if_match_is_accepted(self, avatars):
        for _ in range(2):
            etag = avatars.get().headers["ETag"]
            assert avatars.put(encode(), headers={"If-Match": etag}).status_code == 200
        assert avatars.put(encode(), headers={"If-Match": "*"}).status_code == 200
        etag = avatars.get().headers["ETag"]
        assert avatars.delete(**{"If-Match": etag}).status_code == 204

    def test_the_signal_has_the_old_and_the_new_value(self, avatars):
        signals = []

        def note(app, identity, changes):
            signals.append((identity, changes))

        with profile_updated.connected_to(note, avatars.host.app):
            avatars.upload(encode_solid())
            new = avatars.read_column()
            avatars.delete()
            avatars.delete()
        assert signals == [
            ("1", {"avatar": (JOHN["avatar"], new)}),
            ("1", {"avatar": (new, None)}),
        ]

    def test_concurrent_uploads_leave_exactly_one_file(self, make_avatars):
        avatars = make_avatars(on_disk=True)
        start = threading.Barrier(4)

        def upload(_):
            start.wait(20)
            return avatars.put(encode()).status_code

        with ThreadPoolExecutor(4) as pool:
            assert {*pool.map(upload, range(12))} == {200}
        assert avatars.list_files() == [avatars.read_column()]

    def test_a_concurrent_upload_and_delete_leave_only_the_file_in_the_row(self, make_avatars):
        avatars = make_avatars(on_disk=True)
        start = threading.Barrier(2)

        def upload():
            start.wait(20)
            return avatars.put(encode()).status_code

        def remove():
            start.wait(20)
            return avatars.delete().status_code

        with ThreadPoolExecutor(2) as pool:
            for _ in range(4):
                futures = [pool.submit(upload), pool.submit(remove)]
                assert [future.result() for future in futures] == [200, 204]
                assert avatars.list_files() == [name for name in [avatars.read_column()] if name]


def set_avatar(avatars, value):
    with avatars.host.app.app_context():
        avatars.host.db.session.get(avatars.host.User, 1).avatar = value
        avatars.host.db.session.commit()


class TestFailure:
    @pytest.fixture
    def avatars(self, avatars):
        avatars.upload(encode_solid())
        return avatars

    @pytest.fixture
    def before(self, avatars):
        return avatars.read_column()

    @pytest.mark.parametrize("moment", ["before_flush", "after_flush", "after_flush_postexec"])
    def test_a_failed_flush_changes_nothing(self, moment, avatars, before):
        with fail_at(avatars, moment):
            response = avatars.put(encode())
            assert (response.status_code, response.json) == (500, NOT_SAVED)
            assert avatars.delete().status_code == 500
        assert (avatars.list_files(), avatars.read_column()) == ([before], before)

    def test_a_failure_before_the_commit_keeps_the_old_avatar(self, avatars, before):
        with fail_at(avatars, "before_commit"):
            response = avatars.put(encode())
            assert (response.status_code, response.json) == (500, NOT_SAVED)
            assert avatars.delete().status_code == 500
        assert avatars.read_column() == before
        assert before in avatars.list_files()

    def test_a_failure_after_the_commit_keeps_the_new_avatar(self, avatars, before):
        with fail_at(avatars, "after_commit"):
            assert avatars.put(encode()).status_code == 500
        assert avatars.read_column() != before
        assert avatars.read_column() in avatars.list_files()

    def test_an_upload_for_a_user_deleted_in_the_meantime_leaves_no_file(self, avatars, before):
        def delete():
            with avatars.host.app.app_context():
                session = avatars.host.db.session
                session.delete(session.get(avatars.host.User, 1))
                session.commit()

        body = CountingBody(encode(), on_first_read=delete)
        headers = avatars.host.bearer()
        environ = {"wsgi.input": body, "CONTENT_LENGTH": str(len(encode()))}
        response = avatars.host.client.put(AVATAR_URL, headers=headers, environ_overrides=environ)
        assert (response.status_code, response.json) == (404, NOT_FOUND)
        assert avatars.list_files() == [before]

    @pytest.mark.parametrize("folder", ["file", "file/below"])
    def test_a_storage_folder_that_cannot_be_created_is_a_500(
        self, folder, make_avatars, tmp_path, caplog
    ):
        (tmp_path / "file").write_bytes(b"")
        avatars = make_avatars(PROFILE_MEDIA_STORAGE=tmp_path / folder)
        response = avatars.put(encode())
        assert (response.status_code, response.json) == (500, NOT_SAVED)
        assert avatars.read_column() == JOHN["avatar"]
        assert caplog.records[-1].exc_info
        assert avatars.delete().status_code == 204

    def test_a_full_disk_is_a_500(self, avatars, before):
        with limit_file_size(4096):
            response = avatars.put(images.encode_noise())
        assert (response.status_code, response.json) == (500, NOT_SAVED)
        assert (avatars.list_files(), avatars.read_column()) == ([before], before)
        assert avatars.put(images.encode_noise()).status_code == 200

    def test_a_file_that_cannot_be_deleted_is_logged(self, avatars, before, caplog):
        file = avatars.media / before
        file.unlink()
        file.mkdir()
        (file / "x").write_bytes(b"")
        assert avatars.put(encode()).status_code == 200
        assert [r for r in caplog.records if r.levelno == logging.ERROR and r.exc_info]
        assert avatars.read_column() in avatars.list_files()

    def test_a_file_that_is_already_missing_is_no_error_for_the_client(self, avatars, before):
        (avatars.media / before).unlink()
        assert avatars.put(encode()).status_code == 200
        assert avatars.list_files() == [avatars.read_column()]


@contextmanager
def fail_at(avatars, moment):
    def fail(*_):
        raise RuntimeError("broken on purpose")

    session = avatars.host.db.session
    event.listen(session, moment, fail)
    yield
    event.remove(session, moment, fail)


@contextmanager
def limit_file_size(limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestStorage:
    @pytest.mark.parametrize("path_type", [str, Path])
    def test_it_may_be_an_absolute_path(self, path_type, make_avatars, tmp_path):
        avatars = make_avatars(PROFILE_MEDIA_STORAGE=path_type(tmp_path / "not yet" / "there é"))
        avatars.media = tmp_path / "not yet" / "there é"
        assert avatars.upload(encode())

    @pytest.mark.parametrize(
        ("config", "folder"),
        [
            ({"PROFILE_MEDIA_STORAGE": None}, "media"),
            ({"PROFILE_MEDIA_STORAGE": "pictures/of/users"}, "pictures/of/users"),
            ({"PROFILE_MEDIA_STORAGE": Path("pictures")}, "pictures"),
        ],
    )
    def test_a_relative_path_is_below_the_instance_folder(self, config, folder, make_avatars):
        avatars = make_avatars(**config)
        avatars.media = Path(avatars.host.app.instance_path, folder)
        assert avatars.upload(encode())

    def test_it_may_be_in_memory(self, make_avatars):
        avatars = make_avatars(PROFILE_MEDIA_STORAGE="memory://")
        for _ in range(2):
            assert avatars.put(encode()).status_code == 200
            assert AVATAR_NAME.fullmatch(avatars.read_column())
        assert avatars.delete().status_code == 204
        assert not [*Path(avatars.host.app.instance_path).rglob("*.webp")]

    def test_it_may_be_a_file_url(self, make_avatars, tmp_path):
        folder = tmp_path / "by url"
        folder.mkdir()
        avatars = make_avatars(PROFILE_MEDIA_STORAGE=folder.as_uri())
        avatars.media = folder
        assert avatars.upload(encode())
        assert avatars.upload(encode_solid())

    @pytest.mark.parametrize(
        "value", ["ftp://example.com/x", "://", "nothing://x", "s3://", 1, b"media", ["media"], ""]
    )
    def test_an_invalid_value_is_rejected_when_the_blueprint_is_registered(self, value, host):
        with pytest.raises(ConfigurationError, match="PROFILE_MEDIA_STORAGE is "):
            host(PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=value)

    def test_the_folder_is_not_created_before_an_upload(self, avatars):
        assert avatars.get().status_code == 200
        assert not avatars.media.exists()


@pytest.fixture
def configure_s3(monkeypatch):
    """Return a function that configures an S3 server in the environment, as a host would."""

    def configure(url):
        config = {
            "ENDPOINT_URL": url,
            "ACCESS_KEY_ID": "key",
            "SECRET_ACCESS_KEY": "secret",
            "REGION": "us-east-1",
            "DEFAULT_REGION": "us-east-1",
            "ALLOW_HTTP": "true",
        }
        for key, value in config.items():
            monkeypatch.setenv(f"AWS_{key}", value)
        for key in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(key, raising=False)

    return configure


class TestS3:
    @pytest.fixture
    def bucket(self, configure_s3):
        reason = "the extra `hosts` has the S3 server"
        moto = pytest.importorskip("moto.server", reason=reason)
        boto3 = pytest.importorskip("boto3", reason=reason)
        server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        configure_s3(url)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="pictures")
        yield client
        client.close()
        urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()
        server.stop()

    @pytest.fixture
    def list_keys(self, bucket):
        def list_keys():
            entries = bucket.list_objects_v2(Bucket="pictures").get("Contents", [])
            return [entry["Key"] for entry in entries]

        return list_keys

    def test_what_no_row_names_is_pruned_in_batches(
        self, bucket, list_keys, make_avatars, monkeypatch
    ):
        monkeypatch.setattr("flask_profile.cli.pruning._BATCH", 2)
        avatars = make_avatars(PROFILE_MEDIA_STORAGE="s3://pictures/of/users")
        assert avatars.put(encode()).status_code == 200
        kept = f"of/users/{avatars.read_column()}"
        others = ["of/users/avatars/me.webp", f"avatars/{'0' * 32}.webp"]
        orphans = [f"avatars/{number:032x}.webp" for number in range(5)]
        for key in (*others, *(f"of/users/{name}" for name in orphans)):
            bucket.put_object(Bucket="pictures", Key=key, Body=b"x")

        def prune(*arguments):
            command = ["profile", "prune-avatars", *arguments]
            return sorted(avatars.host.app.test_cli_runner().invoke(args=command).stdout.split())

        assert prune("--delete") == []  # All are younger than a day.
        assert prune("--older-than", "0s") == orphans
        assert prune("--older-than", "0s", "--delete") == orphans
        assert sorted(list_keys()) == sorted([kept, *others])

    def test_the_storage_may_be_a_bucket(self, bucket, list_keys, make_avatars):
        avatars = make_avatars(PROFILE_MEDIA_STORAGE="s3://pictures/of/users")
        for _ in range(2):
            assert avatars.put(encode()).status_code == 200
            assert list_keys() == [f"of/users/{avatars.read_column()}"]
        stored = bucket.get_object(Bucket="pictures", Key=list_keys()[0])
        assert stored["ContentType"] == "image/webp"
        body = stored["Body"]
        assert read_corners(decode(body.read())) == [RED, GREEN, BLUE, WHITE]
        body.close()
        assert avatars.delete().status_code == 204
        assert list_keys() == []

    def test_a_missing_bucket_is_a_500(self, bucket, make_avatars):
        avatars = make_avatars(PROFILE_MEDIA_STORAGE="s3://nobodys")
        response = avatars.put(encode())
        assert (response.status_code, response.json) == (500, NOT_SAVED)
        assert avatars.read_column() == JOHN["avatar"]


def test_a_storage_that_never_responds_is_a_500_after_a_timeout(configure_s3, tmp_path):
    pytest.importorskip("moto", reason="the timeout is 10 s: it runs where the extra `hosts` is")
    db = SQLAlchemy()
    app = Flask("host", instance_path=str(tmp_path))
    user = make_user_model(db)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure_s3(f"http://127.0.0.1:{silent.getsockname()[1]}")
        app.config.update(
            SQLALCHEMY_DATABASE_URI="sqlite://",
            JWT_SECRET_KEY=SECRET,
            PROFILE_AVATARS=True,
            PROFILE_MEDIA_STORAGE="s3://pictures",
        )
        db.init_app(app)
        JWTManager(app)
        app.register_blueprint(ProfileBlueprint())
        with app.app_context():
            db.create_all()
            db.session.add(user(**JOHN))
            db.session.commit()
            headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        start = time.perf_counter()
        response = app.test_client().put(AVATAR_URL, data=encode(), headers=headers)
        assert time.perf_counter() - start < 25
        silent.setblocking(False)
        silent.accept()[0].close()  # This fails if nothing connected to the server.
    assert (response.status_code, response.json) == (500, NOT_SAVED)
    with app.app_context():
        assert db.session.get(user, 1).avatar == JOHN["avatar"]
        db.session.remove()
        db.engine.dispose()
