"""The commands in an app whose users may delete their accounts."""

from __future__ import annotations

import json
import uuid

import pytest
from sqlalchemy import String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from cli.running import find_problem_codes, run_command
from conftest import model_with_id
from contract import JOHN_PROFILE
from flask_profile import (
    ProfileMixin,
)


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
