"""Which user a PATCH changes, and who may send one."""

from __future__ import annotations

import uuid

import pytest
from flask_jwt_extended import get_csrf_token
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields, post_load
from sqlalchemy import ForeignKey, String, Table, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

from conftest import JOHN
from contract import (
    INACTIVE,
    JOHN_PROFILE,
    NOT_FOUND,
    NOT_PROVIDED,
    NOT_SAVED,
    NOT_VALID,
    READ_ONLY,
    TAKEN,
    UNKNOWN,
    URL,
)
from editing.requests import parse, patch
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema
from host_databases import read_users
from schemas import WritableSchema


class TestUser:
    def test_the_primary_key_may_be_a_uuid(self, editable_host):
        user_id = uuid.UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")

        def model(db):
            class User(ProfileMixin, db.Model):
                id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)

            return User

        host = editable_host(model=model, values={"id": user_id}, PROFILE_SCHEMA=WritableSchema)
        host.add(id=uuid.UUID(int=1), username="ann", email="ann@example.com")
        assert patch(host, {"first_name": "Jack"}, str(user_id)).json == (
            JOHN_PROFILE | {"id": str(user_id), "first_name": "Jack"}
        )
        assert parse(patch(host, {"username": "ann"}, str(user_id))) == (400, {"username": TAKEN})

    def test_a_model_may_span_two_tables(self, editable_host):
        db = SQLAlchemy()

        class Person(ProfileMixin, db.Model):
            kind: Mapped[str] = mapped_column(String(9))
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

        class Member(Person):
            id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
            nickname: Mapped[str | None] = mapped_column(String(9), unique=True)
            __mapper_args__ = {"polymorphic_identity": "member"}

        class Nicknamed(WritableSchema):
            nickname = fields.String(allow_none=True)

        host = editable_host(
            db=db, model=lambda _db: Member, PROFILE_USER_MODEL=Member, PROFILE_SCHEMA=Nicknamed
        )
        host.add(id=2, username="ann", email="ann@example.com", nickname="Annie")
        changes = {"first_name": "Jack", "nickname": "Jackie"}
        assert patch(host, changes).json == JOHN_PROFILE | changes
        assert host.post().json == JOHN_PROFILE | changes
        for taken in ({"username": "ann"}, {"nickname": "Annie"}):
            messages = dict.fromkeys(taken, TAKEN)
            assert parse(patch(host, taken | {"last_name": "Roe"})) == (400, messages)
        too_long = {"nickname": ["Longer than maximum length 9."]}
        assert parse(patch(host, {"nickname": "x" * 10})) == (400, too_long)
        assert host.post().json == JOHN_PROFILE | changes

    def test_its_relationships_are_read_only(self, editable_host):
        class TeamSchema(Schema):
            id = fields.Integer()
            name = fields.String()

        class Member(WritableSchema):
            team = fields.Nested(TeamSchema)
            teams = fields.List(fields.Nested(TeamSchema), data_key="allTeams")
            team_id = fields.Integer(allow_none=True)

        def model(db):
            class Team(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)
                name: Mapped[str] = mapped_column(String(9))

            class User(ProfileMixin, db.Model):
                team_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))
                team = relationship(Team)
                teams = relationship(
                    Team,
                    secondary=lambda: membership,
                    order_by=Team.id,
                )

            membership = Table(
                "membership",
                db.metadata,
                *(db.Column("user_id", ForeignKey(User.id)), db.Column("of", ForeignKey(Team.id))),
            )
            User.Team = Team
            return User

        host = editable_host(model=model, PROFILE_SCHEMA=Member)
        with host.app.app_context():
            teams = [host.User.Team(id=n, name=f"team {n}") for n in (1, 2)]
            host.db.session.add_all(teams)
            host.db.session.get(host.User, 1).teams = teams
            host.db.session.commit()
        as_json = [{"id": 1, "name": "team 1"}, {"id": 2, "name": "team 2"}]
        expected = JOHN_PROFILE | {"team": as_json[1], "team_id": 2, "allTeams": as_json}
        for body in ({"team_id": 2}, {}, {"team_id": 2}):
            assert patch(host, body).json == expected
            assert host.post().json == expected
        body = {"team": {"id": 1}, "allTeams": [], "teams": []}
        messages = {"team": READ_ONLY, "allTeams": READ_ONLY, "teams": UNKNOWN}
        assert parse(patch(host, body)) == (400, messages)
        assert patch(host, {"team_id": None}).json == expected | {"team": None, "team_id": None}

    @pytest.mark.parametrize(
        ("identity", "status", "expected"), [("2", 401, INACTIVE), ("3", 404, NOT_FOUND)]
    )
    @pytest.mark.parametrize("body", [{"data": b"{"}, {"content_type": "text/plain"}])
    def test_an_inactive_or_missing_user_is_rejected_before_the_body_is_read(
        self, body, identity, status, expected, editable_host
    ):
        host = editable_host().add(id=2, username="ann", email="ann@example.com", is_active=False)
        assert parse(patch(host, identity=identity, **body)) == (status, expected)

    def test_its_token_may_be_in_the_body(self, editable_host):
        host = editable_host(JWT_TOKEN_LOCATION=["json"])
        body = {"first_name": "Jack", "access_token": host.token()}
        response = host.client.patch(URL, json=body)
        assert (response.status_code, response.json) == (200, JOHN_PROFILE | {"first_name": "Jack"})

    def test_its_token_may_be_in_a_cookie(self, editable_host):
        host = editable_host(JWT_TOKEN_LOCATION=["cookies"], PROFILE_METHODS=["PATCH"])
        token = host.token()
        with host.app.app_context():
            csrf = get_csrf_token(token)
        headers = {"Cookie": f"access_token_cookie={token}"}
        body = {"first_name": "Jack"}
        response = host.client.patch(URL, headers=headers, json=body)
        assert parse(response) == (401, NOT_VALID)
        headers["X-CSRF-TOKEN"] = csrf
        assert host.client.patch(URL, headers=headers, json=body).json == JOHN_PROFILE | body

    @pytest.mark.parametrize(
        ("headers", "expected"), [({}, NOT_PROVIDED), ({"Authorization": "Bearer x"}, NOT_VALID)]
    )
    @pytest.mark.parametrize("body", [{"data": b"{"}, {"json": {"first_name": "Jack"}}])
    def test_an_invalid_token_is_rejected_before_the_body_is_read(
        self, body, headers, expected, editable_host
    ):
        host = editable_host()
        response = host.client.patch(URL, headers=headers, **body)
        assert parse(response) == (401, expected)
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="api"')
        assert read_users(host, "first_name") == ["John"]

    def test_a_user_deleted_in_the_meantime_is_a_404(self, editable_host):
        class Deleting(ProfileSchema):
            @post_load
            def delete(self, data, **_options):
                with host.db.engine.begin() as connection:
                    connection.execute(host.User.__table__.delete())
                return data

        host = editable_host(PROFILE_SCHEMA=Deleting)
        assert parse(patch(host, {"first_name": "Jack"})) == (404, NOT_FOUND)


