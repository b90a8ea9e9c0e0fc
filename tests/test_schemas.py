from __future__ import annotations

import inspect
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields, post_dump, pre_dump
from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship, synonym

from conftest import JOHN_AS_JSON
from contract import JOHN_PROFILE
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema

FIELDS = list(JOHN_PROFILE)


def test_the_response_is_the_documented_profile_byte_for_byte(john):
    assert john.post().get_data(as_text=True) == JOHN_AS_JSON


def test_the_twelve_fields_are_in_the_documented_order():
    assert list(ProfileSchema().dump_fields) == FIELDS
    assert len(FIELDS) == 12


def test_by_default_three_fields_are_writable():
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


def test_the_media_url_is_that_of_the_app_in_nested_schemas_too(host):
    class Member(ProfileMixin):
        manager_id = mapped_column(ForeignKey("user.id"))

    class Nested(ProfileSchema):
        class Meta:
            fields = ("id", "avatar", "manager", "managers")

        manager = fields.Nested(lambda: Nested(exclude=["managers"]), dump_only=True)
        managers = fields.List(
            fields.Nested(ProfileSchema, only=["avatar"]), attribute="chain", dump_only=True
        )

    def model(db):
        class User(Member, db.Model):
            manager = relationship("User", remote_side="User.id")

            @property
            def chain(self):
                return [self.manager] if self.manager else []

        return User

    host_app = host(model=model, PROFILE_SCHEMA=Nested, PROFILE_MEDIA_URL="/files/")
    for number in (1, 2, 3):
        names = {"username": f"user{number}", "email": f"{number}@example.com"}
        host_app.add(id=number, manager_id=number - 1 or None, **names)
    avatar = "/files/avatars/profile.jpg"
    assert host_app.post("3").json == {
        "id": 3,
        "avatar": avatar,
        "manager": {
            "id": 2,
            "avatar": avatar,
            "manager": {"id": 1, "avatar": avatar, "manager": None},
        },
        "managers": [{"avatar": avatar}],
    }
    # A view of the host that dumps a schema, and a script that does so without an app.
    user = {"avatar": "avatars/profile.jpg"}
    with host_app.app.app_context():
        assert ProfileSchema(only=["avatar"]).dump(user) == {"avatar": avatar}
    assert ProfileSchema(only=["avatar"]).dump(user) == {"avatar": "/media/avatars/profile.jpg"}


@pytest.mark.parametrize("media_url", ["/files/", "https://cdn.example.com/", "/"])
def test_a_relative_avatar_path_is_appended_to_the_media_url(media_url, host):
    host_app = host(PROFILE_MEDIA_URL=media_url).add()
    assert host_app.post().json["avatar"] == f"{media_url}avatars/profile.jpg"


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
def test_a_datetime_is_sent_in_utc(joined, sent, host):
    assert host().add(date_joined=joined).post().json["date_joined"] == sent


def test_values_that_are_not_set_are_null(host):
    profile = host().add(number_phone=None, avatar=None, last_login=None).post().json
    assert (profile["number_phone"], profile["avatar"], profile["last_login"]) == (None, None, None)


def test_a_uuid_primary_key_is_sent_as_a_string():
    user_id = UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")
    assert ProfileSchema(only=["id"]).dump({"id": user_id}) == {"id": str(user_id)}


def test_the_password_hash_is_not_selected(john):
    with john.statements() as statements:
        assert john.post().status_code == 200
    assert len(statements) == 1
    assert "password_hash" not in statements[0]


class ShortSchema(ProfileSchema):
    class Meta:
        fields = ("last_name", "id")


@pytest.mark.parametrize("schema", [ShortSchema, "test_schemas:ShortSchema"])
def test_only_the_columns_of_the_schema_are_selected(schema, host):
    host_app = host(PROFILE_SCHEMA=schema).add()
    with host_app.statements() as statements:
        assert host_app.post().get_data(as_text=True) == '{"last_name": "Doe", "id": 1}'
    (select,) = statements
    assert select.partition("FROM")[0].count(",") == 2  # last_name, id, is_active
    assert "is_active" in select


def make_club_model(db):
    """Make a user model with every kind of attribute that a schema can read."""

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
def club_host(host):
    """Return a function that makes a host, in which John has a team, a boss and two posts."""

    def make(schema, **config):
        host_app = host(model=make_club_model, PROFILE_SCHEMA=schema, **config)
        with host_app.app.app_context():
            host_app.db.create_all()
            town = host_app.db.Town(id=1, name="Bern")
            host_app.db.session.add(host_app.db.Team(id=7, name="Reds", town=town))
            host_app.db.session.commit()
        host_app.add(id=2, username="ann", email="ann@example.com")
        posts = [host_app.db.Post(title=title) for title in ("One", "Two")]
        host_app.add(team_id=7, boss_id=2, posts=posts)
        return host_app

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


