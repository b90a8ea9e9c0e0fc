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

from conftest import JOHN, JOHN_AS_JSON, SECRET, user_of
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema, profile_updated
from responses import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED, NOT_VALID

URL = "/api/profile/"
PROFILE = json.loads(JOHN_AS_JSON)
BOTH_TYPES = ["application/json", "application/merge-patch+json"]
MANY = 50

UNREADABLE = {"detail": "The body must be a JSON object that has each of its names once."}
CHANGED = {"detail": "The profile has changed since it was read."}
TOO_LARGE = {"detail": "The body of the request is too large."}
UNACCEPTABLE = {"detail": "The database does not accept these values."}
TAKEN = ["A user with this value already exists."]
READ_ONLY = ["Read-only field."]
UNKNOWN = ["Unknown field."]
NULL = ["Field may not be null."]
NOT_TEXT = ["Not a valid string."]
CHARACTER = ["Contains a character that cannot be stored."]
RANGE = ["Number is out of range."]


def own_columns(db):
    """Make a model with columns of each kind that a host may open."""

    class User(ProfileMixin, db.Model):
        password_hash: Mapped[str | None] = mapped_column(String(255))
        nickname: Mapped[str] = mapped_column(String(30), default="")
        small: Mapped[int | None] = mapped_column(SmallInteger)
        middle: Mapped[int | None] = mapped_column(Integer)
        large: Mapped[int | None] = mapped_column(BigInteger)

    return User


class Own(ProfileSchema):
    username = fields.String()
    email = fields.String()
    nickname = fields.String(allow_none=True)
    small = fields.Integer(allow_none=True)
    middle = fields.Integer()
    large = fields.Integer()


def structured(db):
    """Make a model whose columns hold more than one value."""

    class User(ProfileMixin, db.Model):
        settings = mapped_column(JSON(none_as_null=True))
        tags = mapped_column(
            JSON(none_as_null=True).with_variant(postgresql.ARRAY(String(9)), "postgresql")
        )

    return User


class Structured(ProfileSchema):
    settings = fields.Raw()
    tags = fields.List(fields.String())


class Open(ProfileSchema):
    username = fields.String()
    email = fields.String()


@pytest.fixture
def editable(host):
    """Return what makes a host that opens PATCH beside GET, with John in its database."""

    def make(*, values=None, **config):
        return host(**{"PROFILE_METHODS": ["GET", "POST", "PATCH"]} | config).add(**values or {})

    return make


@pytest.fixture
def busy(editable, database):
    """Return the same for a database that many threads write to at a time."""
    config = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 8, "max_overflow": 0, "pool_timeout": 60}}
    if database == "sqlite://":
        config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///busy.db"
    return lambda **given: editable(**config | given)


def patch(host, body=None, identity="1", headers=(), **options):
    """Edit a profile as the client of a user does; ``data`` sends bytes that are no JSON."""
    if "data" not in options:
        options["data"] = json.dumps(body)
    options = {"content_type": "application/json"} | options
    return host.client.patch(URL, headers={**host.bearer(identity), **dict(headers)}, **options)


def refused(response):
    return response.status_code, response.json


def stored(host, column=None):
    """Return what the database holds of all users, or of one column."""
    with host.app.app_context():
        table = host.User.__table__
        rows = host.db.session.execute(select(table).order_by(table.c.id)).mappings().all()
    return [row[column] for row in rows] if column else [dict(row) for row in rows]


def written(statements):
    """Return the columns that the statements set, but for what only takes the lock of SQLite."""
    updates = [s for s in statements if s.startswith("UPDATE") and "SET id=" not in s]
    assigned = [re.search(r" SET (.*) WHERE ", statement)[1] for statement in updates]
    return [[part.split("=")[0].strip() for part in each.split(",")] for each in assigned]


def at_once(count, call):
    """Call from many threads at the same moment, and return what they got, in their order."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(run, range(count))]


@contextmanager
def listening(host, name, listener):
    """Let a listener hear of what happens to the host's engine."""
    with host.app.app_context():
        engine = host.db.engine
    event.listen(engine, name, listener)
    yield
    event.remove(engine, name, listener)


class TestDefault:
    def test_there_is_no_patch(self, john):
        response = patch(john, {"first_name": "Jack"})
        assert refused(response) == (405, {"detail": 'Method "PATCH" not allowed.'})
        assert response.headers["Allow"] == "OPTIONS, POST"
        assert stored(john, "first_name") == ["John"]

    def test_nothing_that_is_opt_in_is_imported(self):
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
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        parts = {f"flask_profile.{name}" for name in ("editing", "avatars", "signals")}
        assert not (parts | {"PIL", "obstore"}) & {*run.stdout.split()}


class TestAnswer:
    def test_it_is_the_whole_new_profile(self, editable):
        made = editable()
        response = patch(made, {"first_name": "Jack", "number_phone": None})
        expected = JOHN_AS_JSON.replace('"John"', '"Jack"').replace('"1234567890"', "null")
        assert (response.status_code, response.get_data(as_text=True)) == (200, expected)
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Authorization"
        assert made.post().get_data(as_text=True) == expected

    def test_its_etag_is_that_of_get_and_head(self, editable):
        made = editable()
        for body in ({}, {"first_name": "Jack"}, {"last_name": "ä😀"}):
            etag = patch(made, body).headers["ETag"]
            assert etag.startswith('"')
            assert made.client.get(URL, headers=made.bearer()).headers["ETag"] == etag
            assert made.client.head(URL, headers=made.bearer()).headers["ETag"] == etag

    def test_without_the_slash_it_is_the_same(self, editable):
        made = editable()
        response = made.client.patch(
            "/api/profile", headers=made.bearer(), json={"first_name": "Jack"}
        )
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")

    def test_text_is_kept_as_it_is(self, editable):
        made = editable()
        for text in (" \t Jack\n ", "Jack", "Jack ", "", "𝕁𝕒𝕔𝕜 😀", "\u202e\u0301", "'\"\\%s"):
            assert patch(made, {"first_name": text}).json["first_name"] == text
            assert made.post().json == PROFILE | {"first_name": text}
            assert stored(made, "first_name") == [text]


