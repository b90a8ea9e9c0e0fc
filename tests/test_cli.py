"""The commands of flask profile, as a developer uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask import Blueprint, Flask
from marshmallow import fields, post_load
from sqlalchemy import Index, String, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.serving import make_server

from conftest import JOHN, JOHN_AS_JSON, SECRET, keyed
from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema, openapi_spec


def run(made, *arguments):
    """Return the exit code and what is printed by a command of an app."""
    result = made.app.test_cli_runner().invoke(args=["profile", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def codes(made):
    """Return the problems that check finds, by their codes."""
    result = run(made, "check", "--json")
    problems = json.loads(result.stdout)["problems"]
    assert result.exit_code == bool(problems)
    return [problem["code"] for problem in problems]


def pem(key):
    """Return the settings of an app that signs with a key."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"JWT_PRIVATE_KEY": private.decode(), "JWT_PUBLIC_KEY": public.decode()}


def test_check_says_what_is_ready_where_all_is_well(john):
    result = run(john, "check")
    assert (result.exit_code, result.stdout) == (0, "/api/profile/ is ready for POST.\n")
    assert codes(john) == []


def test_check_names_the_methods_of_each_resource(host):
    made = host(
        PROFILE_METHODS=["GET", "PATCH"], PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE="memory://"
    ).add()
    assert run(made, "check").stdout == (
        "/api/profile/ is ready for GET, HEAD, PATCH.\n"
        "/api/profile/avatar/ is ready for PUT, DELETE.\n"
    )


def test_check_names_each_problem_and_its_remedy(host):
    made = host(JWT_SECRET_KEY="short")
    result = run(made, "check")
    assert result.exit_code == 1
    assert "weak_secret" in result.stdout
    assert "has 40 bits, HS256 asks for 256" in result.stdout
    assert "missing_table (profile)" in result.stdout
    assert "    db.create_all()" in result.stdout


def test_check_finds_that_there_is_no_jwt_manager(host):
    made = host(with_jwt=False).add()
    assert codes(made) == ["no_jwt_manager"]
    assert "    JWTManager(app)" in run(made, "check").stdout


def test_check_finds_that_there_is_no_secret(host):
    made = host(JWT_SECRET_KEY=None).add()
    assert codes(made) == ["no_secret"]
    assert "secrets.token_hex" in run(made, "check").stdout


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_check_finds_a_secret_that_is_shorter_than_its_algorithm_asks(algorithm, least, host):
    found = [
        codes(host(JWT_SECRET_KEY="x" * length, JWT_ALGORITHM=algorithm).add())
        for length in (least - 1, least)
    ]
    assert found == [["weak_secret"], []]


def test_check_judges_every_algorithm_that_is_admitted(host):
    made = host(JWT_SECRET_KEY="x" * 32, JWT_DECODE_ALGORITHMS=["HS256", "HS512"]).add()
    assert codes(made) == ["weak_secret"]