class UpperField(fields.String):
    def _serialize(self, value, attr, obj, **kwargs):
        return f"{value} {obj.nickname}".upper()


class PreDumpSchema(Schema):
    name = fields.String()

    @pre_dump
    def rename(self, user, **_):
        return {"name": user.nickname}


class PostDumpSchema(Schema):
    username = fields.String()

    @post_dump(pass_original=True)
    def add_nickname(self, data, user, **_):
        return data | {"nickname": user.nickname}


class GetAttributeSchema(Schema):
    name = fields.String()

    def get_attribute(self, obj, attr, default):
        return obj.nickname


def make_schema(**declared):
    return Schema.from_dict(declared)


SCHEMAS = {
    "a column with another field name": (
        make_schema(nick=fields.String(attribute="nickname")),
        "Johnny",
    ),
    "a column with a data_key": (
        make_schema(nick=fields.String(data_key="n", attribute="id")),
        "1",
    ),
    "a column property": (make_schema(loud=fields.String()), "john_doe!"),
    "a synonym": (make_schema(display=fields.String()), "Johnny"),
    "a hybrid property": (make_schema(shout=fields.String()), "JOHNNY!"),
    "a property": (make_schema(full_name=fields.String()), "John Doe (Johnny)"),
    "a property that reads a property": (
        make_schema(greeting=fields.String()),
        "Dear John Doe (Johnny)",
    ),
    "a function": (make_schema(f=fields.Function(lambda u: u.nickname)), "Johnny"),
    "a function that reads a relationship": (
        make_schema(f=fields.Function(lambda u: u.team.name)),
        "Reds",
    ),
    "a function with a loop": (
        make_schema(f=fields.Function(lambda u: [p.title for p in u.posts])),
        ["One", "Two"],
    ),
    "a constant": (make_schema(kind=fields.Constant("user")), "user"),
    "a default": (make_schema(colour=fields.String(dump_default="red")), "red"),
    "a custom field": (make_schema(username=UpperField()), "JOHN_DOE JOHNNY"),
    "a dotted attribute": (make_schema(team=fields.String(attribute="team.name")), "Reds"),
    "a longer dotted attribute": (
        make_schema(town=fields.String(attribute="team.town.name")),
        "Bern",
    ),
    "a relationship": (
        make_schema(team=fields.Nested(TeamSchema)),
        {"name": "Reds", "town": {"name": "Bern"}},
    ),
    "a collection": (
        make_schema(posts=fields.List(fields.Nested(make_schema(title=fields.String())))),
        [{"title": "One"}, {"title": "Two"}],
    ),
    "a plucked collection": (
        make_schema(posts=fields.Pluck(make_schema(title=fields.String()), "title", many=True)),
        ["One", "Two"],
    ),
    "a pre_dump hook": (PreDumpSchema, "Johnny"),
    "a get_attribute method": (GetAttributeSchema, "Johnny"),
}


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_schema_with_more_than_columns_needs_one_statement(case, club_host):
    schema, expected = SCHEMAS[case]
    host_app = club_host(schema)
    with host_app.statements() as statements:
        response = host_app.post()
    assert list(response.json.values()) == [expected]
    assert len(statements) == 1
    assert "password_hash" not in statements[0]
    assert "budget" not in statements[0] or "function that reads a relationship" in case


def test_a_post_dump_hook_can_read_the_user(club_host):
    host_app = club_host(PostDumpSchema)
    with host_app.statements() as statements:
        assert host_app.post().json == {"username": "john_doe", "nickname": "Johnny"}
    assert len(statements) == 1


def test_a_method_field_can_read_the_user(club_host):
    class MethodSchema(ProfileSchema):
        initials = fields.Method("get_initials")

        def get_initials(self, user):
            return user.first_name[0] + user.last_name[0]

    host_app = club_host(MethodSchema)
    with host_app.statements() as statements:
        assert list(host_app.post().json.items())[-1] == ("initials", "JD")
    assert len(statements) == 1
    assert "password_hash" not in statements[0]


def test_a_column_that_a_schema_reads_dynamically_is_loaded_on_access(club_host):
    dynamic = make_schema(f=fields.Function(lambda user: getattr(user, "nick" + "name")))
    assert club_host(dynamic).post().json == {"f": "Johnny"}