class TestIfMatch:
    @pytest.fixture(params=[["GET", "PATCH"], ["PATCH"]], ids=["with GET", "without GET"])
    def matching(self, request, editable):
        return editable(PROFILE_METHODS=request.param)

    @pytest.mark.parametrize("condition", ["{}", '"x", {}', '{}, "x"', "*", None])
    def test_what_holds_is_no_obstacle(self, condition, matching):
        etag = patch(matching, {}).headers["ETag"]
        headers = {"If-Match": condition.format(etag)} if condition else {}
        response = patch(matching, {"first_name": "Jack"}, headers=headers)
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")
        assert response.headers["ETag"] != etag

    def test_what_does_not_hold_changes_nothing(self, matching):
        etag = patch(matching, {}).headers["ETag"]
        before = stored(matching)
        weak = [f"W/{etag}", f'W/"x", W/{etag}']
        for condition in ('"x"', *weak, '"*"', "x", "W/", '"', ",", "", ";", '"x', "\xff"):
            with matching.statements() as statements:
                response = patch(matching, {"first_name": "Jack"}, headers={"If-Match": condition})
            assert (condition, *refused(response)) == (condition, 412, CHANGED)
            assert written(statements) == []
        assert stored(matching) == before

    def test_what_was_read_before_another_change_is_stale(self, matching):
        etag = patch(matching, {}).headers["ETag"]
        patch(matching, {"last_name": "Roe"})
        response = patch(matching, {"first_name": "Jack"}, headers={"If-Match": etag})
        assert refused(response) == (412, CHANGED)
        assert stored(matching, "first_name") == ["John"]
        assert "ETag" not in response.headers

    def test_an_empty_patch_is_conditional_too(self, matching):
        assert refused(patch(matching, {}, headers={"If-Match": '"x"'})) == (412, CHANGED)

    def test_a_body_that_is_refused_anyway_is_refused_for_itself(self, matching):
        response = patch(matching, {"is_staff": True}, headers={"If-Match": '"x"'})
        assert refused(response) == (400, {"is_staff": READ_ONLY})

    def test_what_changes_between_reading_and_writing_is_noticed(self, editable):
        made = editable(PROFILE_SCHEMA=interrupted(lambda: made, first_name="Jim"))
        etag = made.client.get(URL, headers=made.bearer()).headers["ETag"]
        response = patch(made, {"last_name": "Roe"}, headers={"If-Match": etag})
        assert refused(response) == (412, CHANGED)
        assert (stored(made, "first_name"), stored(made, "last_name")) == (["Jim"], ["Doe"])


def interrupted(host, **values):
    """Make a schema that loads while another connection writes values to the same row."""

    class Interrupted(ProfileSchema):
        @post_load
        def interrupt(self, data, **_options):
            made = host()
            with made.db.engine.begin() as other:
                other.execute(update(made.User.__table__).values(values))
            return data

    return Interrupted


class TestMediaType:
    @pytest.mark.parametrize("required", [False, True])
    def test_json_and_a_merge_patch_are_read(self, required, editable):
        made = editable(PROFILE_REQUIRE_JSON=required)
        for name in (*BOTH_TYPES, *(f"{media_type}; charset=utf-8" for media_type in BOTH_TYPES)):
            response = patch(made, {"first_name": name}, content_type=name)
            assert (response.status_code, response.json["first_name"]) == (200, name)

    @pytest.mark.parametrize("required", [False, True])
    def test_any_other_is_refused_and_the_right_ones_are_named(self, required, editable):
        made = editable(PROFILE_REQUIRE_JSON=required)
        for media_type in (
            None,
            "text/plain",
            "application/json-patch+json",
            "application/xml; charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "nonsense",
        ):
            response = patch(made, {"first_name": "Jack"}, content_type=media_type)
            detail = f'Unsupported media type "{media_type or ""}" in request.'
            assert refused(response) == (415, {"detail": detail})
            assert response.headers["Accept-Patch"] == ", ".join(BOTH_TYPES)
        assert stored(made, "first_name") == ["John"]

    def test_options_name_the_right_ones(self, editable):
        response = editable().client.options(URL)
        assert response.headers["Accept-Patch"] == ", ".join(BOTH_TYPES)
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH, POST"

    def test_where_there_is_no_patch_nothing_names_them(self, host):
        made = host(PROFILE_REQUIRE_JSON=True).add()
        assert "Accept-Patch" not in made.client.options(URL).headers
        assert made.post().status_code == 415
        assert "Accept-Patch" not in made.post().headers


