"""Test what all commands of ``flask profile`` have in common, and ``openapi``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from flask import Blueprint, Flask

from cli.running import run_command
from flask_profile import (
    ProfileBlueprint,
    openapi_spec,
)


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
    assert "/<lang>/api/profile/ has variable parts." in result.stderr


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


def test_without_a_group_the_commands_are_those_of_the_app():
    app = Flask("host")
    app.register_blueprint(ProfileBlueprint(), cli_group=None)
    assert {"check", "show"} <= app.cli.commands.keys()
    assert app.test_cli_runner().invoke(args=["--help"]).exit_code == 0


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