def test_check_judges_keys_of_other_algorithms(host):
    small = rsa.generate_private_key(65537, 1024)
    large = rsa.generate_private_key(65537, 2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    found = [
        codes(host(JWT_ALGORITHM=name, **pem(key)).add())
        for name, key in (("RS256", small), ("RS256", large), ("ES256", curve))
    ]
    assert found == [["weak_secret"], [], []]


def test_check_finds_a_key_that_cannot_be_read(host):
    made = host(JWT_ALGORITHM="RS256", JWT_PRIVATE_KEY="x", JWT_PUBLIC_KEY="x").add()
    assert codes(made) == ["wrong_key"]


def test_check_does_not_judge_a_key_that_only_the_host_knows(host):
    made = host(JWT_SECRET_KEY=None).add()
    made.jwt.decode_key_loader(lambda _header, _claims: SECRET)
    assert codes(made) == []


def test_check_finds_a_migration_that_was_not_run(host):
    made = host()
    with made.app.app_context():
        made.db.session.execute(text("CREATE TABLE other (id INTEGER)"))
        made.db.session.commit()
    table = made.User.__table__
    assert codes(made) == ["missing_table"]
    with made.app.app_context():
        made.db.create_all()
        made.db.session.execute(text(f"ALTER TABLE {quoted(made, table)} DROP COLUMN last_login"))
        made.db.session.commit()
    made.app.extensions["migrate"] = object()
    result = run(made, "check")
    assert "missing_column" in result.stdout
    assert "lacks last_login" in result.stdout
    assert "flask db upgrade" in result.stdout
    assert codes(made) == ["missing_column"]


def quoted(made, table):
    return made.db.engine.dialect.identifier_preparer.format_table(table)


def test_check_says_that_a_database_does_not_answer_but_no_password(host):
    made = host(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at-all.db")
    assert codes(made) == ["database"]
    assert "/nowhere/at-all.db cannot be read" in run(made, "check").stdout


def columns(group=None, *names, **options):
    """Return what makes a model with a column that may identify a user."""

    def model(db):
        class User(ProfileMixin, db.Model):
            email: Mapped[str] = mapped_column(String(200))
            public: Mapped[str] = mapped_column(String(40), **options)
            __table_args__ = (group(*names),) if group else ()

        return User

    return model


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (columns(), ["no_index"]),
        (columns(index=True), []),
        (columns(unique=True), []),
        (columns(UniqueConstraint, "public", "email"), []),
        (columns(UniqueConstraint, "email", "public"), ["no_index"]),
        (columns(Index, "ix_public", "public", "email"), []),
    ],
)
def test_check_finds_an_identity_field_without_an_index(model, found, host):
    made = host(model=model, PROFILE_IDENTITY_FIELD="public")
    with made.app.app_context():
        made.db.create_all()
    assert codes(made) == found


def sending(**declared):
    return type("Sending", (ProfileSchema,), declared)


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (sending(password_hash=fields.String(dump_only=True)), ["secret_sent"]),
        (sending(it=fields.String(attribute="password_hash", dump_only=True)), ["secret_sent"]),
        (sending(username=fields.String(data_key="apiToken", dump_only=True)), ["secret_sent"]),
        (sending(password=fields.String(load_only=True)), []),
        (sending(nothing=fields.String()), ["configuration"]),
    ],
)
def test_check_finds_a_schema_that_sends_a_secret_or_what_there_is_not(schema, found, host):
    assert codes(host(PROFILE_SCHEMA=schema).add()) == found


def test_check_finds_a_schema_that_loads_what_there_is_not(host):
    loading = sending(nothing=fields.String(load_only=True), nick=fields.String(load_only=True))
    made = host(PROFILE_SCHEMA=loading, PROFILE_METHODS=["PATCH"]).add()
    assert codes(made) == ["configuration", "configuration"]
    assert "Sending loads 'nothing'" in run(made, "check").stdout

    class Hashing(ProfileSchema):
        password = fields.String(load_only=True)

        @post_load
        def hash(self, values, **_):
            return values

    assert codes(host(PROFILE_SCHEMA=Hashing, PROFILE_METHODS=["PATCH"]).add()) == []
    assert codes(host(PROFILE_METHODS=["PATCH"]).add()) == []


def test_check_finds_cookies_without_csrf_protection(host):
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"]}
    assert codes(host(**cookies).add()) == []
    assert codes(host(**cookies, JWT_COOKIE_CSRF_PROTECT=False).add()) == ["no_csrf"]


def test_check_finds_a_mode_that_is_not_for_production(host, john, monkeypatch):
    assert codes(host(TESTING=True).add()) == ["debug"]
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert codes(john) == ["debug"]
    assert "flask --no-debug profile check" in run(john, "check").stdout