NO_JSON_OBJECTS = [
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
    def test_what_is_no_json_object_of_one_meaning_is_refused(self, editable):
        made = editable()
        for body in NO_JSON_OBJECTS:
            case = body[:45]
            assert (case, *refused(patch(made, data=body))) == (case, 400, UNREADABLE)
        assert made.post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize(
        ("limit", "status", "answer"),
        [
            (None, 400, {"first_name": ["Longer than maximum length 200."]}),
            (1024, 413, TOO_LARGE),
        ],
    )
    def test_ten_megabytes_are_too_many(self, limit, status, answer, editable):
        made = editable(MAX_CONTENT_LENGTH=limit)
        response = patch(made, {"first_name": "x" * 10_000_000})
        assert refused(response) == (status, answer)
        assert stored(made, "first_name") == ["John"]

    @pytest.mark.parametrize(("limit", "status"), [(None, 200), (22, 200), (21, 413)])
    def test_a_body_of_unknown_length_is_limited_too(self, limit, status, editable):
        made = editable(MAX_CONTENT_LENGTH=limit)
        response = made.client.patch(
            URL,
            headers=made.bearer(),
            content_type="application/json",
            input_stream=io.BytesIO(b'{"first_name": "Jack"}'),
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert response.status_code == status
        assert stored(made, "first_name") == ["Jack" if status == 200 else "John"]

    def test_a_client_that_hangs_up_gets_a_400_and_changes_nothing(self, busy, caplog):
        made = busy()
        with served(made) as (connect, _), connect() as client:
            client.sendall(unfinished(made))
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == UNREADABLE
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert stored(made, "first_name") == ["John"]

    def test_a_client_that_resets_the_connection_is_no_error_of_the_server(self, busy, caplog):
        made = busy()
        with served(made) as (connect, done):
            with connect() as client:
                client.sendall(unfinished(made))
                no_goodbye = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_goodbye)
            assert done.wait(30)
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert stored(made, "first_name") == ["John"]


@contextmanager
def served(host):
    """Serve a host on a socket; yield what connects to it, and an event of the end of a request."""
    done = threading.Event()
    host.app.teardown_request(lambda _error: done.set())
    server = make_server("127.0.0.1", 0, host.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield lambda: socket.create_connection(server.server_address, timeout=30), done
    server.shutdown()
    thread.join()
    server.server_close()


def unfinished(host):
    """Return a request whose body is shorter than it says."""
    head = [
        f"PATCH {URL} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {host.token()}",
        "Content-Type: application/json",
        "Content-Length: 1000",
    ]
    return "\r\n".join([*head, "", '{"first_name": "Jack"']).encode()


REFUSED = [
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
    ({"first_name": "a\0b"}, {"first_name": CHARACTER}),
    ({"first_name": "\ud800"}, {"first_name": CHARACTER}),
    ({"last_name": "a\udfff"}, {"last_name": CHARACTER}),
    ({"\ud800": "a"}, {"\ud800": UNKNOWN}),
    ({"\0": {"\udfff": "\ud800"}}, {"\0": UNKNOWN}),
    (
        {"first_name": None, "id": 2, "x": 1},
        {"first_name": NULL, "id": READ_ONLY, "x": UNKNOWN},
    ),
]


class TestValues:
    @pytest.mark.parametrize("escaping", [True, False])
    def test_a_value_that_the_schema_refuses_changes_nothing(self, escaping, editable):
        made = editable()
        made.app.json.ensure_ascii = escaping
        for body, messages in REFUSED:
            response = patch(made, {"last_name": "Roe"} | body)
            assert (body, *refused(response)) == (body, 400, messages)
            assert response.headers["Cache-Control"] == "no-store"
        assert made.post().json == PROFILE

    def test_a_json_provider_that_takes_no_surrogates_has_to_send_none(self, editable):
        class Orjson(JSONProvider):
            def dumps(self, obj, **kwargs):
                return orjson.dumps(obj).decode()

            def loads(self, s, **kwargs):
                return orjson.loads(s)

        made = editable()
        made.app.json = Orjson(made.app)
        for key in ("\ud800", "\0", "first_name"):
            assert patch(made, {key: "\ud800"}).status_code == 400
        assert patch(made, {"first_name": "ä😀"}).json["first_name"] == "ä😀"

    def test_a_read_only_field_is_refused_whatever_its_value(self, editable):
        made = editable()
        before = stored(made)
        fields_read = [name for name in PROFILE if name not in ProfileSchema().load_fields]
        assert len(fields_read) == 9
        for field in fields_read:
            for value in (PROFILE[field], not PROFILE[field], None):
                response = patch(made, {"first_name": "Jack", field: value})
                assert refused(response) == (400, {field: READ_ONLY})
        assert stored(made) == before

    @pytest.mark.parametrize(
        ("field", "limit"),
        [("first_name", 200), ("number_phone", 10), ("username", 150), ("nickname", 30)],
    )
    def test_text_may_be_as_long_as_its_column_in_characters(self, field, limit, editable):
        made = editable(model=own_columns, PROFILE_SCHEMA=Own)
        for character in "xä😀":
            longest = character * limit
            assert patch(made, {field: longest}).json[field] == longest
            assert made.post().json[field] == longest
            response = patch(made, {field: longest + character})
            assert refused(response) == (400, {field: [f"Longer than maximum length {limit}."]})
            assert stored(made, field) == [longest]

    @pytest.mark.parametrize(("field", "bits"), [("small", 15), ("middle", 31), ("large", 63)])
    def test_an_integer_may_be_as_large_as_its_column(self, field, bits, database, editable):
        made = editable(model=own_columns, PROFILE_SCHEMA=Own)
        limit = 2 ** (63 if database.startswith("sqlite") else bits)
        for right in (limit - 1, -limit, 0):
            assert patch(made, {field: right}).json[field] == right
        for beyond in (limit, -limit - 1, 10**1000):
            assert refused(patch(made, {field: beyond})) == (400, {field: RANGE})
        assert patch(made, data=f'{{"{field}": 1e400}}').status_code == 400
        assert stored(made, field) == [0]

    def test_a_number_that_is_none_is_refused_wherever_it_stands(self, editable):
        made = editable(model=structured, PROFILE_SCHEMA=Structured)
        for value in ("1e400", "[1, -1e400]", '{"a": {"b": 1e400}}'):
            response = patch(made, data=f'{{"settings": {value}}}')
            assert (value, response.status_code) == (value, 400)
        assert stored(made, "settings") == [None]

    def test_what_cannot_be_stored_is_refused_wherever_it_stands(self, editable):
        made = editable(model=structured, PROFILE_SCHEMA=Structured)
        for text in ("\0", "\ud800"):
            for body in ({"tags": [text]}, {"settings": {"a": [text]}}, {"settings": {text: 1}}):
                assert (body, patch(made, body).status_code) == (body, 400)
        assert (stored(made, "tags"), stored(made, "settings")) == ([None], [None])
        body = {"tags": ["a", "😀"], "settings": {"a": [1.5, None]}}
        assert patch(made, body).json == PROFILE | body

    def test_null_is_refused_where_the_column_has_none(self, editable):
        made = editable(model=own_columns, PROFILE_SCHEMA=Own, values={"small": 1})
        assert refused(patch(made, {"nickname": None})) == (400, {"nickname": NULL})
        assert patch(made, {"small": None}).json["small"] is None

    def test_a_field_may_have_another_name_than_its_column(self, editable):
        class Renamed(Schema):
            username = fields.String(dump_only=True, data_key="login")
            given_name = fields.String(attribute="first_name", data_key="givenName")

        made = editable(PROFILE_SCHEMA=Renamed)
        assert patch(made, {"givenName": "Jack"}).json["givenName"] == "Jack"
        messages = {"login": READ_ONLY, "username": UNKNOWN, "givenName": NULL}
        response = patch(made, {"login": "a", "username": "a", "givenName": None})
        assert refused(response) == (400, messages)
        assert stored(made, "first_name") == ["Jack"]


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
    def test_a_validation_error_of_the_hosts_is_a_400(self, hook, name, editable):
        class Refusing(ProfileSchema):
            @hook
            def refuse(self, data, **_options):
                raise ValidationError("not today")

        made = editable(PROFILE_SCHEMA=Refusing)
        assert refused(patch(made, {"first_name": "Jack"})) == (400, {name: ["not today"]})
        assert stored(made, "first_name") == ["John"]

    @pytest.mark.parametrize("error", [DecodeError, NotFound, KeyError])
    @pytest.mark.parametrize("hook", [pre_load, post_load, validates("first_name")])
    def test_whatever_else_it_raises_is_a_500(self, hook, error, editable, caplog):
        class Raising(ProfileSchema):
            @hook
            def fail(self, data, **_options):
                raise error("from the schema")

        made = editable(PROFILE_SCHEMA=Raising)
        assert refused(patch(made, {"first_name": "Jack"})) == (500, FAILED)
        assert [record.exc_info[0] for record in caplog.records] == [error]
        assert stored(made, "first_name") == ["John"]

    def test_one_that_cannot_dump_the_new_value_changes_nothing(self, editable):
        class Choosy(ProfileSchema):
            @post_dump
            def choose(self, data, **_options):
                return data | {"index": ["John"].index(data["first_name"])}

        made = editable(PROFILE_SCHEMA=Choosy)
        assert refused(patch(made, {"first_name": "Jack"})) == (500, FAILED)
        assert made.post().json == PROFILE | {"index": 0}

    def test_what_it_makes_of_a_value_is_what_is_stored(self, editable):
        class Lower(Open):
            @post_load
            def lower(self, data, **_options):
                return {name: value.lower() for name, value in data.items()}

        made = editable(PROFILE_SCHEMA=Lower)
        assert patch(made, {"email": "Jack@Example.com"}).json["email"] == "jack@example.com"
        assert stored(made, "email") == ["jack@example.com"]

    def test_its_required_fields_and_defaults_are_not_those_of_a_patch(self, editable):
        class Strict(ProfileSchema):
            first_name = fields.String(required=True)
            last_name = fields.String(load_default="Nobody")

        made = editable(PROFILE_SCHEMA=Strict)
        assert patch(made, {"number_phone": "1"}).json == PROFILE | {"number_phone": "1"}

    def test_it_has_a_say_in_what_it_does_not_know(self, editable):
        class Lenient(ProfileSchema):
            class Meta:
                unknown = "exclude"

        made = editable(PROFILE_SCHEMA=Lenient)
        assert refused(patch(made, {"is_staf": True})) == (400, {"is_staf": UNKNOWN})

    def test_one_that_loads_what_the_model_lacks_is_a_configuration_error(self, editable):
        class Lacking(ProfileSchema):
            shoe_size = fields.Integer(load_only=True)

        made = editable(PROFILE_SCHEMA=Lacking, TESTING=True)
        remedy = r"(?s)Lacking loads 'shoe_size'.*User lacks.*shoe_size = …\(dump_only=True\)"
        with pytest.raises(ConfigurationError, match=remedy):
            patch(made, {"first_name": "Jack", "shoe_size": 42})
        made.app.testing = False
        assert refused(patch(made, {"first_name": "Jack", "shoe_size": 42})) == (500, FAILED)
        assert stored(made, "first_name") == ["John"]

    def test_it_may_write_what_nobody_reads(self, editable):
        def model(db):
            user = user_of(db)

            def store(self, password):
                self.password_hash = f"hash of {password}"

            user.password = property(None, store)
            return user

        class Password(ProfileSchema):
            password = fields.String(load_only=True)

        made = editable(model=model, PROFILE_SCHEMA=Password)
        with made.statements() as statements:
            response = patch(made, {"password": "secret", "first_name": "Jack"})
        assert (response.status_code, response.json) == (200, PROFILE | {"first_name": "Jack"})
        assert stored(made, "password_hash") == ["hash of secret"]
        assert [s for s in statements if "password_hash" in s and "SELECT" in s] == []
        assert patch(made, {"password": "new"}).status_code == 200
        assert stored(made, "password_hash") == ["hash of new"]

    def test_the_schema_of_the_host_is_left_as_it_is(self, editable):
        made = editable(PROFILE_SCHEMA=Own, model=own_columns)
        patch(made, {"nickname": None})
        assert Own().fields["nickname"].allow_none
        assert Own().load({"nickname": "x" * 31, "small": None, "first_name": "\0"})


class TestStatements:
    def test_an_empty_patch_writes_nothing(self, editable):
        made, sent = editable(), []
        with (
            made.statements() as statements,
            profile_updated.connected_to(lambda *_, **values: sent.append(values)),
        ):
            response = patch(made, {})
        assert (response.status_code, response.get_data(as_text=True)) == (200, JOHN_AS_JSON)
        assert (written(statements), sent) == ([], [])

    def test_only_what_changed_is_written(self, editable):
        made = editable()
        with made.statements() as statements:
            patch(made, {"first_name": "Jack", "last_name": "Doe", "number_phone": "1234567890"})
        assert written(statements) == [["first_name"]]
        with made.statements() as statements:
            assert patch(made, {"first_name": "Jack"}).status_code == 200
        assert written(statements) == []

    def test_what_the_host_writes_at_the_same_moment_is_left(self, editable):
        schema = interrupted(lambda: made, password_hash="new", last_name="Roe", is_staff=True)
        made = editable(PROFILE_SCHEMA=schema)
        response = patch(made, {"first_name": "Jack"})
        changes = {"first_name": "Jack", "last_name": "Roe", "is_staff": True}
        assert response.json == PROFILE | changes
        (row,) = stored(made)
        assert row.items() >= (changes | {"password_hash": "new"}).items()

    @pytest.mark.parametrize("body", [{}, {"first_name": "Jack"}, {"username": "ann"}])
    def test_the_password_hash_is_not_read(self, body, editable):
        made = editable(PROFILE_SCHEMA=Open, values={"password_hash": "secret"})
        made.add(id=2, username="ann", email="ann@example.com")
        with made.statements() as statements:
            assert patch(made, body).status_code in {200, 400}
        assert "password_hash" not in " ".join(statements)
        assert stored(made, "password_hash") == ["secret", None]


class TestUnique:
    @pytest.fixture
    def two(self, editable):
        """Return what makes a host with John and Ann."""

        def make(**config):
            made = editable(**{"PROFILE_SCHEMA": Open} | config)
            return made.add(id=2, username="ann", email="ann@example.com")

        return make

    @pytest.mark.parametrize(
        ("body", "fields_taken"),
        [
            ({"username": "ann"}, ["username"]),
            ({"email": "ann@example.com", "first_name": "Jack"}, ["email"]),
            ({"username": "ann", "email": "ann@example.com"}, ["username", "email"]),
            ({"username": "ann", "email": "new@example.com"}, ["username"]),
        ],
    )
    def test_a_taken_value_is_refused(self, body, fields_taken, two):
        made = two()
        before = stored(made)
        assert refused(patch(made, body)) == (400, dict.fromkeys(fields_taken, TAKEN))
        assert stored(made) == before

    def test_ones_own_value_is_not_taken(self, two):
        made = two()
        body = {"username": "john_doe", "email": "jack@example.com"}
        assert patch(made, body).json == PROFILE | body

    def test_a_value_that_another_gave_up_is_free(self, two):
        made = two()
        assert patch(made, {"username": "eve"}, "2").status_code == 200
        assert patch(made, {"username": "ann"}).json["username"] == "ann"

    def test_it_is_named_as_the_client_names_it(self, two):
        def model(db):
            class User(ProfileMixin, db.Model):
                handle: Mapped[str | None] = mapped_column("handle_of", String(9), unique=True)

            return User

        class Login(ProfileSchema):
            username = fields.String(data_key="loginName")
            nickname = fields.String(attribute="handle", data_key="nick")

        made = two(model=model, PROFILE_SCHEMA=Login)
        assert patch(made, {"nick": "neo"}, "2").json["nick"] == "neo"
        for body in ({"loginName": "ann"}, {"nick": "neo"}, {"nick": "neo", "loginName": "ann"}):
            response = patch(made, body | {"first_name": "Jack"})
            assert refused(response) == (400, dict.fromkeys(body, TAKEN))
        assert stored(made, "first_name") == ["John", "John"]

    @pytest.mark.parametrize(
        ("body", "fields_taken"),
        [
            ({"first_name": "Ann"}, ["first_name"]),
            ({"first_name": "Ann", "last_name": "Doe"}, ["first_name", "last_name"]),
        ],
    )
    def test_several_columns_may_be_unique_together(self, body, fields_taken, editable):
        def model(db):
            class User(ProfileMixin, db.Model):
                __table_args__ = (
                    UniqueConstraint("first_name", "last_name"),
                    Index("ix_phone", "number_phone"),
                )

            return User

        made = editable(model=model).add(id=2, username="a", email="a", first_name="Ann")
        assert refused(patch(made, body)) == (400, dict.fromkeys(fields_taken, TAKEN))
        apart = {"first_name": "Ann", "last_name": "Roe"}
        assert patch(made, apart).json == PROFILE | apart

    def test_an_index_of_an_expression_may_be_unique(self, two):
        def model(db):
            class User(ProfileMixin, db.Model):
                pass

            index = Index("ix_email", func.lower(User.email), unique=True)
            # MariaDB has no such index, but a collation that finds the two texts the same.
            index.ddl_if(callable_=lambda *_, dialect, **__: dialect.name != "mysql")
            return User

        made = two(model=model)
        assert refused(patch(made, {"email": "ANN@example.com"})) == (400, {"email": TAKEN})
        assert patch(made, {"email": "JOHN@example.com"}).json["email"] == "JOHN@example.com"

    def test_a_value_that_no_field_explains_is_not_accepted(self, host):
        def model(db):
            class Team(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)

            class User(ProfileMixin, db.Model):
                team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))

            return User

        class Member(ProfileSchema):
            team_id = fields.Integer()

        made = host(model=model, PROFILE_METHODS="PATCH", PROFILE_SCHEMA=Member)

        def enforce(connection, _record):
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()

        with made.app.app_context():
            if made.db.engine.dialect.name == "sqlite":
                event.listen(made.db.engine, "connect", enforce)
        made.add()
        body = {"first_name": "Jack", "team_id": 7}
        assert refused(patch(made, body)) == (400, UNACCEPTABLE)
        assert (stored(made, "first_name"), stored(made, "team_id")) == (["John"], [None])

    def test_a_check_of_the_database_is_answered_too(self, editable):
        def model(db):
            class User(ProfileMixin, db.Model):
                age: Mapped[int | None] = mapped_column(CheckConstraint("age > 0"))

            return User

        class Aged(ProfileSchema):
            age = fields.Integer()

        made = editable(model=model, PROFILE_SCHEMA=Aged)
        assert refused(patch(made, {"first_name": "Jack", "age": 0})) == (400, UNACCEPTABLE)
        assert patch(made, {"age": 1}).json == PROFILE | {"age": 1}


