from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from marshmallow import Schema, fields, post_dump, pre_dump
from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship, synonym

from conftest import JOHN_AS_JSON
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema

FIELDS = list(json.loads(JOHN_AS_JSON))


def test_a_profile_is_the_documented_one_to_the_byte(john):
    assert john.post().get_data(as_text=True) == JOHN_AS_JSON


def test_the_twelve_fields_keep_their_order():
    assert list(ProfileSchema().dump_fields) == FIELDS
    assert len(FIELDS) == 12


def test_by_default_three_fields_may_be_written():
    assert list(ProfileSchema().load_fields) == ["first_name", "last_name", "number_phone"]


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (None, None),
        ("", None),
        ("avatars/profile.jpg", "/media/avatars/profile.jpg"),
        ("/static/profile.jpg", "/static/profile.jpg"),
        ("https://cdn.example.com/profile.jpg", "https://cdn.example.com/profile.jpg"),
        ("HTTP://cdn.example.com/profile.jpg", "HTTP://cdn.example.com/profile.jpg"),
        ("//cdn.example.com/profile.jpg", "//cdn.example.com/profile.jpg"),
        ("javascript:alert(1)", "/media/javascript:alert(1)"),
    ],
)
def test_an_avatar_is_sent_as_a_url(stored, sent, host):
    assert host().add(avatar=stored).post().json["avatar"] == sent


@pytest.mark.parametrize("media_url", ["/files/", "https://cdn.example.com/", "/"])
def test_a_relative_avatar_is_put_behind_the_media_url(media_url, host):
    made = host(PROFILE_MEDIA_URL=media_url).add()
    assert made.post().json["avatar"] == f"{media_url}avatars/profile.jpg"


@pytest.mark.parametrize(
    ("joined", "sent"),
    [
        (datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc), "2024-01-15T10:30:00Z"),
        (datetime(2024, 1, 15, 10, 30), "2024-01-15T10:30:00Z"),
        (datetime(2024, 1, 15, 10, 30, 0, 500000), "2024-01-15T10:30:00.500000Z"),
        (datetime(2024, 1, 15, 10, 30, 0, 1), "2024-01-15T10:30:00.000001Z"),
        (datetime(2024, 1, 15, 1, tzinfo=timezone(timedelta(hours=2))), "2024-01-14T23:00:00Z"),
        (datetime(1, 1, 1), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59), "9999-12-31T23:59:59Z"),
    ],
)
def test_a_point_in_time_is_sent_in_utc(joined, sent, host):
    assert host().add(date_joined=joined).post().json["date_joined"] == sent


def test_what_is_not_set_is_null(host):
    profile = host().add(number_phone=None, avatar=None, last_login=None).post().json
    assert (profile["number_phone"], profile["avatar"], profile["last_login"]) == (None, None, None)


def test_a_uuid_key_is_sent_as_a_string():
    key = UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")
    assert ProfileSchema(only=["id"]).dump({"id": key}) == {"id": str(key)}


def test_the_password_hash_is_not_even_read(john):
    with john.statements() as statements:
        assert john.post().status_code == 200
    assert len(statements) == 1
    assert "password_hash" not in statements[0]


class Short(ProfileSchema):
    class Meta:
        fields = ("last_name", "id")


@pytest.mark.parametrize("schema", [Short, "test_schemas:Short"])
def test_a_schema_selects_only_what_it_names(schema, host):
    made = host(PROFILE_SCHEMA=schema).add()
    with made.statements() as statements:
        assert made.post().get_data(as_text=True) == '{"last_name": "Doe", "id": 1}'
    (select,) = statements
    assert select.partition("FROM")[0].count(",") == 2  # last_name, id, is_active
    assert "is_active" in select