def test_a_schema_can_nest_itself(club_host):
    host_app = club_host(BossSchema)
    assert host_app.post().json == {
        "username": "john_doe",
        "boss": {"username": "ann", "boss": None},
    }


def test_eager_relationships_are_not_loaded_if_the_schema_does_not_use_them(club_host):
    host_app = club_host(ProfileSchema)
    with host_app.statements() as statements:
        assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
    assert len(statements) == 1
    assert "JOIN" not in statements[0]


def test_a_relationship_that_cannot_be_joined_can_still_be_read(club_host):
    logs = make_schema(f=fields.Function(lambda user: str(user.log.select()).count("SELECT")))
    assert club_host(logs).post().json == {"f": 1}


def test_a_field_without_an_attribute_of_the_model_is_a_configuration_error_with_a_remedy(host):
    schema = make_schema(id=fields.Integer(), nickname=fields.String(), size=fields.Integer())
    with pytest.raises(ConfigurationError) as refused:
        host(PROFILE_SCHEMA=schema, TESTING=True).add().post()
    message = str(refused.value)
    assert message.startswith("User has no attribute 'nickname' or 'size', which")
    assert message.endswith(f"\n\n    fields = ('id',)  # in the Meta of {schema.__name__}")


class TestSchemaThatCannotBeMade:
    class UnknownField(ProfileSchema):
        class Meta:
            fields = ("id", "usrname")

    class UnknownExclusion(ProfileSchema):
        class Meta:
            exclude = ("emial",)

    class UnknownNestedField(ProfileSchema):
        manager = fields.Nested(ProfileSchema, only=["usrname"])

    class MissingNestedSchema(ProfileSchema):
        manager = fields.Nested("NoSuchSchema")

    class WithArgument(ProfileSchema):
        def __init__(self, locale):
            super().__init__()

    @pytest.mark.parametrize(
        ("schema", "reason"),
        [
            *((UnknownField, "'usrname'"), (UnknownExclusion, "'emial'")),
            *((UnknownNestedField, "'usrname'"), (MissingNestedSchema, "'?NoSuchSchema'?")),
            (WithArgument, "'locale'"),
        ],
    )
    def test_it_is_a_configuration_error_that_names_the_fields(self, schema, reason, host):
        message = rf"(?s)^{schema.__name__} cannot be created .*{reason}.*\n    fields = \('id', "
        host_app = host(PROFILE_SCHEMA=schema, TESTING=True).add()
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=message):
                host_app.post()
        checked = host_app.app.test_cli_runner().invoke(args=["profile", "check"])
        assert checked.exit_code == 1
        assert "cannot be created" in checked.output
        assert "Traceback" not in checked.output

    def test_it_is_raised_at_the_first_request_where_users_are_changed_too(self, host):
        host_app = host(PROFILE_SCHEMA=self.UnknownField, PROFILE_METHODS="PATCH", TESTING=True)
        with pytest.raises(ConfigurationError, match="cannot be created"):
            host_app.add().client.patch("/api/profile/", json={})

    def test_all_attributes_that_a_model_lacks_are_named_at_once(self, host):
        def model(db):
            class User(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)
                email: Mapped[str] = mapped_column(String(200))

            return User

        db = SQLAlchemy()
        user = model(db)

        def make_host(**config):
            return host(model=None, db=db, TESTING=True, PROFILE_USER_MODEL=user, **config)

        with pytest.raises(ConfigurationError) as refused:
            make_host().post()
        message = str(refused.value)
        for name in set(FIELDS) - {"id", "email"}:
            assert repr(name) in message
        # What it says to write is all that is needed.
        app = Flask("config")
        code = inspect.cleandoc("\n" + message.partition("without it:\n\n")[2])
        exec(code, {"ProfileSchema": ProfileSchema, "app": app})
        assert set(app.config) - set(Flask("config").config) == {
            "PROFILE_SCHEMA",
            "PROFILE_REQUIRE_ACTIVE",
        }
        fixed = make_host(**{k: v for k, v in app.config.items() if k.startswith("PROFILE_")})
        with fixed.app.app_context():
            db.create_all()
            db.session.add(user(email="ann@example.com"))
            db.session.commit()
        assert fixed.post().json == {"id": 1, "email": "ann@example.com"}

    def test_without_a_model_both_ways_are_named(self, host):
        host_app = host(model=None, TESTING=True)
        with pytest.raises(
            ConfigurationError, match=r"(?s)ProfileMixin.*PROFILE_USER_MODEL.*PROFILE_SCHEMA"
        ):
            host_app.post()