class TestConcurrency:
    def test_of_two_who_want_one_name_one_gets_it(self, busy):
        made = busy(PROFILE_SCHEMA=Open).add(id=2, username="ann", email="ann@example.com")
        responses = at_once(2, lambda n: patch(made, {"username": "neo"}, str(n + 1)))
        assert sorted(response.status_code for response in responses) == [200, 400]
        (loser,) = [response for response in responses if response.status_code == 400]
        assert loser.json == {"username": TAKEN}
        assert stored(made, "username").count("neo") == 1

    def test_of_many_who_want_one_name_one_gets_it(self, busy):
        made = busy(PROFILE_SCHEMA=Open)
        with made.app.app_context():
            for number in range(2, MANY + 1):
                values = {"id": number, "username": f"u{number}", "email": f"{number}@example.com"}
                made.db.session.add(made.User(**JOHN | values))
            made.db.session.commit()
        responses = at_once(MANY, lambda n: patch(made, {"username": "neo"}, str(n + 1)))
        answers = Counter(response.status_code for response in responses)
        assert answers == {200: 1, 400: MANY - 1}
        assert all(r.json == {"username": TAKEN} for r in responses if r.status_code == 400)
        assert stored(made, "username").count("neo") == 1

    @pytest.mark.parametrize("loader", [False, True], ids=["by a query", "by the host"])
    def test_of_many_with_one_etag_one_gets_through(self, loader, busy):
        made = busy()
        etag = made.client.get(URL, headers=made.bearer()).headers["ETag"]
        if loader:
            made.jwt.user_lookup_loader(lambda *_: made.db.session.get(made.User, 1))

        def edit(number):
            return patch(made, {"first_name": f"John {number}"}, headers={"If-Match": etag})

        responses = at_once(MANY, edit)
        answers = Counter(response.status_code for response in responses)
        assert answers == {200: 1, 412: MANY - 1}
        (winner,) = [response for response in responses if response.status_code == 200]
        assert made.post().json == winner.json

    def test_changes_of_different_fields_both_survive(self, busy):
        made = busy()
        bodies = [{"first_name": "Jack"}, {"last_name": "Roe"}]
        responses = at_once(2, lambda n: patch(made, bodies[n]))
        assert [response.status_code for response in responses] == [200, 200]
        assert made.post().json == PROFILE | bodies[0] | bodies[1]

    @pytest.mark.parametrize("failures", [1, 2])
    def test_a_deadlock_is_survived(self, failures, editable, caplog):
        made, failed = editable(), []

        def fail(_connection, _cursor, statement, *_):
            if "SET first_name" in statement and len(failed) < failures:
                failed.append(statement)
                raise OperationalError(statement, {}, Exception("deadlock detected"))

        with listening(made, "before_cursor_execute", fail):
            response = patch(made, {"first_name": "Jack"})
        assert (response.status_code, len(failed)) == (200, failures)
        assert stored(made, "first_name") == ["Jack"]
        assert caplog.records == []

    @pytest.mark.parametrize(("of_the_host", "attempts"), [(False, 3), (True, 1)])
    def test_one_that_lasts_is_a_500_and_a_transaction_of_the_hosts_is_not_repeated(
        self, of_the_host, attempts, editable
    ):
        made, failed = editable(), []

        @made.app.before_request
        def begin():
            if of_the_host:
                made.db.session.execute(select(made.User.id))

        def fail(_connection, _cursor, statement, *_):
            if "SET first_name" in statement:
                failed.append(statement)
                raise OperationalError(statement, {}, Exception("deadlock detected"))

        with listening(made, "before_cursor_execute", fail):
            assert refused(patch(made, {"first_name": "Jack"})) == (500, FAILED)
        assert len(failed) == attempts
        assert stored(made, "first_name") == ["John"]

    def test_a_connection_that_died_in_the_pool_costs_no_answer(self, busy):
        made = busy()
        for name in ("Jack", "Jim"):
            with made.app.app_context():
                pooled = made.db.engine.raw_connection()
                driver = pooled.driver_connection
                pooled.close()
                driver.close()
            assert patch(made, {"first_name": name}).json["first_name"] == name


