from __future__ import annotations

import io
import json
import logging
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import orjson
import pytest
from flask.json.provider import JSONProvider
from flask_jwt_extended import get_csrf_token
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from jwt import DecodeError
from marshmallow import (
    Schema,
    ValidationError,
    fields,
    post_dump,
    post_load,
    pre_load,
    validates,
    validates_schema,
)
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    event,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql import Update
from werkzeug.exceptions import NotFound
from werkzeug.serving import make_server

from conftest import JOHN, JOHN_AS_JSON, SECRET, make_user_model
from contract import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED, NOT_VALID
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema, profile_updated

URL = "/api/profile/"
PROFILE = json.loads(JOHN_AS_JSON)
PATCH_MEDIA_TYPES = ["application/json", "application/merge-patch+json"]
MANY_CLIENTS = 50

UNREADABLE = {"detail": "The body must be a JSON object that has each of its names once."}
CHANGED = {"detail": "The profile has changed since it was read."}
TOO_LARGE = {"detail": "The body of the request is too large."}
UNACCEPTABLE = {"detail": "The database does not accept these values."}
TAKEN = ["A user with this value already exists."]
READ_ONLY = ["Read-only field."]
UNKNOWN = ["Unknown field."]
NULL = ["Field may not be null."]
NOT_TEXT = ["Not a valid string."]
BAD_CHARACTER = ["Contains a character that cannot be stored."]
OUT_OF_RANGE = ["Number is out of range."]


def make_extended_model(db):
    """Define a model with each kind of column that a host may make writable."""

    class User(ProfileMixin, db.Model):
        password_hash: Mapped[str | None] = mapped_column(String(255))
        nickname: Mapped[str] = mapped_column(String(30), default="")
        small: Mapped[int | None] = mapped_column(SmallInteger)
        middle: Mapped[int | None] = mapped_column(Integer)
        large: Mapped[int | None] = mapped_column(BigInteger)

    return User


class ExtendedSchema(ProfileSchema):
    username = fields.String()
    email = fields.String()
    nickname = fields.String(allow_none=True)
    small = fields.Integer(allow_none=True)
    middle = fields.Integer()
    large = fields.Integer()


def make_structured_model(db):
    """Define a model with a JSON column and an array column."""

    class User(ProfileMixin, db.Model):
        settings = mapped_column(JSON(none_as_null=True))
        tags = mapped_column(
            JSON(none_as_null=True).with_variant(postgresql.ARRAY(String(9)), "postgresql")
        )

    return User


class StructuredSchema(ProfileSchema):
    settings = fields.Raw()
    tags = fields.List(fields.String())


class WritableSchema(ProfileSchema):
    username = fields.String()
    email = fields.String()


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
    if database == "sqlite://":
        config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///busy.db"
    return lambda **options: editable_host(**config | options)


def patch(host, body=None, identity="1", headers=(), **options):
    """Send a PATCH request for a user; ``data`` sends raw bytes instead of a JSON body."""
    if "data" not in options:
        options["data"] = json.dumps(body)
    options = {"content_type": "application/json"} | options
    return host.client.patch(URL, headers={**host.bearer(identity), **dict(headers)}, **options)


def parse(response):
    """Return the status and the JSON body of a response."""
    return response.status_code, response.json


def read_users(host, column=None):
    """Return all users in the database as dicts, or only the values of one column."""
    with host.app.app_context():
        table = host.User.__table__
        rows = host.db.session.execute(select(table).order_by(table.c.id)).mappings().all()
    return [row[column] for row in rows] if column else [dict(row) for row in rows]


def find_written_columns(statements):
    """Return the columns that each UPDATE sets.

    An UPDATE that sets only ``id`` is left out: it takes the write lock of SQLite.
    """
    updates = [s for s in statements if s.startswith("UPDATE") and "SET id=" not in s]
    assigned = [re.search(r" SET (.*) WHERE ", statement)[1] for statement in updates]
    return [[part.split("=")[0].strip() for part in columns.split(",")] for columns in assigned]


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
            assert host.post().json == PROFILE | {"first_name": text}
            assert read_users(host, "first_name") == [text]


