"""JSON merge patch (RFC 7396) of what is stored in a JSON column."""

from __future__ import annotations

import json
import threading

import pytest
from marshmallow import EXCLUDE, INCLUDE, Schema, ValidationError, fields, validate, validates
from sqlalchemy import JSON, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Mapped, mapped_column, synonym
from sqlalchemy.types import TypeDecorator

from contract import URL
from editing.requests import parse, patch
from flask_profile import ProfileMixin, ProfileSchema
from host_databases import read_users

# RFC 7396 appendix A: original, patch, result.
RFC_EXAMPLES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


class Decorated(TypeDecorator):
    impl = JSON
    cache_ok = True


JSON_TYPES = {
    "JSON": JSON(none_as_null=True),
    "JSONB": JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"),
    "a mutable dict": MutableDict.as_mutable(JSON(none_as_null=True)),
    "a decorated type": Decorated(none_as_null=True),
}


def make_model(type_=JSON_TYPES["JSON"]):
    def model(db):
        class User(ProfileMixin, db.Model):
            prefs = mapped_column(type_)

        return User

    return model


class Preferences(ProfileSchema):
    prefs = fields.Raw(allow_none=True)


class Window(Schema):
    width = fields.Integer(required=True, validate=validate.Range(max=100))
    height = fields.Integer(data_key="heightOfWindow")
    opened = fields.Integer(dump_only=True)


class NestedPreferences(Schema):
    theme = fields.String(required=True, data_key="themeName")
    since = fields.String(load_only=True)
    visits = fields.Integer(dump_only=True)
    window = fields.Nested(Window)
    windows = fields.List(fields.Nested(Window))


class NestingSchema(ProfileSchema):
    prefs = fields.Nested(NestedPreferences)


STORED = {
    "theme": "dark",
    "since": "2024",
    "visits": 3,
    "internal": [1],
    "window": {"width": 10, "height": 20, "opened": 1},
}


def is_mutable_dict(*values):
    return all(value is None or isinstance(value, dict) for value in values)


def change(host, prefs):
    """Patch the JSON column, and return the status and the response's part of it."""
    response = patch(host, {"prefs": prefs})
    return response.status_code, response.json.get("prefs")


@pytest.mark.parametrize("type_name", JSON_TYPES)
class TestColumnTypes:
    def test_the_examples_of_the_rfc(self, type_name, editable_host):
        host = editable_host(model=make_model(JSON_TYPES[type_name]), PROFILE_SCHEMA=Preferences)
        for original, patched, result in RFC_EXAMPLES:
            if type_name == "a mutable dict" and not is_mutable_dict(original, result):
                continue
            with host.app.app_context():
                host.db.session.get(host.User, 1).prefs = original
                host.db.session.commit()
            assert (patched, *change(host, patched)) == (patched, 200, result)
            assert read_users(host, "prefs") == [result]

    def test_a_member_that_is_null_in_the_database_stays(self, type_name, editable_host):
        values = {"prefs": {"e": None}}
        host = editable_host(
            model=make_model(JSON_TYPES[type_name]), PROFILE_SCHEMA=Preferences, values=values
        )
        assert change(host, {"a": 1}) == (200, {"e": None, "a": 1})


class TestRaw:
    @pytest.fixture
    def merging_host(self, editable_host):
        def make(schema=Preferences, **values):
            return editable_host(model=make_model(), PROFILE_SCHEMA=schema, values=values)

        return make

    def test_a_member_is_set_and_another_removed(self, merging_host):
        host = merging_host(prefs={"a": 1, "b": 2})
        assert change(host, {"a": 9, "b": None}) == (200, {"a": 9})
        assert change(host, {"c": 3}) == (200, {"a": 9, "c": 3})

    def test_a_null_member_of_a_new_object_is_not_stored(self, merging_host):
        assert change(merging_host(), {"a": None, "b": {"c": None}}) == (200, {"b": {}})

    def test_an_empty_object_changes_nothing(self, merging_host):
        host = merging_host(prefs={"a": 1})
        etag = host.client.get(URL, headers=host.bearer()).headers["ETag"]
        response = patch(host, {"prefs": {}})
        assert (response.json["prefs"], response.headers["ETag"]) == ({"a": 1}, etag)

    def test_other_fields_are_set_in_the_same_patch(self, merging_host):
        host = merging_host(prefs={"a": 1})
        response = patch(host, {"prefs": {"b": 2}, "first_name": "Jack"})
        assert response.json["prefs"] == {"a": 1, "b": 2}
        assert response.json["first_name"] == "Jack"

    def test_a_refused_field_leaves_the_object_as_it_is(self, merging_host):
        host = merging_host(prefs={"a": 1})
        assert patch(host, {"prefs": {"b": 2}, "first_name": 1}).status_code == 400
        assert read_users(host, "prefs") == [{"a": 1}]

    def test_the_result_is_validated_whole(self, merging_host):
        def at_most_two(value):
            if len(value) > 2:
                raise ValidationError("Too many members.")

        class Small(ProfileSchema):
            prefs = fields.Dict(validate=at_most_two)

        host = merging_host(Small, prefs={"a": 1, "b": 2})
        assert parse(patch(host, {"prefs": {"c": 3}})) == (400, {"prefs": ["Too many members."]})
        assert change(host, {"a": None, "c": 3}) == (200, {"b": 2, "c": 3})

    def test_a_validator_that_needs_no_stored_value_runs_before_the_lock(self, merging_host):
        class Watching(Preferences):
            @validates("first_name")
            def look(self, _value, **_options):
                transactions.append(host.db.session().in_transaction())

        transactions = []
        host = merging_host(Watching, prefs={"a": 1})
        assert patch(host, {"prefs": {"b": 2}, "first_name": "Jack"}).status_code == 200
        assert transactions == [False]

    def test_a_text_that_cannot_be_stored_is_refused(self, merging_host):
        host = merging_host(prefs={"a": 1})
        assert patch(host, {"prefs": {"b": ["\0"]}}).status_code == 400
        assert read_users(host, "prefs") == [{"a": 1}]