def test_check_tells_which_profile_is_wrong(john):
    wrong = sending(nothing=fields.String())
    john.app.register_blueprint(ProfileBlueprint("me", schema=wrong), url_prefix="/me")
    (problem,) = json.loads(run(john, "check", "--json").stdout)["problems"]
    assert (problem["code"], problem["blueprint"]) == ("configuration", "me")
    assert "configuration (me)" in run(john, "check").stdout


def test_check_knows_that_a_host_may_load_its_users_itself(host):
    made = host(model=None, with_db=False)
    assert codes(made) == ["configuration"]
    made.jwt.user_lookup_loader(lambda _header, _claims: None)
    assert codes(made) == []
    assert codes(host(model=None, with_db=False, with_jwt=False)) == [
        "no_jwt_manager",
        "configuration",
    ]


@pytest.mark.parametrize("user", ["1", "john_doe", "john@example.com"])
def test_show_prints_what_a_user_would_get(user, john):
    assert run(john, "show", user, "--json").stdout == JOHN_AS_JSON + "\n"
    pretty = run(john, "show", user).stdout
    assert json.loads(pretty) == json.loads(JOHN_AS_JSON)
    assert pretty.startswith('{\n  "id": 1,')


@pytest.mark.parametrize("user", ["nobody", "2", "\x00", "\udcff", ""])
def test_show_says_that_there_is_no_such_user(user, john):
    result = run(john, "show", user)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No user has" in result.stderr
    assert "as identity, username, email." in result.stderr
    result = run(john, "show", user, "--json")
    assert result.exit_code == 1
    assert "No user has" in json.loads(result.stdout)["error"]


def test_an_identity_is_more_than_a_name_and_a_name_of_two_is_none(john):
    john.add(id=2, username="1", email="john_doe")
    assert json.loads(run(john, "show", "1").stdout)["username"] == "john_doe"
    result = run(john, "show", "john_doe")
    assert result.exit_code == 1
    assert "Several users have 'john_doe'" in result.stderr


def test_show_prints_the_refusal_of_an_inactive_user(host):
    made = host().add(is_active=False)
    result = run(made, "show", "1")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "user_inactive"
    assert "an answer 401" in result.stderr


def test_show_reads_keys_of_other_types(host):
    key = uuid.uuid4()
    made = host(model=keyed(Uuid)).add(id=key)
    for user in (str(key), "john_doe"):
        assert json.loads(run(made, "show", user).stdout)["id"] == str(key)
    named = host(PROFILE_IDENTITY_FIELD="username").add()
    assert json.loads(run(named, "show", "john@example.com").stdout)["id"] == 1