class TestIfMatch:
    @pytest.fixture(params=[["GET", "PATCH"], ["PATCH"]], ids=["with GET", "without GET"])
    def conditional_host(self, request, editable_host):
        return editable_host(PROFILE_METHODS=request.param)

    @pytest.mark.parametrize("condition", ["{}", '"x", {}', '{}, "x"', "*", None])
    def test_a_condition_that_is_true_allows_the_change(self, condition, conditional_host):
        etag = patch(conditional_host, {}).headers["ETag"]
        headers = {"If-Match": condition.format(etag)} if condition else {}
        response = patch(conditional_host, {"first_name": "Jack"}, headers=headers)
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")
        assert response.headers["ETag"] != etag

    def test_a_condition_that_is_false_changes_nothing(self, conditional_host):
        etag = patch(conditional_host, {}).headers["ETag"]
        before = read_users(conditional_host)
        weak = [f"W/{etag}", f'W/"x", W/{etag}']
        for condition in ('"x"', *weak, '"*"', "x", "W/", '"', ",", "", ";", '"x', "\xff"):
            with conditional_host.statements() as statements:
                response = patch(
                    conditional_host, {"first_name": "Jack"}, headers={"If-Match": condition}
                )
            assert (condition, *parse(response)) == (condition, 412, CHANGED)
            assert find_written_columns(statements) == []
        assert read_users(conditional_host) == before

    def test_an_etag_is_stale_after_another_change(self, conditional_host):
        etag = patch(conditional_host, {}).headers["ETag"]
        patch(conditional_host, {"last_name": "Roe"})
        response = patch(conditional_host, {"first_name": "Jack"}, headers={"If-Match": etag})
        assert parse(response) == (412, CHANGED)
        assert read_users(conditional_host, "first_name") == ["John"]
        assert "ETag" not in response.headers

    def test_an_empty_patch_is_conditional_too(self, conditional_host):
        assert parse(patch(conditional_host, {}, headers={"If-Match": '"x"'})) == (412, CHANGED)

    def test_an_invalid_body_is_a_400_even_if_the_condition_is_false(self, conditional_host):
        response = patch(conditional_host, {"is_staff": True}, headers={"If-Match": '"x"'})
        assert parse(response) == (400, {"is_staff": READ_ONLY})

    def test_a_change_between_reading_and_writing_is_detected(self, editable_host):
        host = editable_host(PROFILE_SCHEMA=make_interrupted_schema(lambda: host, first_name="Jim"))
        etag = host.client.get(URL, headers=host.bearer()).headers["ETag"]
        response = patch(host, {"last_name": "Roe"}, headers={"If-Match": etag})
        assert parse(response) == (412, CHANGED)
        assert (read_users(host, "first_name"), read_users(host, "last_name")) == (["Jim"], ["Doe"])


def make_interrupted_schema(get_host, **values):
    """Define a schema that, while loading, writes to the same row on another connection."""

    class Interrupted(ProfileSchema):
        @post_load
        def interrupt(self, data, **_options):
            host = get_host()
            with host.db.engine.begin() as connection:
                connection.execute(update(host.User.__table__).values(values))
            return data

    return Interrupted


class TestMediaType:
    @pytest.mark.parametrize("required", [False, True])
    def test_json_and_merge_patch_are_accepted(self, required, editable_host):
        host = editable_host(PROFILE_REQUIRE_JSON=required)
        for name in (
            *PATCH_MEDIA_TYPES,
            *(f"{media_type}; charset=utf-8" for media_type in PATCH_MEDIA_TYPES),
        ):
            response = patch(host, {"first_name": name}, content_type=name)
            assert (response.status_code, response.json["first_name"]) == (200, name)

    @pytest.mark.parametrize("required", [False, True])
    def test_any_other_media_type_is_a_415_that_names_the_accepted_ones(
        self, required, editable_host
    ):
        host = editable_host(PROFILE_REQUIRE_JSON=required)
        for media_type in (
            None,
            "text/plain",
            "application/json-patch+json",
            "application/xml; charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "nonsense",
        ):
            response = patch(host, {"first_name": "Jack"}, content_type=media_type)
            detail = f'Unsupported media type "{media_type or ""}" in request.'
            assert parse(response) == (415, {"detail": detail})
            assert response.headers["Accept-Patch"] == ", ".join(PATCH_MEDIA_TYPES)
        assert read_users(host, "first_name") == ["John"]

    def test_options_names_the_accepted_media_types(self, editable_host):
        response = editable_host().client.options(URL)
        assert response.headers["Accept-Patch"] == ", ".join(PATCH_MEDIA_TYPES)
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH, POST"

    def test_without_patch_no_response_names_media_types(self, host):
        host_app = host(PROFILE_REQUIRE_JSON=True).add()
        assert "Accept-Patch" not in host_app.client.options(URL).headers
        assert host_app.post().status_code == 415
        assert "Accept-Patch" not in host_app.post().headers


INVALID_BODIES = [
    b"",
    b"{",
    b"first_name=Jack",
    b"[]",
    b'[{"first_name": "Jack"}]',
    b"null",
    b"true",
    b"1",
    b'"first_name"',
    b'{"first_name": "Jack",}',
    b"{'first_name': 'Jack'}",
    b'{"first_name": "Jack"} {}',
    b'{"first_name": "Jack", "first_name": "Jim"}',
    b'{"first_name": "Jack", "first_n\\u0061me": "Jim"}',
    b'{"first_name": {"a": 1, "a": 2}}',
    b'{"first_name": [{"a": 1, "a": 1}]}',
    b'{"first_name": NaN}',
    b'{"first_name": -Infinity}',
    b'{"first_name": "\xff"}',
    b'{"first_name": "\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"first_name": "Jack"}',
    '{"first_name": "Jack"}'.encode("utf-16"),
    '{"first_name": "Jack"}'.encode("utf-16-le"),
    '{"first_name": "Jack"}'.encode("utf-32"),
    b"[" * 100_000,
    b'{"first_name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"first_name": ' + b"9" * 100_000 + b"}",
]


