"""``flask profile check`` tries a user of the database."""

from __future__ import annotations

import pytest
from marshmallow import fields
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from cli.running import find_problem_codes, run_command
from conftest import define
from flask_profile import (
    ProfileBlueprint,
    ProfileSchema,
    profile_updated,
)


class TestCheckTriesAUser:
    """The command requests the profile of a user in the database."""

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
        assert "The app cannot send the profile of the user '1'." in output
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

    def test_it_reports_why_a_loader_was_not_tried(self, host):
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