class TestSession:
    @pytest.mark.parametrize("moment", ["commit", "after_flush", "before_commit"])
    def test_a_database_that_fails_at_the_end_has_changed_nothing(self, moment, editable, caplog):
        made, sent = editable(), []

        def fail(*_):
            raise OSError("the disk is full")

        with made.app.app_context():
            target = made.db.engine if moment == "commit" else made.db.session
        event.listen(target, moment, fail)
        with profile_updated.connected_to(lambda *_, **values: sent.append(values)):
            assert refused(patch(made, {"first_name": "Jack"})) == (500, FAILED)
        event.remove(target, moment, fail)
        assert [record.exc_info[0] for record in caplog.records] == [OSError]
        assert sent == []
        assert made.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_a_commit_that_sqlite_refuses_leaves_no_lock(self, editable):
        made = editable(
            SQLALCHEMY_DATABASE_URI="sqlite:///locked.db",
            SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 0}},
        )
        with made.app.app_context():
            path = made.db.engine.url.database
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN")
            # Whoever reads keeps others from COMMIT.
            other.execute("SELECT * FROM user").fetchall()
            assert refused(patch(made, {"first_name": "Jack"})) == (500, FAILED)
            other.execute("COMMIT")
            other.execute("UPDATE user SET last_name = 'Roe'")
        assert made.post().json == PROFILE | {"last_name": "Roe"}

    def test_a_session_that_reads_from_a_replica_edits_the_writer(self, host, room):
        class Routing(Session):
            def get_bind(self, mapper=None, clause=None, bind=None, **options):
                if bind is not None:
                    return bind
                if not (self._flushing or isinstance(clause, Update)):
                    return self._db.engines["replica"]
                return super().get_bind(mapper=mapper, clause=clause, **options)

        made = host(
            db=SQLAlchemy(session_options={"class_": Routing}),
            SQLALCHEMY_BINDS={"replica": room()["SQLALCHEMY_DATABASE_URI"]},
            PROFILE_METHODS="GET,PATCH",
            PROFILE_SCHEMA=Open,
        )
        with made.app.app_context():
            users, engines = made.User.__table__, dict(made.db.engines)
        john, ann = JOHN | {"last_login": None}, {"username": "ann", "email": "ann@example.com"}
        for name, given in ((None, [john, john | ann | {"id": 2}]), ("replica", [john])):
            users.create(engines[name])
            with engines[name].begin() as connection:
                connection.execute(users.insert(), given)
        response = patch(made, {"first_name": "Jack"})
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")
        assert patch(made, {"last_name": "Roe"}).json["first_name"] == "Jack"
        assert refused(patch(made, {"username": "ann"})) == (400, {"username": TAKEN})
        for name, first_name in ((None, "Jack"), ("replica", "John")):
            with engines[name].connect() as connection:
                query = select(users.c.first_name).where(users.c.id == 1)
                assert connection.scalar(query) == first_name

    @pytest.mark.parametrize("flushed", [True, False])
    def test_pending_work_of_the_host_is_committed_with_it(self, flushed, editable):
        made = editable(PROFILE_METHODS=["PATCH"])

        @made.app.before_request
        def see():
            made.db.session.get(made.User, 1).password_hash = "seen"
            if flushed:
                made.db.session.flush()

        assert patch(made, {"first_name": "Jack"}).json == PROFILE | {"first_name": "Jack"}
        assert (stored(made, "first_name"), stored(made, "password_hash")) == (["Jack"], ["seen"])

    def test_pending_work_of_the_host_is_not_committed_where_the_patch_fails(self, editable):
        made = editable(PROFILE_METHODS=["PATCH"], PROFILE_SCHEMA=Open)
        made.add(id=2, username="ann", email="ann@example.com")

        @made.app.before_request
        def see():
            made.db.session.get(made.User, 1).password_hash = "seen"

        assert refused(patch(made, {"username": "ann"})) == (400, {"username": TAKEN})
        assert stored(made, "password_hash") == [None, None]