class TestBody:
    def test_a_body_that_is_not_an_unambiguous_json_object_is_rejected(self, editable_host):
        host = editable_host()
        for body in INVALID_BODIES:
            case = body[:45]
            assert (case, *parse(patch(host, data=body))) == (case, 400, UNREADABLE)
        assert host.post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize(
        ("limit", "status", "expected"),
        [
            (None, 400, {"first_name": ["Longer than maximum length 200."]}),
            (1024, 413, TOO_LARGE),
        ],
    )
    def test_a_body_of_ten_megabytes_is_rejected(self, limit, status, expected, editable_host):
        host = editable_host(MAX_CONTENT_LENGTH=limit)
        response = patch(host, {"first_name": "x" * 10_000_000})
        assert parse(response) == (status, expected)
        assert read_users(host, "first_name") == ["John"]

    @pytest.mark.parametrize(("limit", "status"), [(None, 200), (22, 200), (21, 413)])
    def test_a_body_of_unknown_length_is_limited(self, limit, status, editable_host):
        host = editable_host(MAX_CONTENT_LENGTH=limit)
        response = host.client.patch(
            URL,
            headers=host.bearer(),
            content_type="application/json",
            input_stream=io.BytesIO(b'{"first_name": "Jack"}'),
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert response.status_code == status
        assert read_users(host, "first_name") == ["Jack" if status == 200 else "John"]

    def test_a_body_shorter_than_its_content_length_is_a_400_and_changes_nothing(
        self, concurrent_host, caplog
    ):
        host = concurrent_host()
        with serve(host) as (connect, _), connect() as client:
            client.sendall(build_unfinished_request(host))
            client.shutdown(socket.SHUT_WR)
            response = b"".join(iter(lambda: client.recv(4096), b""))
        assert response.startswith(b"HTTP/1.1 400 ")
        assert json.loads(response.partition(b"\r\n\r\n")[2]) == UNREADABLE
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert read_users(host, "first_name") == ["John"]

    def test_a_connection_reset_is_not_logged_as_an_error(self, concurrent_host, caplog):
        host = concurrent_host()
        with serve(host) as (connect, done):
            with connect() as client:
                client.sendall(build_unfinished_request(host))
                reset_on_close = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
            assert done.wait(30)
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert read_users(host, "first_name") == ["John"]


@contextmanager
def serve(host):
    """Serve a host on a socket.

    Yield a function that connects to it, and an event that is set when a request ends.
    """
    done = threading.Event()
    host.app.teardown_request(lambda _error: done.set())
    server = make_server("127.0.0.1", 0, host.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield lambda: socket.create_connection(server.server_address, timeout=30), done
    server.shutdown()
    thread.join()
    server.server_close()


def build_unfinished_request(host):
    """Return a request whose body is shorter than its Content-Length."""
    head = [
        f"PATCH {URL} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {host.token()}",
        "Content-Type: application/json",
        "Content-Length: 1000",
    ]
    return "\r\n".join([*head, "", '{"first_name": "Jack"']).encode()


INVALID_VALUES = [
    ({"first_name": None}, {"first_name": NULL}),
    ({"first_name": 1}, {"first_name": NOT_TEXT}),
    ({"first_name": True}, {"first_name": NOT_TEXT}),
    ({"first_name": ["Jack"]}, {"first_name": NOT_TEXT}),
    ({"first_name": {"first_name": "Jack"}}, {"first_name": NOT_TEXT}),
    ({"number_phone": 1234567890}, {"number_phone": NOT_TEXT}),
    ({"nickname": "J"}, {"nickname": UNKNOWN}),
    ({"": "J"}, {"": UNKNOWN}),
    ({"First_name": "J"}, {"First_name": UNKNOWN}),
    ({"__class__": "J"}, {"__class__": UNKNOWN}),
    ({"password_hash": "x"}, {"password_hash": UNKNOWN}),
    ({"first_name": "a\0b"}, {"first_name": BAD_CHARACTER}),
    ({"first_name": "\ud800"}, {"first_name": BAD_CHARACTER}),
    ({"last_name": "a\udfff"}, {"last_name": BAD_CHARACTER}),
    ({"\ud800": "a"}, {"\ud800": UNKNOWN}),
    ({"\0": {"\udfff": "\ud800"}}, {"\0": UNKNOWN}),
    (
        {"first_name": None, "id": 2, "x": 1},
        {"first_name": NULL, "id": READ_ONLY, "x": UNKNOWN},
    ),
]


class TestValues:
    @pytest.mark.parametrize("escaping", [True, False])
    def test_a_value_that_the_schema_rejects_changes_nothing(self, escaping, editable_host):
        host = editable_host()
        host.app.json.ensure_ascii = escaping
        for body, messages in INVALID_VALUES:
            response = patch(host, {"last_name": "Roe"} | body)
            assert (body, *parse(response)) == (body, 400, messages)
            assert response.headers["Cache-Control"] == "no-store"
        assert host.post().json == PROFILE

    def test_no_surrogate_is_passed_to_the_json_provider(self, editable_host):
        class Orjson(JSONProvider):
            def dumps(self, obj, **kwargs):
                return orjson.dumps(obj).decode()

            def loads(self, s, **kwargs):
                return orjson.loads(s)

        host = editable_host()
        host.app.json = Orjson(host.app)
        for key in ("\ud800", "\0", "first_name"):
            assert patch(host, {key: "\ud800"}).status_code == 400
        assert patch(host, {"first_name": "ä😀"}).json["first_name"] == "ä😀"

    def test_a_read_only_field_is_rejected_with_any_value(self, editable_host):
        host = editable_host()
        before = read_users(host)
        read_only_fields = [name for name in PROFILE if name not in ProfileSchema().load_fields]
        assert len(read_only_fields) == 9
        for field in read_only_fields:
            for value in (PROFILE[field], not PROFILE[field], None):
                response = patch(host, {"first_name": "Jack", field: value})
                assert parse(response) == (400, {field: READ_ONLY})
        assert read_users(host) == before

    @pytest.mark.parametrize(
        ("field", "limit"),
        [("first_name", 200), ("number_phone", 10), ("username", 150), ("nickname", 30)],
    )
    def test_text_may_have_as_many_characters_as_its_column_allows(
        self, field, limit, editable_host
    ):
        host = editable_host(model=make_extended_model, PROFILE_SCHEMA=ExtendedSchema)
        for character in "xä😀":
            longest = character * limit
            assert patch(host, {field: longest}).json[field] == longest
            assert host.post().json[field] == longest
            response = patch(host, {field: longest + character})
            assert parse(response) == (400, {field: [f"Longer than maximum length {limit}."]})
            assert read_users(host, field) == [longest]

    @pytest.mark.parametrize(("field", "bits"), [("small", 15), ("middle", 31), ("large", 63)])
    def test_an_integer_may_be_as_large_as_its_column_allows(
        self, field, bits, database, editable_host
    ):
        host = editable_host(model=make_extended_model, PROFILE_SCHEMA=ExtendedSchema)
        limit = 2 ** (63 if database.startswith("sqlite") else bits)
        for value in (limit - 1, -limit, 0):
            assert patch(host, {field: value}).json[field] == value
        for value in (limit, -limit - 1, 10**1000):
            assert parse(patch(host, {field: value})) == (400, {field: OUT_OF_RANGE})
        assert patch(host, data=f'{{"{field}": 1e400}}').status_code == 400
        assert read_users(host, field) == [0]

    def test_an_infinite_number_is_rejected_at_any_depth(self, editable_host):
        host = editable_host(model=make_structured_model, PROFILE_SCHEMA=StructuredSchema)
        for value in ("1e400", "[1, -1e400]", '{"a": {"b": 1e400}}'):
            response = patch(host, data=f'{{"settings": {value}}}')
            assert (value, response.status_code) == (value, 400)
        assert read_users(host, "settings") == [None]

    def test_a_character_that_cannot_be_stored_is_rejected_at_any_depth(self, editable_host):
        host = editable_host(model=make_structured_model, PROFILE_SCHEMA=StructuredSchema)
        for text in ("\0", "\ud800"):
            for body in ({"tags": [text]}, {"settings": {"a": [text]}}, {"settings": {text: 1}}):
                assert (body, patch(host, body).status_code) == (body, 400)
        assert (read_users(host, "tags"), read_users(host, "settings")) == ([None], [None])
        body = {"tags": ["a", "😀"], "settings": {"a": [1.5, None]}}
        assert patch(host, body).json == PROFILE | body

    def test_null_is_rejected_if_the_column_is_not_nullable(self, editable_host):
        host = editable_host(
            model=make_extended_model, PROFILE_SCHEMA=ExtendedSchema, values={"small": 1}
        )
        assert parse(patch(host, {"nickname": None})) == (400, {"nickname": NULL})
        assert patch(host, {"small": None}).json["small"] is None

    def test_a_field_may_have_a_different_name_from_its_column(self, editable_host):
        class Renamed(Schema):
            username = fields.String(dump_only=True, data_key="login")
            given_name = fields.String(attribute="first_name", data_key="givenName")

        host = editable_host(PROFILE_SCHEMA=Renamed)
        assert patch(host, {"givenName": "Jack"}).json["givenName"] == "Jack"
        messages = {"login": READ_ONLY, "username": UNKNOWN, "givenName": NULL}
        response = patch(host, {"login": "a", "username": "a", "givenName": None})
        assert parse(response) == (400, messages)
        assert read_users(host, "first_name") == ["Jack"]


class TestSchema:
    @pytest.mark.parametrize(
        ("hook", "name"),
        [
            (pre_load, "_schema"),
            (post_load, "_schema"),
            (validates("first_name"), "first_name"),
            (validates_schema, "_schema"),
        ],
    )
    def test_a_validation_error_of_the_host_is_a_400(self, hook, name, editable_host):
        class Refusing(ProfileSchema):
            @hook
            def refuse(self, data, **_options):
                raise ValidationError("not today")

        host = editable_host(PROFILE_SCHEMA=Refusing)
        assert parse(patch(host, {"first_name": "Jack"})) == (400, {name: ["not today"]})
        assert read_users(host, "first_name") == ["John"]

    @pytest.mark.parametrize("error", [DecodeError, NotFound, KeyError])
    @pytest.mark.parametrize("hook", [pre_load, post_load, validates("first_name")])
    def test_any_other_exception_is_a_500(self, hook, error, editable_host, caplog):
        class Raising(ProfileSchema):
            @hook
            def fail(self, data, **_options):
                raise error("from the schema")

        host = editable_host(PROFILE_SCHEMA=Raising)
        assert parse(patch(host, {"first_name": "Jack"})) == (500, FAILED)
        assert [record.exc_info[0] for record in caplog.records] == [error]
        assert read_users(host, "first_name") == ["John"]

    def test_a_failure_to_dump_the_new_value_changes_nothing(self, editable_host):
        class Choosy(ProfileSchema):
            @post_dump
            def choose(self, data, **_options):
                return data | {"index": ["John"].index(data["first_name"])}

        host = editable_host(PROFILE_SCHEMA=Choosy)
        assert parse(patch(host, {"first_name": "Jack"})) == (500, FAILED)
        assert host.post().json == PROFILE | {"index": 0}

    def test_the_value_that_it_loads_is_stored(self, editable_host):
        class Lower(WritableSchema):
            @post_load
            def lower(self, data, **_options):
                return {name: value.lower() for name, value in data.items()}

        host = editable_host(PROFILE_SCHEMA=Lower)
        assert patch(host, {"email": "Jack@Example.com"}).json["email"] == "jack@example.com"
        assert read_users(host, "email") == ["jack@example.com"]

    def test_its_required_fields_and_load_defaults_do_not_apply_to_a_patch(self, editable_host):
        class Strict(ProfileSchema):
            first_name = fields.String(required=True)
            last_name = fields.String(load_default="Nobody")

        host = editable_host(PROFILE_SCHEMA=Strict)
        assert patch(host, {"number_phone": "1"}).json == PROFILE | {"number_phone": "1"}

    def test_its_unknown_option_does_not_apply_to_a_patch(self, editable_host):
        class Lenient(ProfileSchema):
            class Meta:
                unknown = "exclude"

        host = editable_host(PROFILE_SCHEMA=Lenient)
        assert parse(patch(host, {"is_staf": True})) == (400, {"is_staf": UNKNOWN})

    def test_a_field_that_the_model_lacks_is_a_configuration_error(self, editable_host):
        class Lacking(ProfileSchema):
            shoe_size = fields.Integer(load_only=True)

        host = editable_host(PROFILE_SCHEMA=Lacking, TESTING=True)
        message = r"(?s)Lacking loads 'shoe_size'.*User lacks.*shoe_size = …\(dump_only=True\)"
        with pytest.raises(ConfigurationError, match=message):
            patch(host, {"first_name": "Jack", "shoe_size": 42})
        host.app.testing = False
        assert parse(patch(host, {"first_name": "Jack", "shoe_size": 42})) == (500, FAILED)
        assert read_users(host, "first_name") == ["John"]

    def test_a_write_only_property_may_be_set(self, editable_host):
        def model(db):
            user = make_user_model(db)

            def store(self, password):
                self.password_hash = f"hash of {password}"

            user.password = property(None, store)
            return user

        class Password(ProfileSchema):
            password = fields.String(load_only=True)

        host = editable_host(model=model, PROFILE_SCHEMA=Password)
        with host.statements() as statements:
            response = patch(host, {"password": "secret", "first_name": "Jack"})
        assert (response.status_code, response.json) == (200, PROFILE | {"first_name": "Jack"})
        assert read_users(host, "password_hash") == ["hash of secret"]
        assert [s for s in statements if "password_hash" in s and "SELECT" in s] == []
        assert patch(host, {"password": "new"}).status_code == 200
        assert read_users(host, "password_hash") == ["hash of new"]

    def test_the_schema_of_the_host_is_not_modified(self, editable_host):
        host = editable_host(PROFILE_SCHEMA=ExtendedSchema, model=make_extended_model)
        patch(host, {"nickname": None})
        assert ExtendedSchema().fields["nickname"].allow_none
        assert ExtendedSchema().load({"nickname": "x" * 31, "small": None, "first_name": "\0"})


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
        assert response.json == PROFILE | changes
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


class TestUnique:
    @pytest.fixture
    def host_with_two_users(self, editable_host):
        """Return a factory of hosts with two users, John and Ann."""

        def make(**config):
            host = editable_host(**{"PROFILE_SCHEMA": WritableSchema} | config)
            return host.add(id=2, username="ann", email="ann@example.com")

        return make

    @pytest.mark.parametrize(
        ("body", "taken_fields"),
        [
            ({"username": "ann"}, ["username"]),
            ({"email": "ann@example.com", "first_name": "Jack"}, ["email"]),
            ({"username": "ann", "email": "ann@example.com"}, ["username", "email"]),
            ({"username": "ann", "email": "new@example.com"}, ["username"]),
        ],
    )
    def test_a_taken_value_is_rejected(self, body, taken_fields, host_with_two_users):
        host = host_with_two_users()
        before = read_users(host)
        assert parse(patch(host, body)) == (400, dict.fromkeys(taken_fields, TAKEN))
        assert read_users(host) == before

    def test_the_users_own_value_is_not_taken(self, host_with_two_users):
        host = host_with_two_users()
        body = {"username": "john_doe", "email": "jack@example.com"}
        assert patch(host, body).json == PROFILE | body

    def test_a_value_that_another_user_gave_up_is_free(self, host_with_two_users):
        host = host_with_two_users()
        assert patch(host, {"username": "eve"}, "2").status_code == 200
        assert patch(host, {"username": "ann"}).json["username"] == "ann"

    def test_the_message_uses_the_data_key_of_the_field(self, host_with_two_users):
        def model(db):
            class User(ProfileMixin, db.Model):
                handle: Mapped[str | None] = mapped_column("handle_of", String(9), unique=True)

            return User

        class Login(ProfileSchema):
            username = fields.String(data_key="loginName")
            nickname = fields.String(attribute="handle", data_key="nick")

        host = host_with_two_users(model=model, PROFILE_SCHEMA=Login)
        assert patch(host, {"nick": "neo"}, "2").json["nick"] == "neo"
        for body in ({"loginName": "ann"}, {"nick": "neo"}, {"nick": "neo", "loginName": "ann"}):
            response = patch(host, body | {"first_name": "Jack"})
            assert parse(response) == (400, dict.fromkeys(body, TAKEN))
        assert read_users(host, "first_name") == ["John", "John"]

    @pytest.mark.parametrize(
        ("body", "taken_fields"),
        [
            ({"first_name": "Ann"}, ["first_name"]),
            ({"first_name": "Ann", "last_name": "Doe"}, ["first_name", "last_name"]),
        ],
    )
    def test_a_unique_constraint_may_span_several_columns(self, body, taken_fields, editable_host):
        def model(db):
            class User(ProfileMixin, db.Model):
                __table_args__ = (
                    UniqueConstraint("first_name", "last_name"),
                    Index("ix_phone", "number_phone"),
                )

            return User

        host = editable_host(model=model).add(id=2, username="a", email="a", first_name="Ann")
        assert parse(patch(host, body)) == (400, dict.fromkeys(taken_fields, TAKEN))
        distinct = {"first_name": "Ann", "last_name": "Roe"}
        assert patch(host, distinct).json == PROFILE | distinct

    def test_a_unique_index_may_be_on_an_expression(self, host_with_two_users):
        def model(db):
            class User(ProfileMixin, db.Model):
                pass

            index = Index("ix_email", func.lower(User.email), unique=True)
            # MariaDB has no indexes on expressions, but its collation treats both texts as equal.
            index.ddl_if(callable_=lambda *_, dialect, **__: dialect.name != "mysql")
            return User

        host = host_with_two_users(model=model)
        assert parse(patch(host, {"email": "ANN@example.com"})) == (400, {"email": TAKEN})
        assert patch(host, {"email": "JOHN@example.com"}).json["email"] == "JOHN@example.com"

    def test_a_foreign_key_violation_is_a_400_without_field_names(self, host):
        def model(db):
            class Team(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)

            class User(ProfileMixin, db.Model):
                team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))

            return User

        class Member(ProfileSchema):
            team_id = fields.Integer()

        host_app = host(model=model, PROFILE_METHODS="PATCH", PROFILE_SCHEMA=Member)

        def enforce(connection, _record):
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()

        with host_app.app.app_context():
            if host_app.db.engine.dialect.name == "sqlite":
                event.listen(host_app.db.engine, "connect", enforce)
        host_app.add()
        body = {"first_name": "Jack", "team_id": 7}
        assert parse(patch(host_app, body)) == (400, UNACCEPTABLE)
        assert (read_users(host_app, "first_name"), read_users(host_app, "team_id")) == (
            ["John"],
            [None],
        )

    def test_a_check_constraint_violation_is_a_400_without_field_names(self, editable_host):
        def model(db):
            class User(ProfileMixin, db.Model):
                age: Mapped[int | None] = mapped_column(CheckConstraint("age > 0"))

            return User

        class Aged(ProfileSchema):
            age = fields.Integer()

        host = editable_host(model=model, PROFILE_SCHEMA=Aged)
        assert parse(patch(host, {"first_name": "Jack", "age": 0})) == (400, UNACCEPTABLE)
        assert patch(host, {"age": 1}).json == PROFILE | {"age": 1}


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
        assert host.post().json == PROFILE | bodies[0] | bodies[1]

    @pytest.mark.parametrize("failures", [1, 2])
    def test_a_deadlock_is_retried(self, failures, editable_host, caplog):
        host, failed = editable_host(), []

        def fail(_connection, _cursor, statement, *_):
            if "SET first_name" in statement and len(failed) < failures:
                failed.append(statement)
                raise OperationalError(statement, {}, Exception("deadlock detected"))

        with listen_to_engine(host, "before_cursor_execute", fail):
            response = patch(host, {"first_name": "Jack"})
        assert (response.status_code, len(failed)) == (200, failures)
        assert read_users(host, "first_name") == ["Jack"]
        assert caplog.records == []

    @pytest.mark.parametrize(("in_host_transaction", "attempts"), [(False, 3), (True, 1)])
    def test_a_persistent_deadlock_is_a_500_and_a_transaction_of_the_host_is_not_retried(
        self, in_host_transaction, attempts, editable_host
    ):
        host, failed = editable_host(), []

        @host.app.before_request
        def begin():
            if in_host_transaction:
                host.db.session.execute(select(host.User.id))

        def fail(_connection, _cursor, statement, *_):
            if "SET first_name" in statement:
                failed.append(statement)
                raise OperationalError(statement, {}, Exception("deadlock detected"))

        with listen_to_engine(host, "before_cursor_execute", fail):
            assert parse(patch(host, {"first_name": "Jack"})) == (500, FAILED)
        assert len(failed) == attempts
        assert read_users(host, "first_name") == ["John"]

    def test_a_dead_connection_in_the_pool_does_not_fail_a_request(self, concurrent_host):
        host = concurrent_host()
        for name in ("Jack", "Jim"):
            with host.app.app_context():
                pooled = host.db.engine.raw_connection()
                driver = pooled.driver_connection
                pooled.close()
                driver.close()
            assert patch(host, {"first_name": name}).json["first_name"] == name


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
            assert parse(patch(host, {"first_name": "Jack"})) == (500, FAILED)
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
            assert parse(patch(host, {"first_name": "Jack"})) == (500, FAILED)
            other.execute("COMMIT")
            other.execute("UPDATE user SET last_name = 'Roe'")
        assert host.post().json == PROFILE | {"last_name": "Roe"}

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

        assert patch(host, {"first_name": "Jack"}).json == PROFILE | {"first_name": "Jack"}
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


