"""The commands of ``flask profile``, as a developer runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from flask import Blueprint, Flask
from flask_jwt_extended import decode_token
from marshmallow import Schema, fields, post_load
from sqlalchemy import Index, String, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from conftest import JOHN, JOHN_AS_JSON, SECRET, define, model_with_id
from contract import JOHN_PROFILE
from flask_profile import (
    ProfileBlueprint,
    ProfileMixin,
    ProfileSchema,
    openapi_spec,
    profile_updated,
)
from pem_keys import make_key_config
from servers import serve


def run_command(host, *arguments):
    """Run a command of the app and return its result."""
    result = host.app.test_cli_runner().invoke(args=["profile", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def find_problem_codes(host):
    """Return the codes of the problems that ``check`` reports."""
    result = run_command(host, "check", "--json")
    problems = json.loads(result.stdout)["problems"]
    levels = {problem["level"] for problem in problems}
    assert result.exit_code == ("error" in levels)
    assert run_command(host, "check", "--strict").exit_code == bool(levels & {"error", "warning"})
    return [problem["code"] for problem in problems]


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


def test_check_reports_each_problem_and_how_to_fix_it(host):
    host_app = host(JWT_SECRET_KEY="short")
    result = run_command(host_app, "check")
    assert result.exit_code == 1
    assert "weak_secret" in result.stdout
    assert "has 40 bits, HS256 asks for 256" in result.stdout
    assert "missing_table (profile)" in result.stdout
    assert "    db.create_all()" in result.stdout


def test_check_reports_a_missing_jwt_manager(host):
    host_app = host(with_jwt=False).add()
    assert find_problem_codes(host_app) == ["no_jwt_manager"]
    assert "    JWTManager(app)" in run_command(host_app, "check").stdout


def test_check_reports_a_missing_secret(host):
    host_app = host(JWT_SECRET_KEY=None).add()
    assert find_problem_codes(host_app) == ["no_secret"]
    assert "secrets.token_hex" in run_command(host_app, "check").stdout


@pytest.mark.parametrize(("algorithm", "minimum"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_check_reports_a_secret_that_is_too_short_for_its_algorithm(algorithm, minimum, host):
    codes = [
        find_problem_codes(host(JWT_SECRET_KEY="x" * length, JWT_ALGORITHM=algorithm).add())
        for length in (minimum - 1, minimum)
    ]
    assert codes == [["weak_secret"], []]


def test_check_considers_every_allowed_algorithm(host):
    host_app = host(JWT_SECRET_KEY="x" * 32, JWT_DECODE_ALGORITHMS=["HS256", "HS512"]).add()
    assert find_problem_codes(host_app) == ["weak_secret"]


def test_check_reports_weak_keys_of_other_algorithms(host):
    small = rsa.generate_private_key(65537, 1024)
    large = rsa.generate_private_key(65537, 2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    codes = [
        find_problem_codes(host(JWT_ALGORITHM=name, **make_key_config(key)).add())
        for name, key in (
            *(("RS256", small), ("RS256", large), ("ES256", curve)),
            ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        )
    ]
    assert codes == [["weak_secret"], [], [], []]


def test_check_reports_a_key_that_cannot_be_read(host):
    host_app = host(JWT_ALGORITHM="RS256", JWT_PRIVATE_KEY="x", JWT_PUBLIC_KEY="x").add()
    assert find_problem_codes(host_app) == ["wrong_key"]


def test_check_ignores_a_key_from_the_decode_key_loader(host):
    host_app = host(JWT_SECRET_KEY=None).add()
    host_app.jwt.decode_key_loader(lambda _header, _claims: SECRET)
    assert find_problem_codes(host_app) == []


def test_check_reports_a_migration_that_was_not_run(host):
    host_app = host()
    with host_app.app.app_context():
        host_app.db.session.execute(text("CREATE TABLE other (id INTEGER)"))
        host_app.db.session.commit()
    assert find_problem_codes(host_app) == ["missing_table"]
    with host_app.app.app_context():
        host_app.db.create_all()
        name = quote_table(host_app, host_app.User.__table__)
        host_app.db.session.execute(text(f"ALTER TABLE {name} DROP COLUMN last_login"))
        host_app.db.session.commit()
    host_app.app.extensions["migrate"] = object()
    result = run_command(host_app, "check")
    assert "missing_column" in result.stdout
    assert "lacks last_login" in result.stdout
    assert "flask db upgrade" in result.stdout
    assert find_problem_codes(host_app) == ["missing_column"]


def quote_table(host, table):
    return host.db.engine.dialect.identifier_preparer.format_table(table)


def test_check_reports_an_unreachable_database(host):
    host_app = host(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at-all.db")
    assert find_problem_codes(host_app) == ["database"]
    assert "/nowhere/at-all.db cannot be read" in run_command(host_app, "check").stdout


def model_with_identity_column(constraint=None, *column_names, **options):
    """Return a function that defines a model with a column for the identity.

    Args:
        constraint: The class of a constraint or an index on several columns.
        column_names: The arguments of the constraint.
        options: The options of the column.
    """

    def model(db):
        class User(ProfileMixin, db.Model):
            email: Mapped[str] = mapped_column(String(200))
            public: Mapped[str] = mapped_column(String(40), **options)
            __table_args__ = (constraint(*column_names),) if constraint else ()

        return User

    return model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (model_with_identity_column(), ["no_index"]),
        (model_with_identity_column(index=True), []),
        (model_with_identity_column(unique=True), []),
        (model_with_identity_column(UniqueConstraint, "public", "email"), []),
        (model_with_identity_column(UniqueConstraint, "email", "public"), ["no_index"]),
        (model_with_identity_column(Index, "ix_public", "public", "email"), []),
    ],
)
def test_check_reports_an_identity_field_without_an_index(model, expected, host):
    host_app = host(model=model, PROFILE_IDENTITY_FIELD="public")
    with host_app.app.app_context():
        host_app.db.create_all()
    assert find_problem_codes(host_app) == expected


def make_schema(**declared_fields):
    return type("Sending", (ProfileSchema,), declared_fields)


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


def test_check_reports_cookies_without_csrf_protection(host):
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_COOKIE_SECURE": True}
    assert find_problem_codes(host(**cookies).add()) == []
    assert find_problem_codes(host(**cookies, JWT_COOKIE_CSRF_PROTECT=False).add()) == ["no_csrf"]


def test_check_reports_methods_without_csrf_protection(host):
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_COOKIE_SECURE": True}
    methods = {"PROFILE_METHODS": ["GET", "POST", "PATCH"], "JWT_CSRF_METHODS": ["POST"]}
    host_app = host(**cookies, **methods).add()
    assert find_problem_codes(host_app) == ["no_csrf"]
    assert "(CSRF): PATCH." in run_command(host_app, "check").stdout


def test_check_warns_of_cookies_that_may_be_sent_without_encryption(host):
    host_app = host(JWT_TOKEN_LOCATION=["cookies"]).add()
    (problem,) = json.loads(run_command(host_app, "check", "--json").stdout)["problems"]
    assert (problem["code"], problem["level"]) == ("insecure_cookie", "warning")


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


def test_check_reports_a_bind_that_is_not_configured(host):
    def model(db):
        class User(ProfileMixin, db.Model):
            __bind_key__ = "users"

        return User

    host_app = host(model=model)
    assert find_problem_codes(host_app) == ["database"]
    assert "'users'" in run_command(host_app, "check").stdout


class TestCheckTriesAUser:
    """Whatever a request needs, check tries, for a user of the database."""

    @staticmethod
    def make_text_model(db):
        class User(db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)
            is_active: Mapped[str] = mapped_column(String(9))

        return User

    class Active(ProfileSchema):
        class Meta:
            fields = ("id", "is_active")

    class Crashing(ProfileSchema):
        greeting = fields.Function(lambda user: user.nobody)

    def add_text(self, host, **config):
        db, user = define(self.make_text_model)
        blueprint = ProfileBlueprint(user_model=user, schema=self.Active)
        host_app = host(model=lambda _db: user, db=db, blueprint=blueprint, **config)
        with host_app.app.app_context():
            host_app.db.create_all()
            host_app.db.session.add(host_app.User(id=1, is_active="yes"))
            host_app.db.session.commit()
        return host_app

    @pytest.mark.parametrize("config", [{}, {"TESTING": True}])
    @pytest.mark.parametrize("methods", ["POST", "GET", "PATCH"])
    def test_a_schema_that_crashes_is_an_error(self, methods, config, host):
        config |= {"PROFILE_SCHEMA": self.Crashing, "PROFILE_METHODS": methods}
        host_app = host(**config).add()
        assert find_problem_codes(host_app) == ["debug"] * ("TESTING" in config) + ["failure"]
        output = run_command(host_app, "check").stdout
        assert "The profile of the user '1' of the database cannot be sent." in output
        assert "AttributeError: 'User' object has no attribute 'nobody'" in output
        assert "is ready" not in output

    def test_a_loader_that_crashes_is_an_error(self, john):
        john.jwt.user_lookup_loader(lambda _header, claims: claims["no such claim"])
        assert find_problem_codes(john) == ["failure"]
        assert "KeyError: 'no such claim'" in run_command(john, "check").stdout

    def test_a_response_of_another_part_of_the_app_is_one_too(self, john):
        john.app.before_request(lambda: ("closed", 503))
        assert find_problem_codes(john) == ["failure"]
        assert "The response is a 503 SERVICE UNAVAILABLE." in run_command(john, "check").stdout

    def test_a_refusal_is_no_error(self, host):
        assert find_problem_codes(host().add(is_active=False)) == []

    def test_no_user_or_no_way_to_read_one_is_told_where_a_loader_was_not_tried(self, host):
        empty, unreadable = host().add(), host(PROFILE_METHODS="DELETE").add()
        with empty.app.app_context():
            empty.db.session.delete(empty.db.session.get(empty.User, 1))
            empty.db.session.commit()
        for host_app, reason in (
            (empty, "There is no user in the database."),
            (unreadable, "This profile cannot be read."),
        ):
            assert "not_checked" not in find_problem_codes(host_app)
            host_app.jwt.user_lookup_loader(lambda *_: None)
            assert "not_checked" in find_problem_codes(host_app)
            output = run_command(host_app, "check").stdout
            assert f"The user_lookup_loader of this app was not tried: {reason}" in output
            assert "/api/profile/ was not checked" in output

    def test_a_user_who_cannot_be_read_is_an_error_without_a_request_too(self, host):
        host_app = self.add_text(host, PROFILE_METHODS="DELETE")
        assert "failure" in find_problem_codes(host_app)
        assert "neither true nor false" in run_command(host_app, "check").stdout

    def test_it_changes_nothing(self, host):
        signals = []
        host_app = host(PROFILE_METHODS="PATCH").add()

        def receive(*_arguments, **_values):
            signals.append(1)

        with profile_updated.connected_to(receive), host_app.statements() as statements:
            assert find_problem_codes(host_app) == []
        assert signals == []
        assert not [s for s in statements if s.startswith("UPDATE") and "WHERE 0" not in s]


class TestCheckWithUserLoader:
    """Only the loader knows the users, so check must not say that all is well."""

    @staticmethod
    def load_nobody(_header, _claims):
        return None

    def test_without_a_model_it_says_what_was_not_checked(self, host):
        host_app = host(model=None, with_db=False, PROFILE_SCHEMA=Schema)
        host_app.jwt.user_lookup_loader(self.load_nobody)
        assert find_problem_codes(host_app) == ["not_checked"]
        output = run_command(host_app, "check").stdout
        assert 'app.config["PROFILE_USER_MODEL"]' in output
        assert output.endswith("/api/profile/ was not checked for POST.\n")

    def test_without_a_model_in_an_app_with_sqlalchemy_it_says_so_too(self, host):
        host_app = host(model=None, PROFILE_SCHEMA=Schema)
        host_app.jwt.user_lookup_loader(self.load_nobody)
        assert find_problem_codes(host_app) == ["not_checked"]

    @pytest.mark.parametrize(
        "config",
        [{"PROFILE_METHODS": "PATCH"}, {"PROFILE_METHODS": "DELETE"}, {"PROFILE_AVATARS": True}],
    )
    def test_what_changes_users_needs_the_model(self, config, host):
        host_app = host(model=None, **config)
        host_app.jwt.user_lookup_loader(self.load_nobody)
        assert find_problem_codes(host_app)[:1] == ["configuration"]

    def test_a_model_that_lacks_attributes_is_a_problem(self, host):
        class Nickname(ProfileSchema):
            nickname = fields.String(dump_only=True)

        host_app = host(PROFILE_SCHEMA=Nickname).add()
        host_app.jwt.user_lookup_loader(self.load_nobody)
        assert find_problem_codes(host_app) == ["configuration"]
        assert "no attribute 'nickname'" in run_command(host_app, "check").stdout


@pytest.mark.parametrize("user", ["1", "john_doe", "john@example.com"])
def test_show_prints_the_profile_of_a_user(user, john):
    assert run_command(john, "show", user, "--json").stdout == JOHN_AS_JSON + "\n"
    pretty = run_command(john, "show", user).stdout
    assert json.loads(pretty) == JOHN_PROFILE
    assert pretty.startswith('{\n  "id": 1,')


@pytest.mark.parametrize("user", ["nobody", "2", "\x00", "\udcff", ""])
def test_show_reports_that_no_user_was_found(user, john):
    result = run_command(john, "show", user)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No user has" in result.stderr
    assert "as identity, username, email." in result.stderr
    result = run_command(john, "show", user, "--json")
    assert result.exit_code == 1
    assert "No user has" in json.loads(result.stdout)["error"]


def test_an_identity_takes_precedence_over_a_name_and_an_ambiguous_name_is_an_error(john):
    john.add(id=2, username="1", email="john_doe")
    assert json.loads(run_command(john, "show", "1").stdout)["username"] == "john_doe"
    result = run_command(john, "show", "john_doe")
    assert result.exit_code == 1
    assert "Several users have 'john_doe'" in result.stderr


def test_show_reports_a_failure_of_the_database(host):
    result = run_command(host(), "show", "ann@example.com")  # There is no table.
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "user" in result.stderr


def test_show_prints_the_401_response_of_an_inactive_user(host):
    host_app = host().add(is_active=False)
    result = run_command(host_app, "show", "1")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "user_inactive"
    assert "a 401 UNAUTHORIZED response" in result.stderr


def test_show_supports_primary_keys_of_other_types(host):
    user_id = uuid.uuid4()
    host_app = host(model=model_with_id(Uuid)).add(id=user_id)
    for user in (str(user_id), "john_doe"):
        assert json.loads(run_command(host_app, "show", user).stdout)["id"] == str(user_id)
    host_by_username = host(PROFILE_IDENTITY_FIELD="username").add()
    assert json.loads(run_command(host_by_username, "show", "john@example.com").stdout)["id"] == 1


def test_users_without_names_are_found_by_their_identity(host):
    def model(db):
        class Plain(db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

        return Plain

    class Id(ProfileSchema):
        class Meta:
            fields = ("id",)

    host_app = host(
        model=model, PROFILE_USER_MODEL=None, PROFILE_SCHEMA=Id, PROFILE_REQUIRE_ACTIVE=False,
        blueprint=Blueprint("none", __name__),
    )  # fmt: skip
    host_app.app.register_blueprint(ProfileBlueprint(user_model=host_app.User))
    with host_app.app.app_context():
        host_app.db.create_all()
        host_app.db.session.add(host_app.User(id=7))
        host_app.db.session.commit()
    assert run_command(host_app, "show", "7", "--json").stdout == '{"id": 7}\n'
    assert "as identity." in run_command(host_app, "show", "8").stderr


LOCATIONS = [
    {},
    {"JWT_HEADER_NAME": "X-Token", "JWT_HEADER_TYPE": ""},
    {"JWT_TOKEN_LOCATION": ["cookies"]},
    {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_COOKIE_CSRF_PROTECT": False},
    {"JWT_TOKEN_LOCATION": ["cookies"], "PROFILE_METHODS": ["GET"]},
    {"JWT_TOKEN_LOCATION": ["query_string"], "JWT_QUERY_STRING_VALUE_PREFIX": "Bearer "},
    {"JWT_TOKEN_LOCATION": ["json"]},
    {"PROFILE_METHODS": ["GET"]},
    {"PROFILE_METHODS": ["PATCH"]},
    {"PROFILE_REQUIRE_JSON": True, "JWT_IDENTITY_CLAIM": "who"},
]


@pytest.mark.parametrize("config", LOCATIONS)
def test_the_curl_command_sends_the_token_where_the_app_reads_it(config, host, monkeypatch):
    host_app = host(**config).add()
    assert run_command(host_app, "show", "john_doe", "--json").stdout == JOHN_AS_JSON + "\n"
    with serve(host_app.app) as port:
        monkeypatch.setenv("FLASK_RUN_PORT", str(port))
        curl = json.loads(run_command(host_app, "token", "john_doe", "--json").stdout)["curl"]
        command = ["sh", "-c", f"{curl} -s"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == JOHN_AS_JSON


def test_the_app_accepts_a_printed_token(john):
    printed, _, curl = run_command(john, "token", "john_doe").stdout.splitlines()
    headers = {"Authorization": f"Bearer {printed}"}
    assert john.client.post("/api/profile/", headers=headers).status_code == 200
    assert curl.startswith("curl -X POST http://127.0.0.1:5000/api/profile/ ")
    assert printed in curl


def test_a_printed_url_has_the_server_name_and_scheme_of_the_app(host):
    host_app = host(SERVER_NAME="shop.example", PREFERRED_URL_SCHEME="https").add()
    assert " https://shop.example/api/profile/ " in run_command(host_app, "token", "1").stdout


@pytest.mark.parametrize("load_identity", [str, lambda user: str(user.id)])
def test_a_token_is_created_with_the_user_identity_loader_of_the_host(load_identity, john):
    john.jwt.user_identity_loader(load_identity)
    assert run_command(john, "show", "john_doe", "--json").stdout == JOHN_AS_JSON + "\n"


def test_an_unsuitable_identity_from_the_loader_creates_no_token(john):
    john.jwt.user_identity_loader(lambda _user: {})
    result = run_command(john, "token", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "makes no access token for '1'" in result.stderr
    john.jwt.user_identity_loader(lambda _user: "other")  # The loader decides the identity.
    assert "the app sends a 404 NOT FOUND response." in run_command(john, "token", "1").stderr


def test_a_token_that_the_app_does_not_accept_is_explained_and_not_printed(john):
    allowed = set()
    john.jwt.token_in_blocklist_loader(lambda _header, claims: claims["jti"] not in allowed)
    for command in ("token", "show"):
        result = run_command(john, command, "john_doe")
        assert result.exit_code == 1
        assert "eyJ" not in result.output
        assert "\nIts reason: The token has been revoked" in result.stderr
    assert "revoked" in json.loads(run_command(john, "token", "1", "--json").stdout)["error"]


def test_token_prints_a_fresh_token_on_demand(john):
    def is_fresh(*options):
        printed = run_command(john, "token", "1", "--json", *options).stdout
        with john.app.app_context():
            return decode_token(json.loads(printed)["access_token"])["fresh"]

    assert (is_fresh(), is_fresh("--fresh")) == (False, True)


@pytest.mark.parametrize("config", [{}, {"TESTING": True}])
def test_a_name_that_only_a_loader_could_know_is_explained(config, host):
    host_app = host(model=None, with_db=False, **config)
    host_app.jwt.user_lookup_loader(lambda _header, claims: int(claims["sub"]))
    for command in ("show", "token"):
        result = run_command(host_app, command, "alice")
        assert result.exit_code == 1
        assert "so 'alice' was taken as an identity." in result.stderr
        assert 'app.config["PROFILE_USER_MODEL"]' in result.stderr


def test_an_error_that_the_app_lets_through_has_no_traceback(host):
    host_app = host(TESTING=True).add()

    @host_app.app.before_request
    def fail():
        raise RuntimeError("the cellar is closed")

    result = run_command(host_app, "show", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: The app raised RuntimeError: the cellar is closed\n"


def test_users_from_a_user_lookup_loader_are_found_by_their_identity(host):
    host_app = host(model=None, with_db=False)
    assert "db.init_app(app)" in run_command(host_app, "show", "7").stderr
    host_app.jwt.user_lookup_loader(
        lambda _header, claims: JOHN | {"id": int(claims["sub"]), "is_active": True}
        | {"is_staff": False, "is_superuser": False}
    )  # fmt: skip
    assert json.loads(run_command(host_app, "show", "7").stdout)["id"] == 7
    assert run_command(host_app, "show", "x").exit_code == 1


def test_an_unreachable_database_is_an_error_without_a_traceback(host):
    result = run_command(host(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at-all.db"), "show", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")


def test_with_several_blueprints_one_has_to_be_named(john):
    john.app.register_blueprint(ProfileBlueprint("me"), url_prefix="/me")
    result = run_command(john, "show", "1")
    assert result.exit_code == 2
    assert "Name one of profile, me with --blueprint." in result.stderr
    assert run_command(john, "show", "1", "--blueprint", "you").exit_code == 2
    result = run_command(john, "token", "1", "--blueprint", "me")
    assert " http://127.0.0.1:5000/me/ " in result.stdout
    assert run_command(john, "show").exit_code == 2


def test_a_url_with_variable_parts_is_an_error(host):
    parent = Blueprint("site", __name__, url_prefix="/<lang>")
    host_app = host(blueprint=parent).add()
    child = Blueprint("other", __name__, url_prefix="/<lang>")
    child.register_blueprint(ProfileBlueprint())
    host_app.app.register_blueprint(child)
    result = run_command(host_app, "show", "1")
    assert result.exit_code == 1
    assert "/<lang>/api/profile/ has parts that only a request knows." in result.stderr


def test_a_response_that_is_not_json_is_printed_unchanged(john):
    john.app.before_request(lambda: "Closed for the night")
    assert run_command(john, "show", "1").stdout == "Closed for the night\n"


def test_openapi_prints_the_document(john):
    for arguments in ([], ["--json"]):
        printed = run_command(john, "openapi", *arguments).stdout
        assert json.loads(printed) == openapi_spec(john.app)


def test_openapi_without_apispec_names_the_extra(john, monkeypatch):
    monkeypatch.setitem(sys.modules, "apispec", None)
    monkeypatch.delitem(sys.modules, "flask_profile.openapi.document", raising=False)
    result = run_command(john, "openapi")
    assert result.exit_code == 1
    assert "flask-profile-api[openapi]" in result.stderr


def test_a_command_of_the_host_with_the_same_name_is_kept():
    app = Flask("host")

    @app.cli.command("profile")
    def profile():
        """Measure the host."""

    app.register_blueprint(ProfileBlueprint())
    assert app.cli.commands["profile"] is profile
    app.register_blueprint(ProfileBlueprint("me"), cli_group="user", url_prefix="/me")
    assert "check" in app.cli.commands["user"].commands


def test_flask_lists_the_commands(tmp_path):
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom flask_profile import ProfileBlueprint\n"
        "app = Flask(__name__)\napp.register_blueprint(ProfileBlueprint())\n"
    )
    flask = [sys.executable, "-m", "flask"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    listed, checked = (
        subprocess.run(
            [*flask, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        for arguments in (["profile"], ["profile", "check"])
    )
    assert all(name in listed.stdout + listed.stderr for name in ("check", "show", "openapi"))
    assert checked.returncode == 1
    assert "    JWTManager(app)" in checked.stdout


class TestDeletion:
    def test_check_warns_of_an_identity_that_sqlite_gives_again(self, host):
        host_app = host(PROFILE_METHODS="POST,DELETE").add()
        is_sqlite = host_app.app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite")
        expected = ["identity_returns", "fresh_tokens"] if is_sqlite else ["fresh_tokens"]
        assert find_problem_codes(host_app) == expected
        output = run_command(host_app, "check").stdout
        assert ('{"sqlite_autoincrement": True}' in output) == is_sqlite
        assert output.endswith("/api/profile/ is ready for POST, DELETE.\n")

    def test_check_does_not_warn_of_one_that_never_comes_back(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                __table_args__ = {"sqlite_autoincrement": True}

            return User

        host_app = host(model=model, PROFILE_METHODS="POST,DELETE").add()
        assert find_problem_codes(host_app) == ["fresh_tokens"]
        host_app = host(
            model=model_with_id(Uuid()), PROFILE_METHODS="DELETE", PROFILE_FRESH_METHODS=[]
        )
        host_app.add(id=uuid.uuid4())
        assert find_problem_codes(host_app) == []

    @pytest.mark.parametrize("field", ["username", "email"])
    def test_check_warns_of_one_that_users_choose(self, field, host):
        config = {"PROFILE_METHODS": "POST,DELETE", "PROFILE_IDENTITY_FIELD": field}
        assert find_problem_codes(host(**config).add()) == ["identity_returns", "fresh_tokens"]
        config["PROFILE_ON_DELETE"] = "deactivate"
        assert find_problem_codes(host(**config).add()) == ["fresh_tokens"]

    def test_check_does_not_warn_of_one_that_nobody_chooses(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                uniquifier: Mapped[str] = mapped_column(String(64), unique=True, default="x")

            return User

        config = {"PROFILE_METHODS": "POST,DELETE", "PROFILE_IDENTITY_FIELD": "uniquifier"}
        assert find_problem_codes(host(model=model, **config).add()) == ["fresh_tokens"]

    def test_show_and_token_use_a_fresh_token_where_reading_needs_one(self, host):
        host_app = host(PROFILE_FRESH_METHODS=["POST"]).add()
        assert json.loads(run_command(host_app, "show", "1").stdout) == JOHN_PROFILE
        token = json.loads(run_command(host_app, "token", "1", "--json").stdout)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert host_app.client.post("/api/profile/", headers=headers).status_code == 200

    def test_show_says_that_a_profile_cannot_be_read(self, host):
        result = run_command(host(PROFILE_METHODS="DELETE").add(), "show", "1")
        assert result.exit_code == 1
        assert "This profile cannot be read" in result.stderr