def test_users_without_names_are_known_by_their_identity(host):
    def model(db):
        class Plain(db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

        return Plain

    class Id(ProfileSchema):
        class Meta:
            fields = ("id",)

    made = host(
        model=model, PROFILE_USER_MODEL=None, PROFILE_SCHEMA=Id, PROFILE_REQUIRE_ACTIVE=False,
        blueprint=Blueprint("none", __name__),
    )  # fmt: skip
    made.app.register_blueprint(ProfileBlueprint(user_model=made.User))
    with made.app.app_context():
        made.db.create_all()
        made.db.session.add(made.User(id=7))
        made.db.session.commit()
    assert run(made, "show", "7", "--json").stdout == '{"id": 7}\n'
    assert "as identity." in run(made, "show", "8").stderr


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
def test_a_token_is_put_where_the_app_reads_it(config, host, monkeypatch):
    made = host(**config).add()
    assert run(made, "show", "john_doe", "--json").stdout == JOHN_AS_JSON + "\n"
    server = make_server("127.0.0.1", 0, made.app)
    Thread(target=server.serve_forever).start()
    monkeypatch.setenv("FLASK_RUN_PORT", str(server.port))
    curl = json.loads(run(made, "token", "john_doe", "--json").stdout)["curl"]
    answer = subprocess.run(["sh", "-c", f"{curl} -s"], capture_output=True, text=True, check=True)
    server.shutdown()
    server.server_close()
    assert answer.stdout == JOHN_AS_JSON


def test_a_printed_token_is_one_that_the_app_takes(john):
    printed, _, curl = run(john, "token", "john_doe").stdout.splitlines()
    headers = {"Authorization": f"Bearer {printed}"}
    assert john.client.post("/api/profile/", headers=headers).status_code == 200
    assert curl.startswith("curl -X POST http://127.0.0.1:5000/api/profile/ ")
    assert printed in curl


def test_a_printed_url_is_that_of_the_server(host):
    made = host(SERVER_NAME="shop.example", PREFERRED_URL_SCHEME="https").add()
    assert " https://shop.example/api/profile/ " in run(made, "token", "1").stdout


@pytest.mark.parametrize("take", [str, lambda user: str(user.id)])
def test_a_token_is_made_of_what_the_hosts_loader_takes(take, john):
    john.jwt.user_identity_loader(take)
    assert run(john, "show", "john_doe", "--json").stdout == JOHN_AS_JSON + "\n"


def test_a_loader_that_takes_nothing_makes_no_token(john):
    john.jwt.user_identity_loader(lambda _user: {})
    result = run(john, "token", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "makes no access token for '1'" in result.stderr
    john.jwt.user_identity_loader(lambda _user: "other")
    assert run(john, "token", "1").exit_code == 0  # Of the user that the host says it is.


def test_users_that_only_the_host_knows_are_named_by_their_identity(host):
    made = host(model=None, with_db=False)
    assert "db.init_app(app)" in run(made, "show", "7").stderr
    made.jwt.user_lookup_loader(
        lambda _header, claims: JOHN | {"id": int(claims["sub"]), "is_active": True}
        | {"is_staff": False, "is_superuser": False}
    )  # fmt: skip
    assert json.loads(run(made, "show", "7").stdout)["id"] == 7
    assert run(made, "show", "x").exit_code == 1


def test_a_database_that_does_not_answer_is_no_traceback(host):
    result = run(host(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at-all.db"), "show", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")


def test_one_of_several_profiles_has_to_be_named(john):
    john.app.register_blueprint(ProfileBlueprint("me"), url_prefix="/me")
    result = run(john, "show", "1")
    assert result.exit_code == 2
    assert "Name one of profile, me with --blueprint." in result.stderr
    assert run(john, "show", "1", "--blueprint", "you").exit_code == 2
    assert " http://127.0.0.1:5000/me/ " in run(john, "token", "1", "--blueprint", "me").stdout
    assert run(john, "show").exit_code == 2


def test_a_url_that_a_request_has_to_fill_is_none(host):
    parent = Blueprint("site", __name__, url_prefix="/<lang>")
    made = host(blueprint=parent).add()
    child = Blueprint("other", __name__, url_prefix="/<lang>")
    child.register_blueprint(ProfileBlueprint())
    made.app.register_blueprint(child)
    result = run(made, "show", "1")
    assert result.exit_code == 1
    assert "/<lang>/api/profile/ has parts that only a request knows." in result.stderr


def test_what_is_no_json_is_printed_as_it_is(john):
    john.app.before_request(lambda: "Closed for the night")
    assert run(john, "show", "1").stdout == "Closed for the night\n"


def test_openapi_prints_the_document(john):
    for arguments in ([], ["--json"]):
        printed = run(john, "openapi", *arguments).stdout
        assert json.loads(printed) == openapi_spec(john.app)


def test_openapi_without_apispec_names_the_extra(john, monkeypatch):
    monkeypatch.setitem(sys.modules, "apispec", None)
    monkeypatch.delitem(sys.modules, "flask_profile.openapi", raising=False)
    result = run(john, "openapi")
    assert result.exit_code == 1
    assert "flask-profile-api[openapi]" in result.stderr


def test_a_hosts_own_command_of_that_name_is_left_alone():
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