class TestUser:
    def test_the_identity_field_may_be_changed(self, editable_host):
        host = editable_host(PROFILE_IDENTITY_FIELD="username", PROFILE_SCHEMA=WritableSchema)
        response = patch(host, {"username": "jack"}, "john_doe")
        assert (response.status_code, response.json) == (200, PROFILE | {"username": "jack"})
        assert host.post("jack").data == response.data
        assert host.post("john_doe").json == NOT_FOUND
        host.add(id=2, username="ann", email="ann@example.com")
        assert parse(patch(host, {"username": "ann"}, "jack")) == (400, {"username": TAKEN})

    def test_the_primary_key_may_be_a_uuid(self, editable_host):
        user_id = uuid.UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")

        def model(db):
            class User(ProfileMixin, db.Model):
                id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)

            return User

        host = editable_host(model=model, values={"id": user_id}, PROFILE_SCHEMA=WritableSchema)
        host.add(id=uuid.UUID(int=1), username="ann", email="ann@example.com")
        assert patch(host, {"first_name": "Jack"}, str(user_id)).json == (
            PROFILE | {"id": str(user_id), "first_name": "Jack"}
        )
        assert parse(patch(host, {"username": "ann"}, str(user_id))) == (400, {"username": TAKEN})

    def test_a_model_may_span_two_tables(self, editable_host):
        db = SQLAlchemy()

        class Person(ProfileMixin, db.Model):
            kind: Mapped[str] = mapped_column(String(9))
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

        class Member(Person):
            id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
            nickname: Mapped[str | None] = mapped_column(String(9), unique=True)
            __mapper_args__ = {"polymorphic_identity": "member"}

        class Nicknamed(WritableSchema):
            nickname = fields.String(allow_none=True)

        host = editable_host(
            db=db, model=lambda _db: Member, PROFILE_USER_MODEL=Member, PROFILE_SCHEMA=Nicknamed
        )
        host.add(id=2, username="ann", email="ann@example.com", nickname="Annie")
        changes = {"first_name": "Jack", "nickname": "Jackie"}
        assert patch(host, changes).json == PROFILE | changes
        assert host.post().json == PROFILE | changes
        for taken in ({"username": "ann"}, {"nickname": "Annie"}):
            messages = dict.fromkeys(taken, TAKEN)
            assert parse(patch(host, taken | {"last_name": "Roe"})) == (400, messages)
        too_long = {"nickname": ["Longer than maximum length 9."]}
        assert parse(patch(host, {"nickname": "x" * 10})) == (400, too_long)
        assert host.post().json == PROFILE | changes

    def test_its_relationships_are_read_only(self, editable_host):
        class TeamSchema(Schema):
            id = fields.Integer()
            name = fields.String()

        class Member(WritableSchema):
            team = fields.Nested(TeamSchema)
            teams = fields.List(fields.Nested(TeamSchema), data_key="allTeams")
            team_id = fields.Integer(allow_none=True)

        def model(db):
            class Team(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)
                name: Mapped[str] = mapped_column(String(9))

            class User(ProfileMixin, db.Model):
                team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))
                team = relationship(Team)
                teams = relationship(
                    Team,
                    secondary=lambda: membership,
                    order_by=Team.id,
                )

            membership = Table(
                "membership",
                db.metadata,
                *(db.Column("user_id", ForeignKey(User.id)), db.Column("of", ForeignKey(Team.id))),
            )
            User.Team = Team
            return User

        host = editable_host(model=model, PROFILE_SCHEMA=Member)
        with host.app.app_context():
            teams = [host.User.Team(id=n, name=f"team {n}") for n in (1, 2)]
            host.db.session.add_all(teams)
            host.db.session.get(host.User, 1).teams = teams
            host.db.session.commit()
        as_json = [{"id": 1, "name": "team 1"}, {"id": 2, "name": "team 2"}]
        expected = PROFILE | {"team": as_json[1], "team_id": 2, "allTeams": as_json}
        for body in ({"team_id": 2}, {}, {"team_id": 2}):
            assert patch(host, body).json == expected
            assert host.post().json == expected
        body = {"team": {"id": 1}, "allTeams": [], "teams": []}
        messages = {"team": READ_ONLY, "allTeams": READ_ONLY, "teams": UNKNOWN}
        assert parse(patch(host, body)) == (400, messages)
        assert patch(host, {"team_id": None}).json == expected | {"team": None, "team_id": None}

    @pytest.mark.parametrize(
        ("identity", "status", "expected"), [("2", 401, INACTIVE), ("3", 404, NOT_FOUND)]
    )
    @pytest.mark.parametrize("body", [{"data": b"{"}, {"content_type": "text/plain"}])
    def test_an_inactive_or_missing_user_is_rejected_before_the_body_is_read(
        self, body, identity, status, expected, editable_host
    ):
        host = editable_host().add(id=2, username="ann", email="ann@example.com", is_active=False)
        assert parse(patch(host, identity=identity, **body)) == (status, expected)

    def test_its_token_may_be_in_the_body(self, editable_host):
        host = editable_host(JWT_TOKEN_LOCATION=["json"])
        body = {"first_name": "Jack", "access_token": host.token()}
        response = host.client.patch(URL, json=body)
        assert (response.status_code, response.json) == (200, PROFILE | {"first_name": "Jack"})

    def test_its_token_may_be_in_a_cookie(self, editable_host):
        host = editable_host(JWT_TOKEN_LOCATION=["cookies"], PROFILE_METHODS=["PATCH"])
        token = host.token()
        with host.app.app_context():
            csrf = get_csrf_token(token)
        headers = {"Cookie": f"access_token_cookie={token}"}
        body = {"first_name": "Jack"}
        response = host.client.patch(URL, headers=headers, json=body)
        assert parse(response) == (401, NOT_VALID)
        headers["X-CSRF-TOKEN"] = csrf
        assert host.client.patch(URL, headers=headers, json=body).json == PROFILE | body

    @pytest.mark.parametrize(
        ("headers", "expected"), [({}, NOT_PROVIDED), ({"Authorization": "Bearer x"}, NOT_VALID)]
    )
    @pytest.mark.parametrize("body", [{"data": b"{"}, {"json": {"first_name": "Jack"}}])
    def test_an_invalid_token_is_rejected_before_the_body_is_read(
        self, body, headers, expected, editable_host
    ):
        host = editable_host()
        response = host.client.patch(URL, headers=headers, **body)
        assert parse(response) == (401, expected)
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="api"')
        assert read_users(host, "first_name") == ["John"]

    def test_a_user_deleted_in_the_meantime_is_a_404(self, editable_host):
        class Deleting(ProfileSchema):
            @post_load
            def delete(self, data, **_options):
                with host.db.engine.begin() as connection:
                    connection.execute(host.User.__table__.delete())
                return data

        host = editable_host(PROFILE_SCHEMA=Deleting)
        assert parse(patch(host, {"first_name": "Jack"})) == (404, NOT_FOUND)


