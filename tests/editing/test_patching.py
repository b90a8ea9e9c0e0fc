"""The values of a merge patch: what the schema and the columns accept."""

from __future__ import annotations

import uuid

import orjson
import pytest
from flask.json.provider import JSONProvider
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
from sqlalchemy import JSON, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import NotFound

from conftest import make_user_model
from contract import (
    BAD_CHARACTER,
    JOHN_PROFILE,
    NOT_A_UUID,
    NOT_SAVED,
    NOT_TEXT,
    NULL,
    READ_ONLY,
    UNKNOWN,
    out_of_range,
)
from editing.requests import parse, patch
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema
from host_databases import read_users
from schemas import ExtendedSchema, WritableSchema, make_extended_model


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
        assert host.post().json == JOHN_PROFILE

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
        read_only_fields = [
            name for name in JOHN_PROFILE if name not in ProfileSchema().load_fields
        ]
        assert len(read_only_fields) == 9
        for field in read_only_fields:
            for value in (JOHN_PROFILE[field], not JOHN_PROFILE[field], None):
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
            assert parse(patch(host, {field: value})) == (
                400,
                {field: out_of_range(limit.bit_length() - 1)},
            )
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
        assert patch(host, body).json == JOHN_PROFILE | body

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
        assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
        assert [record.exc_info[0] for record in caplog.records] == [error]
        assert read_users(host, "first_name") == ["John"]

    def test_a_failure_to_dump_the_new_value_changes_nothing(self, editable_host):
        class Choosy(ProfileSchema):
            @post_dump
            def choose(self, data, **_options):
                return data | {"index": ["John"].index(data["first_name"])}

        host = editable_host(PROFILE_SCHEMA=Choosy)
        assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
        assert host.post().json == JOHN_PROFILE | {"index": 0}

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
        assert patch(host, {"number_phone": "1"}).json == JOHN_PROFILE | {"number_phone": "1"}

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
        message = r"(?s)Lacking loads 'shoe_size'.*User has no.*shoe_size = …\(dump_only=True\)"
        with pytest.raises(ConfigurationError, match=message):
            patch(host, {"first_name": "Jack", "shoe_size": 42})
        host.app.testing = False
        assert parse(patch(host, {"first_name": "Jack", "shoe_size": 42})) == (500, NOT_SAVED)
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
        assert (response.status_code, response.json) == (200, JOHN_PROFILE | {"first_name": "Jack"})
        assert read_users(host, "password_hash") == ["hash of secret"]
        assert [s for s in statements if "password_hash" in s and "SELECT" in s] == []
        assert patch(host, {"password": "new"}).status_code == 200
        assert read_users(host, "password_hash") == ["hash of new"]

    def test_the_schema_of_the_host_is_not_modified(self, editable_host):
        host = editable_host(PROFILE_SCHEMA=ExtendedSchema, model=make_extended_model)
        patch(host, {"nickname": None})
        assert ExtendedSchema().fields["nickname"].allow_none
        assert ExtendedSchema().load({"nickname": "x" * 31, "small": None, "first_name": "\0"})


def test_a_value_that_the_column_type_does_not_accept_is_rejected(editable_host):
    def model(db):
        class User(ProfileMixin, db.Model):
            kind: Mapped[uuid.UUID | None]

        return User

    class Lax(ProfileSchema):
        kind = fields.String()

    host = editable_host(model=model, PROFILE_SCHEMA=Lax)
    assert parse(patch(host, {"kind": "no uuid"})) == (400, {"kind": NOT_A_UUID})

    class Strict(ProfileSchema):
        kind = fields.UUID()

    host = editable_host(model=model, PROFILE_SCHEMA=Strict)
    kind = str(uuid.uuid4())
    assert patch(host, {"kind": kind}).json["kind"] == kind
