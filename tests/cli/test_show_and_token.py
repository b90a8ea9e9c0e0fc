"""``flask profile show`` and ``token``."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest
from flask import Blueprint
from flask_jwt_extended import decode_token
from sqlalchemy import Uuid
from sqlalchemy.orm import Mapped, mapped_column

from cli.running import run_command
from conftest import JOHN, JOHN_AS_JSON, model_with_id
from contract import JOHN_PROFILE
from flask_profile import (
    ProfileBlueprint,
    ProfileSchema,
)
from servers import serve


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
    assert "cannot create an access token for '1'" in result.stderr
    john.jwt.user_identity_loader(lambda _user: "other")  # The loader decides the identity.
    assert "the app returns a 404 NOT FOUND response." in run_command(john, "token", "1").stderr


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
