"""Schemas that PATCH must not be enabled with: one user could become another."""

from __future__ import annotations

import pytest
from marshmallow import Schema, fields, post_load, pre_load
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import synonym

from conftest import JOHN, make_user_model
from contract import NOT_SAVED, URL
from editing.requests import parse, patch
from flask_profile import ConfigurationError, ProfileSchema
from flask_profile.fields import Identifier, MediaUrl
from host_databases import read_users
from schemas import WritableSchema


class WritableKey(ProfileSchema):
    id = fields.Integer()


class WritableKeyByAnotherName(ProfileSchema):
    number = fields.Integer(attribute="id")


class WritableAvatar(ProfileSchema):
    avatar = fields.String(allow_none=True)


class WritablePublicFields(Schema):
    is_active = fields.Boolean(dump_only=True)
    id = Identifier()
    avatar = MediaUrl()


def make_model_with_aliases(db):
    user = make_user_model(db)
    user.login = synonym("username")
    user.handle = hybrid_property(lambda self: self.username).setter(
        lambda self, value: setattr(self, "username", value)
    )
    return user


class WritableSynonym(ProfileSchema):
    login = fields.String()


class WritableHybrid(ProfileSchema):
    handle = fields.String()


class LoadsInstance(ProfileSchema):
    @post_load
    def make(self, data, **_options):
        return object()


CASES = {
    "the primary key": (WritableKey, {}, r"'id' \(tokens are matched.*\n    id = Integer"),
    "the primary key by another name": (
        WritableKeyByAnotherName,
        {},
        r"'number' \(tokens are matched.*\n    number = Integer\(…, dump_only=True\)",
    ),
    "the identity field": (
        WritableSchema,
        {"PROFILE_IDENTITY_FIELD": "username"},
        r"'username' \(tokens are matched.*\n    username = String\(…, dump_only=True\)",
    ),
    "a synonym of the identity field": (
        WritableSynonym,
        {"PROFILE_IDENTITY_FIELD": "username"},
        r"'login' \(tokens are matched",
    ),
    "a hybrid of the identity field": (
        WritableHybrid,
        {"PROFILE_IDENTITY_FIELD": "username"},
        r"'handle' \(tokens are matched",
    ),
    "the avatar": (WritableAvatar, {"PROFILE_AVATARS": True}, r"'avatar' \(a user could enter"),
    "public fields": (
        WritablePublicFields,
        {},
        r"'id' .*'avatar' \(fields.*\n    id = Identifier.*\n    avatar = MediaUrl",
    ),
}


@pytest.fixture(params=CASES)
def unsafe_host(request, editable_host):
    """Return a function that makes a host with an unsafe schema, and the message's pattern."""
    schema, config, pattern = CASES[request.param]

    def make(**more):
        options = {"model": make_model_with_aliases, "PROFILE_SCHEMA": schema} | config | more
        return editable_host(**options)

    return make, f"(?s)PATCH is enabled.*{pattern}"


def test_it_is_a_configuration_error_for_every_method(unsafe_host):
    make, message = unsafe_host
    host = make(TESTING=True)
    for method in ("GET", "POST", "PATCH"):
        with pytest.raises(ConfigurationError, match=message):
            host.client.open(URL, method=method, headers=host.bearer("john_doe"), json={})


def test_the_command_reports_it(unsafe_host):
    make, _ = unsafe_host
    result = make().app.test_cli_runner().invoke(args=["profile", "check"])
    assert result.exit_code == 1
    assert "PATCH is enabled, and " in result.stdout


def test_with_a_user_lookup_loader_no_patch_is_applied(unsafe_host):
    make, message = unsafe_host
    host = make(TESTING=True)
    host.jwt.user_lookup_loader(lambda *_: host.db.session.get(host.User, 1))
    with pytest.raises(ConfigurationError, match=message):
        patch(host, {"first_name": "Jack"})
    host.app.testing = False
    assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
    assert read_users(host, "first_name") == [JOHN["first_name"]]


def test_without_patch_any_schema_is_fine(unsafe_host):
    make, _ = unsafe_host
    host = make(PROFILE_METHODS=["POST"])
    identity = "john_doe" if host.app.config.get("PROFILE_IDENTITY_FIELD") else "1"
    assert host.post(identity).status_code == 200


def test_an_avatar_may_be_written_where_there_are_no_uploads(editable_host):
    host = editable_host(PROFILE_SCHEMA=WritableAvatar)
    assert patch(host, {"avatar": "other.png"}).json["avatar"] == "other.png"


def test_a_username_that_is_no_identity_may_be_written(editable_host):
    host = editable_host(PROFILE_SCHEMA=WritableSchema)
    assert patch(host, {"username": "jack"}).json["username"] == "jack"


def test_a_schema_that_loads_an_object_is_a_configuration_error_at_the_first_patch(editable_host):
    host = editable_host(PROFILE_SCHEMA=LoadsInstance, TESTING=True)
    with pytest.raises(ConfigurationError, match=r"(?s)LoadsInstance.load returns a .*post_load"):
        patch(host, {"first_name": "Jack"})


def test_load_instance_is_a_configuration_error(editable_host):
    class Opts(ProfileSchema.OPTIONS_CLASS):
        """As marshmallow-sqlalchemy has it."""

        def __init__(self, meta, **options):
            super().__init__(meta, **options)
            self.load_instance = getattr(meta, "load_instance", False)

    class AutoSchema(ProfileSchema):
        OPTIONS_CLASS = Opts

        class Meta:
            load_instance = True

    host = editable_host(PROFILE_SCHEMA=AutoSchema, TESTING=True)
    with pytest.raises(ConfigurationError, match=r"(?s)AutoSchema.*\n    load_instance = False"):
        host.post()


def test_a_hook_of_the_schema_cannot_write_the_key_either(editable_host):
    class Sly(ProfileSchema):
        @post_load
        def add_key(self, data, **_options):
            return data | {"id": 2}

    host = editable_host(PROFILE_SCHEMA=Sly, TESTING=True)
    with pytest.raises(ConfigurationError, match="'id'"):
        patch(host, {"first_name": "Jack"})
    assert read_users(host, "id") == [1]


def test_a_hook_of_the_schema_may_write_another_attribute(editable_host):
    class Marking(ProfileSchema):
        @post_load
        def mark(self, data, **_options):
            return data | {"is_staff": True}

    host = editable_host(PROFILE_SCHEMA=Marking)
    assert patch(host, {"first_name": "Jack"}).json["is_staff"] is True


def test_a_pre_load_hook_may_rename_what_the_client_sends(editable_host):
    class Renaming(ProfileSchema):
        @pre_load
        def rename(self, data, **_options):
            return {"first_name" if name == "given" else name: v for name, v in data.items()}

    host = editable_host(PROFILE_SCHEMA=Renaming)
    assert patch(host, {"given": "Jack"}).json["first_name"] == "Jack"