class TestNested:
    """A schema is nested in the field: it decides what may be written, and under which names."""

    @pytest.fixture
    def nesting_host(self, editable_host):
        return editable_host(
            model=make_model(), PROFILE_SCHEMA=NestingSchema, values={"prefs": STORED}
        )

    def test_what_the_schema_cannot_write_stays(self, nesting_host):
        assert change(nesting_host, {"window": {"heightOfWindow": 21}}) == (
            200,
            {
                "themeName": "dark",
                "visits": 3,
                "window": {"width": 10, "heightOfWindow": 21, "opened": 1},
            },
        )
        window = STORED["window"] | {"height": 21}
        assert read_users(nesting_host, "prefs") == [STORED | {"window": window}]

    def test_a_member_is_removed_by_its_name_in_json(self, nesting_host):
        assert change(nesting_host, {"window": None, "since": None})[0] == 200
        expected = {n: v for n, v in STORED.items() if n not in {"window", "since"}}
        assert read_users(nesting_host, "prefs") == [expected]

    @pytest.mark.parametrize(
        ("prefs", "messages"),
        [
            ({"themeName": None}, ["themeName: Missing data for required field."]),
            ({"theme": "light"}, ["theme: Unknown field."]),
            ({"visits": 4}, ["visits: Unknown field."]),
            ({"internal": None, "other": 1}, ["other: Unknown field."]),
            (
                {"window": {"width": 101}},
                ["window.width: Must be less than or equal to 100."],
            ),
            (
                {"windows": [{"width": 1}, {}]},
                ["windows.1.width: Missing data for required field."],
            ),
            ("dark", ["_schema: Invalid input type."]),
        ],
    )
    def test_the_result_is_refused_with_a_list_of_messages(self, prefs, messages, nesting_host):
        assert parse(patch(nesting_host, {"prefs": prefs})) == (400, {"prefs": messages})
        assert read_users(nesting_host, "prefs") == [STORED]

    @pytest.mark.parametrize("unknown", [INCLUDE, EXCLUDE])
    def test_unknown_members_are_as_the_schema_has_it(self, unknown, editable_host):
        class Open(NestedPreferences):
            class Meta:
                pass

        Open.Meta.unknown = unknown

        class OpenSchema(ProfileSchema):
            prefs = fields.Nested(Open(unknown=unknown))

        host = editable_host(
            model=make_model(), PROFILE_SCHEMA=OpenSchema, values={"prefs": STORED}
        )
        assert change(host, {"internal": None, "other": 1})[0] == 200
        expected = dict(STORED)
        if unknown == INCLUDE:
            del expected["internal"]
            expected["other"] = 1
        assert read_users(host, "prefs") == [expected]


def test_a_synonym_and_a_hybrid_of_a_json_column_merge_too(editable_host):
    def model(db):
        class User(ProfileMixin, db.Model):
            _prefs: Mapped[dict | None] = mapped_column("prefs", JSON)
            renamed = synonym("_prefs")

            @hybrid_property
            def prefs(self):
                return self._prefs

            @prefs.inplace.setter
            def _set_prefs(self, value):
                self._prefs = value

        return User

    class Both(ProfileSchema):
        prefs = fields.Raw()
        renamed = fields.Raw()

    host = editable_host(model=model, PROFILE_SCHEMA=Both, values={"_prefs": {"a": 1}})
    assert patch(host, {"prefs": {"b": 2}}).json["renamed"] == {"a": 1, "b": 2}
    assert patch(host, {"renamed": {"a": None}}).json["prefs"] == {"b": 2}


def test_clients_that_set_different_members_at_once_all_win(concurrent_host):
    host = concurrent_host(model=make_model(), PROFILE_SCHEMA=Preferences, values={"prefs": {}})
    names = [f"member{number}" for number in range(8)]
    barrier = threading.Barrier(len(names))
    statuses = []

    def set_member(name):
        barrier.wait()
        statuses.append(patch(host, {"prefs": {name: name}}).status_code)

    threads = [threading.Thread(target=set_member, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * len(names)
    assert read_users(host, "prefs") == [{name: name for name in names}]


def test_a_patch_of_a_column_that_is_no_json_replaces(editable_host):
    host = editable_host()
    assert patch(host, {"first_name": {"a": 1}}).status_code == 400
    with host.app.app_context():
        assert host.db.session.scalar(select(host.User.first_name)) == "John"
    assert json.loads(patch(host, {}).data)["first_name"] == "John"
