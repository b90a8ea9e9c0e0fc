"""``flask profile check``: what it prints, the schema, the settings, and the loader of users."""

from __future__ import annotations

import json
import shutil

import pytest
from marshmallow import Schema, fields, post_load

from cli.running import find_problem_codes, make_schema, run_command
from flask_profile import (
    ProfileBlueprint,
    ProfileSchema,
)


def test_check_names_the_ready_urls_if_there_is_no_problem(john):
    result = run_command(john, "check")
    assert (result.exit_code, result.stdout) == (0, "/api/profile/ is ready for POST.\n")
    assert find_problem_codes(john) == []


def test_check_names_the_methods_of_each_resource(host):
    host_app = host(
        PROFILE_METHODS=["GET", "PATCH"], PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE="memory://"
    ).add()
    assert run_command(host_app, "check").stdout == (
        "/api/profile/ is ready for GET, HEAD, PATCH.\n"
        "/api/profile/avatar/ is ready for PUT, DELETE.\n"
    )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (make_schema(password_hash=fields.String(dump_only=True)), ["secret_sent"]),
        (make_schema(it=fields.String(attribute="password_hash", dump_only=True)), ["secret_sent"]),
        (make_schema(username=fields.String(data_key="apiToken", dump_only=True)), ["secret_sent"]),
        (make_schema(password=fields.String(load_only=True)), []),
        (make_schema(nothing=fields.String()), ["configuration"]),
    ],
)
def test_check_reports_a_schema_that_sends_a_secret_or_a_missing_attribute(schema, expected, host):
    assert find_problem_codes(host(PROFILE_SCHEMA=schema).add()) == expected


def test_check_reports_a_schema_that_loads_a_missing_attribute(host):
    loading = make_schema(nothing=fields.String(load_only=True), nick=fields.String(load_only=True))
    host_app = host(PROFILE_SCHEMA=loading, PROFILE_METHODS=["PATCH"]).add()
    assert find_problem_codes(host_app) == ["configuration", "configuration"]
    assert "Sending loads 'nothing'" in run_command(host_app, "check").stdout

    class Hashing(ProfileSchema):
        password = fields.String(load_only=True)

        @post_load
        def hash(self, values, **_):
            return values

    assert find_problem_codes(host(PROFILE_SCHEMA=Hashing, PROFILE_METHODS=["PATCH"]).add()) == []
    assert find_problem_codes(host(PROFILE_METHODS=["PATCH"]).add()) == []


def test_check_warns_of_privileges_that_users_may_write(host):
    schema = make_schema(is_staff=fields.Boolean())
    assert find_problem_codes(host(PROFILE_SCHEMA=schema).add(is_staff=True)) == []
    host_app = host(PROFILE_SCHEMA=schema, PROFILE_METHODS=["PATCH"]).add()
    assert find_problem_codes(host_app) == ["privileged_field"]
    result = run_command(host_app, "check")
    assert "is_staff = Boolean(…, dump_only=True)" in result.stdout
    assert result.exit_code == 0
    assert run_command(host_app, "check", "--strict").exit_code == 1


def test_check_reports_settings_that_were_changed_too_late(john):
    john.app.config["PROFILE_METHODS"] = ["GET"]
    assert find_problem_codes(john) == ["changed_setting"]
    assert "PROFILE_METHODS was changed" in run_command(john, "check").stdout


def test_check_notes_config_keys_of_others(host):
    host_app = host(PROFILE_OF_THE_COMPANY="x").add()
    assert find_problem_codes(host_app) == ["other_keys"]
    result = run_command(host_app, "check", "--strict")
    assert (result.exit_code, "PROFILE_OF_THE_COMPANY" in result.stdout) == (0, True)


def test_check_reports_a_storage_that_cannot_be_written(host, tmp_path):
    place = tmp_path / "avatars"
    avatars = {"PROFILE_AVATARS": True, "PROFILE_MEDIA_STORAGE": str(place)}
    host_app = host(**avatars).add()
    assert find_problem_codes(host_app) == []
    assert [each for each in place.rglob("*") if each.is_file()] == []
    shutil.rmtree(place)
    place.write_text("not a directory")
    assert find_problem_codes(host_app) == ["storage"]
    result = run_command(host_app, "check")
    assert (result.exit_code, str(place) in result.stdout) == (1, True)


def test_check_reports_testing_and_debug_mode(host, john, monkeypatch):
    assert find_problem_codes(host(TESTING=True).add()) == ["debug"]
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert find_problem_codes(john) == ["debug"]
    assert "flask --no-debug profile check" in run_command(john, "check").stdout


def test_check_names_the_blueprint_of_a_problem(john):
    schema = make_schema(nothing=fields.String())
    john.app.register_blueprint(ProfileBlueprint("me", schema=schema), url_prefix="/me")
    (problem,) = json.loads(run_command(john, "check", "--json").stdout)["problems"]
    assert (problem["code"], problem["blueprint"]) == ("configuration", "me")
    assert "configuration (me)" in run_command(john, "check").stdout


def test_check_requires_a_model_without_a_user_lookup_loader(host):
    assert find_problem_codes(host(model=None, with_db=False)) == ["configuration"]
    host_app = host(model=None, with_db=False, with_jwt=False)
    assert find_problem_codes(host_app) == ["no_jwt_manager", "configuration"]


class TestCheckWithUserLoader:
    """Only the loader knows the users, so check must not say that all is well."""

    @staticmethod
    def load_no_user(_header, _claims):
        return None

    def test_without_a_model_it_says_what_was_not_checked(self, host):
        host_app = host(model=None, with_db=False, PROFILE_SCHEMA=Schema)
        host_app.jwt.user_lookup_loader(self.load_no_user)
        assert find_problem_codes(host_app) == ["not_checked"]
        output = run_command(host_app, "check").stdout
        assert 'app.config["PROFILE_USER_MODEL"]' in output
        assert output.endswith("/api/profile/ was not checked for POST.\n")

    def test_without_a_model_in_an_app_with_sqlalchemy_it_says_so_too(self, host):
        host_app = host(model=None, PROFILE_SCHEMA=Schema)
        host_app.jwt.user_lookup_loader(self.load_no_user)
        assert find_problem_codes(host_app) == ["not_checked"]

    @pytest.mark.parametrize(
        "config",
        [{"PROFILE_METHODS": "PATCH"}, {"PROFILE_METHODS": "DELETE"}, {"PROFILE_AVATARS": True}],
    )
    def test_what_changes_users_needs_the_model(self, config, host):
        host_app = host(model=None, **config)
        host_app.jwt.user_lookup_loader(self.load_no_user)
        assert find_problem_codes(host_app)[:1] == ["configuration"]

    def test_a_model_that_lacks_attributes_is_a_problem(self, host):
        class Nickname(ProfileSchema):
            nickname = fields.String(dump_only=True)

        host_app = host(PROFILE_SCHEMA=Nickname).add()
        host_app.jwt.user_lookup_loader(self.load_no_user)
        assert find_problem_codes(host_app) == ["configuration"]
        assert "no attribute 'nickname'" in run_command(host_app, "check").stdout