class TestUser:
    def test_an_identity_may_be_edited(self, editable):
        made = editable(PROFILE_IDENTITY_FIELD="username", PROFILE_SCHEMA=Open)
        response = patch(made, {"username": "jack"}, "john_doe")
        assert (response.status_code, response.json) == (200, PROFILE | {"username": "jack"})
        assert made.post("jack").data == response.data
        assert made.post("john_doe").json == NOT_FOUND
        made.add(id=2, username="ann", email="ann@example.com")
        assert refused(patch(made, {"username": "ann"}, "jack")) == (400, {"username": TAKEN})

    def test_a_key_may_be_a_uuid(self, editable):
        key = uuid.UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")

        def model(db):
            class User(ProfileMixin, db.Model):
                id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)

            return User

        made = editable(model=model, values={"id": key}, PROFILE_SCHEMA=Open)
        made.add(id=uuid.UUID(int=1), username="ann", email="ann@example.com")
        assert patch(made, {"first_name": "Jack"}, str(key)).json == (
            PROFILE | {"id": str(key), "first_name": "Jack"}
        )
        assert refused(patch(made, {"username": "ann"}, str(key))) == (400, {"username": TAKEN})

    def test_a_model_may_span_two_tables(self, editable):
        db = SQLAlchemy()

        class Person(ProfileMixin, db.Model):
            kind: Mapped[str] = mapped_column(String(9))
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

        class Member(Person):
            id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
            nickname: Mapped[str | None] = mapped_column(String(9), unique=True)
            __mapper_args__ = {"polymorphic_identity": "member"}

        class Nicknamed(Open):
            nickname = fields.String(allow_none=True)

        made = editable(
            db=db, model=lambda _db: Member, PROFILE_USER_MODEL=Member, PROFILE_SCHEMA=Nicknamed
        )
        made.add(id=2, username="ann", email="ann@example.com", nickname="Annie")
        changes = {"first_name": "Jack", "nickname": "Jackie"}
        assert patch(made, changes).json == PROFILE | changes
        assert made.post().json == PROFILE | changes
        for taken in ({"username": "ann"}, {"nickname": "Annie"}):
            messages = dict.fromkeys(taken, TAKEN)
            assert refused(patch(made, taken | {"last_name": "Roe"})) == (400, messages)
        too_long = {"nickname": ["Longer than maximum length 9."]}
        assert refused(patch(made, {"nickname": "x" * 10})) == (400, too_long)
        assert made.post().json == PROFILE | changes

    def test_its_relationships_are_read_and_not_written(self, editable):
        class TeamSchema(Schema):
            id = fields.Integer()
            name = fields.String()

        class Member(Open):
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

        made = editable(model=model, PROFILE_SCHEMA=Member)
        with made.app.app_context():
            teams = [made.User.Team(id=n, name=f"team {n}") for n in (1, 2)]
            made.db.session.add_all(teams)
            made.db.session.get(made.User, 1).teams = teams
            made.db.session.commit()
        as_json = [{"id": 1, "name": "team 1"}, {"id": 2, "name": "team 2"}]
        expected = PROFILE | {"team": as_json[1], "team_id": 2, "allTeams": as_json}
        for body in ({"team_id": 2}, {}, {"team_id": 2}):
            assert patch(made, body).json == expected
            assert made.post().json == expected
        body = {"team": {"id": 1}, "allTeams": [], "teams": []}
        messages = {"team": READ_ONLY, "allTeams": READ_ONLY, "teams": UNKNOWN}
        assert refused(patch(made, body)) == (400, messages)
        assert patch(made, {"team_id": None}).json == expected | {"team": None, "team_id": None}

    @pytest.mark.parametrize(
        ("identity", "status", "answer"), [("2", 401, INACTIVE), ("3", 404, NOT_FOUND)]
    )
    @pytest.mark.parametrize("body", [{"data": b"{"}, {"content_type": "text/plain"}])
    def test_one_that_may_not_be_served_is_refused_before_the_body(
        self, body, identity, status, answer, editable
    ):
        made = editable().add(id=2, username="ann", email="ann@example.com", is_active=False)
        assert refused(patch(made, identity=identity, **body)) == (status, answer)

    def test_its_token_may_stand_in_the_body(self, editable):
        made = editable(JWT_TOKEN_LOCATION=["json"])
        body = {"first_name": "Jack", "access_token": made.token()}
        response = made.client.patch(URL, json=body)
        assert (response.status_code, response.json) == (200, PROFILE | {"first_name": "Jack"})

    def test_its_token_may_stand_in_a_cookie(self, editable):
        made = editable(JWT_TOKEN_LOCATION=["cookies"], PROFILE_METHODS=["PATCH"])
        token = made.token()
        with made.app.app_context():
            csrf = get_csrf_token(token)
        headers = {"Cookie": f"access_token_cookie={token}"}
        body = {"first_name": "Jack"}
        response = made.client.patch(URL, headers=headers, json=body)
        assert refused(response) == (401, NOT_VALID)
        headers["X-CSRF-TOKEN"] = csrf
        assert made.client.patch(URL, headers=headers, json=body).json == PROFILE | body

    @pytest.mark.parametrize(
        ("headers", "answer"), [({}, NOT_PROVIDED), ({"Authorization": "Bearer x"}, NOT_VALID)]
    )
    @pytest.mark.parametrize("body", [{"data": b"{"}, {"json": {"first_name": "Jack"}}])
    def test_a_bad_token_is_refused_before_the_body(self, body, headers, answer, editable):
        made = editable()
        response = made.client.patch(URL, headers=headers, **body)
        assert refused(response) == (401, answer)
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="api"')
        assert stored(made, "first_name") == ["John"]

    def test_one_that_is_deleted_meanwhile_is_not_found(self, editable):
        class Deleting(ProfileSchema):
            @post_load
            def delete(self, data, **_options):
                with made.db.engine.begin() as other:
                    other.execute(made.User.__table__.delete())
                return data

        made = editable(PROFILE_SCHEMA=Deleting)
        assert refused(patch(made, {"first_name": "Jack"})) == (404, NOT_FOUND)