class TestUserLookupLoader:
    @pytest.fixture
    def loader_host(self, editable_host):
        """Return a factory of hosts with a user lookup loader, which is called with the host."""

        def make(load, **config):
            host = editable_host(PROFILE_SCHEMA=WritableSchema, **config)
            host.jwt.user_lookup_loader(lambda _header, payload: load(host, payload["sub"]))
            return host.add(id=2, username="ann", email="ann@example.com")

        return make

    def test_an_entity_of_the_session_is_updated(self, loader_host):
        host = loader_host(lambda host, identity: host.db.session.get(host.User, int(identity)))
        response = patch(host, {"first_name": "Jack"})
        assert (response.status_code, response.json) == (200, JOHN_PROFILE | {"first_name": "Jack"})
        assert parse(patch(host, {"username": "ann"})) == (400, {"username": TAKEN})
        assert parse(patch(host, {}, "3")) == (404, NOT_FOUND)
        assert read_users(host, "first_name") == ["Jack", "John"]

    def test_an_entity_outside_the_session_is_a_configuration_error(self, loader_host):
        host = loader_host(lambda host, _identity: host.User(**JOHN, is_active=True), TESTING=True)
        message = r"(?s)does not belong to db\.session.*return db\.session\.get\(User, identity\)"
        with pytest.raises(ConfigurationError, match=message):
            patch(host, {"first_name": "Jack"})
        host.app.testing = False
        assert parse(patch(host, {"first_name": "Jack"})) == (500, NOT_SAVED)
        assert read_users(host, "first_name") == ["John", "John"]

    def test_a_mapping_identifies_the_row_to_update(self, loader_host):
        user = {**JOHN, **dict.fromkeys(("is_staff", "is_superuser"), False), "is_active": True}
        host = loader_host(lambda *_: user)
        assert patch(host, {"first_name": "Jack"}).json["first_name"] == "Jack"
        assert read_users(host, "first_name") == ["Jack", "John"]