def club(db):
    """Make a model with all that a schema may be made of."""

    class Team(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(9))
        budget: Mapped[int] = mapped_column(default=0)
        town_id: Mapped[int | None] = mapped_column(ForeignKey("town.id"))
        town = relationship("Town", lazy="selectin")

    class Town(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(9))

    class Post(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(String(9))
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    class User(ProfileMixin, db.Model):
        password_hash: Mapped[str | None] = mapped_column(String(9))
        nickname: Mapped[str] = mapped_column(String(9), default="Johnny")
        team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
        boss_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
        team = relationship("Team", lazy="joined")
        boss = relationship("User", remote_side="User.id", lazy="selectin")
        posts = relationship("Post", lazy="selectin")
        log = relationship("Post", lazy="write_only", viewonly=True)
        display = synonym("nickname")

        @hybrid_property
        def shout(self):
            return f"{self.nickname}!".upper() if self.nickname else ""

        @property
        def full_name(self):
            return f"{self.first_name} {self.last_name} ({self.nickname})"

        @property
        def greeting(self):
            return f"Dear {self.full_name}"

    User.loud = column_property(User.username + "!")
    db.Team, db.Town, db.Post = Team, Town, Post
    return User


@pytest.fixture
def members(host):
    """Return a host maker whose John has a team in a town, a boss and two posts."""

    def make(schema, **config):
        made = host(model=club, PROFILE_SCHEMA=schema, **config)
        with made.app.app_context():
            made.db.create_all()
            town = made.db.Town(id=1, name="Bern")
            made.db.session.add(made.db.Team(id=7, name="Reds", town=town))
            made.db.session.commit()
        made.add(id=2, username="ann", email="ann@example.com")
        posts = [made.db.Post(title=title) for title in ("One", "Two")]
        made.add(team_id=7, boss_id=2, posts=posts)
        return made

    return make


class TownSchema(Schema):
    name = fields.String()


class TeamSchema(Schema):
    name = fields.String()
    town = fields.Nested(TownSchema)


class BossSchema(ProfileSchema):
    boss = fields.Nested(lambda: BossSchema(only=("username", "boss")))

    class Meta:
        fields = ("username", "boss")


class Upper(fields.String):
    def _serialize(self, value, attr, obj, **kwargs):
        return f"{value} {obj.nickname}".upper()


class WithHook(Schema):
    name = fields.String()

    @pre_dump
    def rename(self, user, **_):
        return {"name": user.nickname}


class WithPostHook(Schema):
    username = fields.String()

    @post_dump(pass_original=True)
    def add_nickname(self, data, user, **_):
        return data | {"nickname": user.nickname}


class WithAccessor(Schema):
    name = fields.String()

    def get_attribute(self, obj, attr, default):
        return obj.nickname


def schema(**declared):
    return Schema.from_dict(declared)


RICH = {
    "a column under another name": (schema(nick=fields.String(attribute="nickname")), "Johnny"),
    "a column under another key": (schema(nick=fields.String(data_key="n", attribute="id")), "1"),
    "a column property": (schema(loud=fields.String()), "john_doe!"),
    "a synonym": (schema(display=fields.String()), "Johnny"),
    "a hybrid": (schema(shout=fields.String()), "JOHNNY!"),
    "a property": (schema(full_name=fields.String()), "John Doe (Johnny)"),
    "a property of a property": (schema(greeting=fields.String()), "Dear John Doe (Johnny)"),
    "a function": (schema(f=fields.Function(lambda u: u.nickname)), "Johnny"),
    "a function of a relationship": (schema(f=fields.Function(lambda u: u.team.name)), "Reds"),
    "a function with a loop": (
        schema(f=fields.Function(lambda u: [p.title for p in u.posts])),
        ["One", "Two"],
    ),
    "a constant": (schema(kind=fields.Constant("user")), "user"),
    "a default": (schema(colour=fields.String(dump_default="red")), "red"),
    "a field of the host's own": (schema(username=Upper()), "JOHN_DOE JOHNNY"),
    "a path": (schema(team=fields.String(attribute="team.name")), "Reds"),
    "a longer path": (schema(town=fields.String(attribute="team.town.name")), "Bern"),
    "a relationship": (
        schema(team=fields.Nested(TeamSchema)),
        {"name": "Reds", "town": {"name": "Bern"}},
    ),
    "a collection": (
        schema(posts=fields.List(fields.Nested(schema(title=fields.String())))),
        [{"title": "One"}, {"title": "Two"}],
    ),
    "a plucked collection": (
        schema(posts=fields.Pluck(schema(title=fields.String()), "title", many=True)),
        ["One", "Two"],
    ),
    "a hook before": (WithHook, "Johnny"),
    "an accessor": (WithAccessor, "Johnny"),
}


@pytest.mark.parametrize("case", RICH)
def test_a_schema_may_hold_more_than_columns_and_needs_one_statement_still(case, members):
    rich, expected = RICH[case]
    made = members(rich)
    with made.statements() as statements:
        response = made.post()
    assert list(response.json.values()) == [expected]
    assert len(statements) == 1
    assert "password_hash" not in statements[0]
    assert "budget" not in statements[0] or "function of a relationship" in case


def test_a_hook_after_may_read_the_user(members):
    made = members(WithPostHook)
    with made.statements() as statements:
        assert made.post().json == {"username": "john_doe", "nickname": "Johnny"}
    assert len(statements) == 1


def test_a_method_field_may_read_the_user(members):
    class WithMethod(ProfileSchema):
        initials = fields.Method("get_initials")

        def get_initials(self, user):
            return user.first_name[0] + user.last_name[0]

    made = members(WithMethod)
    with made.statements() as statements:
        assert list(made.post().json.items())[-1] == ("initials", "JD")
    assert len(statements) == 1
    assert "password_hash" not in statements[0]


def test_what_a_schema_reaches_in_a_hidden_way_is_loaded_when_touched(members):
    hidden = schema(f=fields.Function(lambda user: getattr(user, "nick" + "name")))
    assert members(hidden).post().json == {"f": "Johnny"}


def test_a_schema_may_nest_itself(members):
    made = members(BossSchema)
    assert made.post().json == {"username": "john_doe", "boss": {"username": "ann", "boss": None}}


def test_eager_relationships_cost_nothing_that_the_schema_does_not_name(members):
    made = members(ProfileSchema)
    with made.statements() as statements:
        assert made.post().get_data(as_text=True) == JOHN_AS_JSON
    assert len(statements) == 1
    assert "JOIN" not in statements[0]


def test_a_relationship_that_cannot_be_joined_is_left_alone(members):
    logs = schema(f=fields.Function(lambda user: str(user.log.select()).count("SELECT")))
    assert members(logs).post().json == {"f": 1}


def test_a_field_that_the_model_lacks_is_a_configuration_error_with_its_remedy(host):
    made = host(PROFILE_SCHEMA=schema(nickname=fields.String()), TESTING=True).add()
    with pytest.raises(ConfigurationError, match=r"(?s)User has no .*'nickname'.*\n    exclude"):
        made.post()