class TestUserLookupLoader:
    @pytest.fixture
    def loader_host(self, editable_host):
        """Return a factory of hosts with a user lookup loader, which is called with the host."""

        def make(load, **config):
            host = editable_host(PROFILE_SCHEMA=WritableSchema, **config)
            host.jwt.user_lookup_loader(lambda _header, payload: load(host, payload["sub"]))
            return host.add(id=2, username="ann", email="ann@example.com")

        return make

    def test_an_entity_of_the_session_is_updated(self, loader_host):
        host = loader_host(lambda host, identity: host.db.session.get(host.User, int(identity)))
        response = patch(host, {"first_name": "Jack"})
        assert (response.status_code, response.json) == (200, PROFILE | {"first_name": "Jack"})
        assert parse(patch(host, {"username": "ann"})) == (400, {"username": TAKEN})
        assert parse(patch(host, {}, "3")) == (404, NOT_FOUND)
        assert read_users(host, "first_name") == ["Jack", "John"]

    def test_an_entity_outside_the_session_is_a_configuration_error(self, loader_host):
        host = loader_host(lambda host, _identity: host.User(**JOHN, is_active=True), TESTING=True)
        message = r"(?s)db\.session does not contain it.*return db\.session\.get\(User, identity\)"
        with pytest.raises(ConfigurationError, match=message):
            patch(host, {"first_name": "Jack"})
        host.app.testing = False
        assert parse(patch(host, {"first_name": "Jack"})) == (500, FAILED)
        assert read_users(host, "first_name") == ["John", "John"]

    def test_a_mapping_identifies_the_row_to_update(self, loader_host):
        user = {**JOHN, **dict.fromkeys(("is_staff", "is_superuser"), False), "is_active": True}
        host = loader_host(lambda *_: user)
        assert patch(host, {"first_name": "Jack"}).json["first_name"] == "Jack"
        assert read_users(host, "first_name") == ["Jack", "John"]


def test_a_token_in_the_body_is_not_a_field(editable_host):
    host = editable_host(JWT_TOKEN_LOCATION="json")
    body = {"access_token": host.token(), "first_name": "Jack"}
    response = host.client.patch("/api/profile/", json=body)
    assert (response.status_code, response.json["first_name"]) == (200, "Jack")


def test_a_read_with_a_stale_if_match_is_a_412(editable_host):
    host = editable_host()
    for method in ("GET", "HEAD"):
        for condition, status in [("*", 200), ('"old"', 412)]:
            headers = {**host.bearer(), "If-Match": condition}
            response = host.client.open("/api/profile/", method=method, headers=headers)
            assert response.status_code == status


def test_a_value_that_the_column_type_does_not_accept_is_rejected(editable_host):
    def model(db):
        class User(ProfileMixin, db.Model):
            kind: Mapped[uuid.UUID | None]

        return User

    class Lax(ProfileSchema):
        kind = fields.String()

    host = editable_host(model=model, PROFILE_SCHEMA=Lax)
    response = patch(host, {"kind": "no uuid"})
    assert (response.status_code, list(response.json)) == (400, ["detail"])
