"""Values that another user has already, and other constraints."""

from __future__ import annotations

import pytest
from marshmallow import fields
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, event, func
from sqlalchemy.orm import Mapped, mapped_column

from contract import JOHN_PROFILE, TAKEN, UNACCEPTABLE_BODY
from editing.requests import parse, patch
from flask_profile import ProfileMixin, ProfileSchema
from host_databases import read_users
from schemas import WritableSchema


class TestUnique:
    @pytest.fixture
    def host_with_two_users(self, editable_host):
        """Return a factory of hosts with two users, John and Ann."""

        def make(**config):
            host = editable_host(**{"PROFILE_SCHEMA": WritableSchema} | config)
            return host.add(id=2, username="ann", email="ann@example.com")

        return make

    @pytest.mark.parametrize(
        ("body", "taken_fields"),
        [
            ({"username": "ann"}, ["username"]),
            ({"email": "ann@example.com", "first_name": "Jack"}, ["email"]),
            ({"username": "ann", "email": "ann@example.com"}, ["username", "email"]),
            ({"username": "ann", "email": "new@example.com"}, ["username"]),
        ],
    )
    def test_a_taken_value_is_rejected(self, body, taken_fields, host_with_two_users):
        host = host_with_two_users()
        before = read_users(host)
        assert parse(patch(host, body)) == (400, dict.fromkeys(taken_fields, TAKEN))
        assert read_users(host) == before

    def test_the_users_own_value_is_not_taken(self, host_with_two_users):
        host = host_with_two_users()
        body = {"username": "john_doe", "email": "jack@example.com"}
        assert patch(host, body).json == JOHN_PROFILE | body

    def test_a_value_that_another_user_gave_up_is_free(self, host_with_two_users):
        host = host_with_two_users()
        assert patch(host, {"username": "eve"}, "2").status_code == 200
        assert patch(host, {"username": "ann"}).json["username"] == "ann"

    def test_the_message_uses_the_data_key_of_the_field(self, host_with_two_users):
        def model(db):
            class User(ProfileMixin, db.Model):
                handle: Mapped[str | None] = mapped_column("handle_of", String(9), unique=True)

            return User

        class Login(ProfileSchema):
            username = fields.String(data_key="loginName")
            nickname = fields.String(attribute="handle", data_key="nick")

        host = host_with_two_users(model=model, PROFILE_SCHEMA=Login)
        assert patch(host, {"nick": "neo"}, "2").json["nick"] == "neo"
        for body in ({"loginName": "ann"}, {"nick": "neo"}, {"nick": "neo", "loginName": "ann"}):
            response = patch(host, body | {"first_name": "Jack"})
            assert parse(response) == (400, dict.fromkeys(body, TAKEN))
        assert read_users(host, "first_name") == ["John", "John"]

    @pytest.mark.parametrize(
        ("body", "taken_fields"),
        [
            ({"first_name": "Ann"}, ["first_name"]),
            ({"first_name": "Ann", "last_name": "Doe"}, ["first_name", "last_name"]),
        ],
    )
    def test_a_unique_constraint_may_span_several_columns(self, body, taken_fields, editable_host):
        def model(db):
            class User(ProfileMixin, db.Model):
                __table_args__ = (
                    UniqueConstraint("first_name", "last_name"),
                    Index("ix_phone", "number_phone"),
                )

            return User

        host = editable_host(model=model).add(id=2, username="a", email="a", first_name="Ann")
        assert parse(patch(host, body)) == (400, dict.fromkeys(taken_fields, TAKEN))
        distinct = {"first_name": "Ann", "last_name": "Roe"}
        assert patch(host, distinct).json == JOHN_PROFILE | distinct

    def test_a_unique_index_may_be_on_an_expression(self, host_with_two_users):
        def model(db):
            class User(ProfileMixin, db.Model):
                pass

            index = Index("ix_email", func.lower(User.email), unique=True)
            # MariaDB has no indexes on expressions, but its collation treats both texts as equal.
            index.ddl_if(callable_=lambda *_, dialect, **__: dialect.name != "mysql")
            return User

        host = host_with_two_users(model=model)
        assert parse(patch(host, {"email": "ANN@example.com"})) == (400, {"email": TAKEN})
        assert patch(host, {"email": "JOHN@example.com"}).json["email"] == "JOHN@example.com"

    def test_a_foreign_key_violation_is_a_400_without_field_names(self, host):
        def model(db):
            class Team(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)

            class User(ProfileMixin, db.Model):
                team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))

            return User

        class Member(ProfileSchema):
            team_id = fields.Integer()

        host_app = host(model=model, PROFILE_METHODS="PATCH", PROFILE_SCHEMA=Member)

        def enforce(connection, _record):
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()

        with host_app.app.app_context():
            if host_app.db.engine.dialect.name == "sqlite":
                event.listen(host_app.db.engine, "connect", enforce)
        host_app.add()
        body = {"first_name": "Jack", "team_id": 7}
        assert parse(patch(host_app, body)) == (400, UNACCEPTABLE_BODY)
        assert (read_users(host_app, "first_name"), read_users(host_app, "team_id")) == (
            ["John"],
            [None],
        )

    def test_a_check_constraint_violation_is_a_400_without_field_names(self, editable_host):
        def model(db):
            class User(ProfileMixin, db.Model):
                age: Mapped[int | None] = mapped_column(CheckConstraint("age > 0"))

            return User

        class Aged(ProfileSchema):
            age = fields.Integer()

        host = editable_host(model=model, PROFILE_SCHEMA=Aged)
        assert parse(patch(host, {"first_name": "Jack", "age": 0})) == (400, UNACCEPTABLE_BODY)
        assert patch(host, {"age": 1}).json == JOHN_PROFILE | {"age": 1}