class TestUserLookupLoader:
    @pytest.fixture
    def loading(self, editable):
        """Return what makes a host whose loader is a function of it."""

        def make(load, **config):
            made = editable(PROFILE_SCHEMA=Open, **config)
            made.jwt.user_lookup_loader(lambda _header, payload: load(made, payload["sub"]))
            return made.add(id=2, username="ann", email="ann@example.com")

        return make

    def test_an_entity_of_the_session_is_edited(self, loading):
        made = loading(lambda host, identity: host.db.session.get(host.User, int(identity)))
        response = patch(made, {"first_name": "Jack"})
        assert (response.status_code, response.json) == (200, PROFILE | {"first_name": "Jack"})
        assert refused(patch(made, {"username": "ann"})) == (400, {"username": TAKEN})
        assert refused(patch(made, {}, "3")) == (404, NOT_FOUND)
        assert stored(made, "first_name") == ["Jack", "John"]

    def test_an_entity_of_no_session_is_a_configuration_error(self, loading):
        made = loading(lambda host, _identity: host.User(**JOHN, is_active=True), TESTING=True)
        remedy = r"(?s)none of db\.session.*return db\.session\.get\(User, identity\)"
        with pytest.raises(ConfigurationError, match=remedy):
            patch(made, {"first_name": "Jack"})
        made.app.testing = False
        assert refused(patch(made, {"first_name": "Jack"})) == (500, FAILED)
        assert stored(made, "first_name") == ["John", "John"]

    def test_a_mapping_names_the_row_that_is_edited(self, loading):
        user = {**JOHN, **dict.fromkeys(("is_staff", "is_superuser"), False), "is_active": True}
        made = loading(lambda *_: user)
        assert patch(made, {"first_name": "Jack"}).json["first_name"] == "Jack"
        assert stored(made, "first_name") == ["Jack", "John"]


def test_a_token_in_the_body_is_no_field(editable):
    made = editable(JWT_TOKEN_LOCATION="json")
    sent = {"access_token": made.token(), "first_name": "Jack"}
    answer = made.client.patch("/api/profile/", json=sent)
    assert (answer.status_code, answer.json["first_name"]) == (200, "Jack")


def test_a_profile_that_has_changed_is_not_read_with_its_old_tag(editable):
    made = editable()
    for method in ("GET", "HEAD"):
        for sent, status in [("*", 200), ('"old"', 412)]:
            headers = {**made.bearer(), "If-Match": sent}
            answer = made.client.open("/api/profile/", method=method, headers=headers)
            assert answer.status_code == status


def test_what_the_type_of_a_column_does_not_take_is_refused(editable):
    def typed(db):
        class User(ProfileMixin, db.Model):
            kind: Mapped[uuid.UUID | None]

        return User

    class Lax(ProfileSchema):
        kind = fields.String()

    made = editable(model=typed, PROFILE_SCHEMA=Lax)
    answer = patch(made, {"kind": "no uuid"})
    assert (answer.status_code, list(answer.json)) == (400, ["detail"])
