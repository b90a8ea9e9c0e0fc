"""A model with names of its own, which only a schema maps: nothing is added to it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from marshmallow import Schema, fields
from sqlalchemy import DateTime, String
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, synonym

from conftest import define
from contract import AVATAR_URL, INACTIVE, NOT_FOUND, URL
from editing.requests import parse, patch
from flask_profile import (
    ConfigurationError,
    ProfileBlueprint,
    ProfileMixin,
    ProfileSchema,
    openapi_spec,
    profile_updated,
)
from flask_profile.fields import Identifier, MediaUrl, UtcDateTime
from images import encode

PRAGUE = ZoneInfo("Europe/Prague")
METHODS = ["GET", "POST", "PATCH"]


class LegacyColumns:
    """The columns of a model from before this library; none has a name of the ProfileMixin."""

    pk: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(40), unique=True)
    mail: Mapped[str] = mapped_column(String(80), unique=True)
    phone: Mapped[str | None] = mapped_column(String(9))
    image: Mapped[str] = mapped_column(String(120), default="default.jpg")
    created_at: Mapped[datetime] = mapped_column(DateTime)
    seen_at: Mapped[datetime | None] = mapped_column(DateTime)
    active: Mapped[bool] = mapped_column(default=True)


def make_legacy_model(db):
    class Account(LegacyColumns, db.Model):
        pass

    return Account


class LegacyProfile(ProfileSchema):
    id = Identifier(attribute="pk", dump_only=True)
    username = fields.String(attribute="login")
    email = fields.String(attribute="mail", dump_only=True)
    number_phone = fields.String(attribute="phone", allow_none=True)
    avatar = MediaUrl(attribute="image", dump_only=True)
    date_joined = UtcDateTime(attribute="created_at", naive=PRAGUE, dump_only=True)
    last_login = UtcDateTime(attribute="seen_at", naive=PRAGUE, allow_none=True)
    is_active = fields.Boolean(attribute="active", dump_only=True)

    class Meta:
        exclude = ("first_name", "last_name", "is_staff", "is_superuser")


ALICE = {
    "pk": 1,
    "login": "alice",
    "mail": "alice@example.com",
    "phone": "123456789",
    "created_at": datetime(2024, 7, 1, 12, 0),
}
ALICE_PROFILE = {
    "id": 1,
    "username": "alice",
    "email": "alice@example.com",
    "number_phone": "123456789",
    "avatar": "/media/default.jpg",
    "date_joined": "2024-07-01T10:00:00Z",
    "last_login": None,
    "is_active": True,
}


@pytest.fixture
def legacy(host):
    """Return a factory of hosts with a model of their own, and Alice in the database."""

    def make(*, model=make_legacy_model, schema=LegacyProfile, values=None, **config):
        db, account = define(model)
        blueprint = ProfileBlueprint(user_model=account, schema=schema)
        config = {"PROFILE_METHODS": METHODS} | config
        made = host(db=db, model=lambda _: account, blueprint=blueprint, **config)
        with made.app.app_context():
            db.create_all()
            db.session.add(account(**ALICE | (values or {})))
            db.session.commit()
        return made

    return make


def read(host, attribute):
    with host.app.app_context():
        return getattr(host.db.session.get(host.User, 1), attribute)


class TestNames:
    def test_the_profile_has_the_documented_names(self, legacy):
        host = legacy()
        with host.statements() as statements:
            assert parse(host.post()) == (200, ALICE_PROFILE)
        assert len(statements) == 1

    def test_a_patch_sets_the_columns_that_the_schema_names(self, legacy):
        host = legacy()
        response = patch(host, {"username": "neo", "number_phone": None})
        assert parse(response) == (200, ALICE_PROFILE | {"username": "neo", "number_phone": None})
        assert (read(host, "login"), read(host, "phone")) == ("neo", None)

    @pytest.mark.parametrize("name", ["username", "number_phone"])
    def test_the_limits_are_those_of_the_columns(self, name, legacy):
        limit = {"username": 40, "number_phone": 9}[name]
        host = legacy()
        assert parse(patch(host, {name: "x" * (limit + 1)})) == (
            400,
            {name: [f"Longer than maximum length {limit}."]},
        )

    def test_the_commands_find_a_user_by_the_mapped_username_and_email(self, legacy):
        host = legacy()
        for name in ("1", "alice", "alice@example.com"):
            result = host.app.test_cli_runner().invoke(args=["profile", "show", name])
            assert (result.exit_code, json.loads(result.output)) == (0, ALICE_PROFILE)

    def test_openapi_describes_the_mapped_columns(self, legacy):
        host = legacy()
        with host.app.app_context():
            schemas = openapi_spec(host.app)["components"]["schemas"]
        shown = schemas["Profile"]["properties"]
        assert shown["id"]["type"] == "integer"
        assert shown["number_phone"]["type"] == ["string", "null"]
        assert shown["last_login"] == {"type": ["string", "null"], "format": "date-time"}
        patch = schemas["ProfilePatch"]["properties"]
        assert patch["username"]["maxLength"] == 40
        assert patch["last_login"] == shown["last_login"]


def with_synonyms(db):
    class Account(LegacyColumns, db.Model):
        enabled: Mapped[bool] = synonym("active")
        picture: Mapped[str] = synonym("image")

    return Account


def with_hybrids(db):
    """Whether a user is active depends on the time at which the account was closed."""

    class Account(LegacyColumns, db.Model):
        closed_at: Mapped[datetime | None] = mapped_column(DateTime)

        @hybrid_property
        def enabled(self):
            return self.closed_at is None

        @hybrid_property
        def picture(self):
            return self.image

        @picture.inplace.setter
        def _set_picture(self, name):
            self.image = name

    return Account


class OtherNames(LegacyProfile):
    avatar = MediaUrl(attribute="picture", dump_only=True)
    is_active = fields.Boolean(attribute="enabled", dump_only=True)


CLOSED = datetime(2024, 8, 1)
KINDS = pytest.mark.parametrize(
    ("model", "schema", "inactive"),
    [
        pytest.param(make_legacy_model, LegacyProfile, {"active": False}, id="columns"),
        pytest.param(with_synonyms, OtherNames, {"active": False}, id="synonyms"),
        pytest.param(with_hybrids, OtherNames, {"closed_at": CLOSED}, id="hybrids"),
    ],
)


class TestActive:
    @KINDS
    @pytest.mark.parametrize("by_loader", [False, True], ids=["by query", "by loader"])
    def test_an_inactive_user_is_a_401(self, by_loader, model, schema, inactive, legacy):
        host = legacy(model=model, schema=schema, values=inactive)
        if by_loader:
            host.jwt.user_lookup_loader(lambda *_: host.db.session.get(host.User, 1))
        for response in (host.post(), patch(host, {"number_phone": "1"}), patch(host, {"x": 1})):
            assert parse(response) == (401, INACTIVE)
        assert read(host, "phone") == "123456789"

    @KINDS
    def test_an_active_user_is_served(self, model, schema, inactive, legacy):
        host = legacy(model=model, schema=schema)
        assert parse(host.post()) == (200, ALICE_PROFILE)
        assert patch(host, {"number_phone": "1"}).status_code == 200

    @pytest.mark.parametrize(
        ("value", "status"),
        [
            *((True, 200), (1, 200), (1.0, 200), (False, 401), (0, 401), (None, 401)),
            *(("f", 500), ("1", 500), ("", 500), (-1, 500), (5, 500), (CLOSED, 500), ([], 500)),
        ],
    )
    def test_only_true_and_false_decide(self, value, status, host):
        class Short(Schema):
            is_active = fields.Raw(attribute="enabled")

        host = host(model=None, with_db=False, PROFILE_SCHEMA=Short)
        host.jwt.user_lookup_loader(lambda *_: SimpleNamespace(enabled=value))
        assert host.post().status_code == status

    def test_a_column_of_something_else_is_a_configuration_error(self, legacy):
        class ByPhone(LegacyProfile):
            is_active = fields.Boolean(attribute="phone", dump_only=True)

        host = legacy(schema=ByPhone, TESTING=True)
        with pytest.raises(ConfigurationError, match="neither true nor false") as raised:
            host.post()
        assert "hybrid_property(lambda user: user.phone …)" in str(raised.value)

    def test_without_the_setting_an_inactive_user_is_served(self, legacy):
        host = legacy(values={"active": False}, PROFILE_REQUIRE_ACTIVE=False)
        assert parse(host.post()) == (200, ALICE_PROFILE | {"is_active": False})

    def test_a_schema_without_the_field_leaves_it_to_the_model(self, host):
        class Short(ProfileSchema):
            class Meta:
                fields = ("id",)

        host = host(PROFILE_SCHEMA=Short).add(is_active=False)
        assert parse(host.post()) == (401, INACTIVE)

    def test_a_field_that_is_no_column_leaves_it_to_the_model(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                @property
                def always(self):
                    return True

            return User

        class Always(ProfileSchema):
            is_active = fields.Boolean(attribute="always", dump_only=True)

        host = host(model=model, PROFILE_SCHEMA=Always).add(is_active=False)
        assert parse(host.post()) == (401, INACTIVE)

    def test_a_user_that_is_no_model_is_decided_on_by_the_mapped_attribute(self, host):
        class Short(Schema):
            is_active = fields.Boolean(attribute="enabled")

        host = host(model=None, with_db=False, PROFILE_SCHEMA=Short)
        users = {"1": SimpleNamespace(enabled=True), "2": SimpleNamespace(enabled=False)}
        host.jwt.user_lookup_loader(lambda _header, claims: users[claims["sub"]])
        assert parse(host.post("1")) == (200, {"is_active": True})
        assert parse(host.post("2")) == (401, INACTIVE)

    def test_a_model_that_lacks_it_is_a_configuration_error_that_shows_how_to_map_it(self, legacy):
        class NotMapped(LegacyProfile):
            is_active = fields.Boolean(dump_only=True)

        host = legacy(schema=NotMapped, TESTING=True)
        with pytest.raises(ConfigurationError) as raised:
            host.post()
        assert 'is_active = fields.Boolean(attribute="…", dump_only=True)' in str(raised.value)


class TestAvatar:
    @pytest.fixture
    def upload(self, legacy, tmp_path):
        """Return a function that makes a host with avatars, and uploads one."""

        def make(**options):
            host = legacy(
                PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=str(tmp_path / "media"), **options
            )
            return host, host.client.put(AVATAR_URL, data=encode(), headers=host.bearer())

        return make

    @KINDS
    def test_an_upload_sets_the_mapped_column(self, model, schema, inactive, upload, tmp_path):
        host, response = upload(model=model, schema=schema)
        name = read(host, "image")
        assert parse(response) == (200, ALICE_PROFILE | {"avatar": f"/media/{name}"})
        assert Path(tmp_path, "media", name).is_file()
        response = host.client.put(AVATAR_URL, data=encode(), headers=host.bearer())
        assert response.status_code == 200
        assert not Path(tmp_path, "media", name).exists()

    def test_a_column_without_null_is_emptied_by_delete(self, upload, tmp_path):
        host, _ = upload()
        for _ in range(2):
            assert host.client.delete(AVATAR_URL, headers=host.bearer()).status_code == 204
        assert read(host, "image") == ""
        assert host.post().json["avatar"] is None
        assert not [
            path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".webp"
        ]

    def test_the_model_is_asked_where_the_schema_has_no_such_field(self, host, tmp_path):
        class Short(ProfileSchema):
            class Meta:
                fields = ("id",)

        host = host(
            PROFILE_SCHEMA=Short, PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=str(tmp_path)
        ).add()
        response = host.client.put(AVATAR_URL, data=encode(), headers=host.bearer())
        assert parse(response) == (200, {"id": 1})
        with host.app.app_context():
            assert host.db.session.get(host.User, 1).avatar.startswith("avatars/")

    @pytest.mark.parametrize("attribute", ["image", "picture"])
    def test_a_patch_must_not_be_able_to_write_it(self, attribute, legacy):
        class Writable(OtherNames):
            photo = fields.String(attribute=attribute)

        host = legacy(model=with_hybrids, schema=Writable, PROFILE_AVATARS=True, TESTING=True)
        with pytest.raises(ConfigurationError, match="lets a user write 'photo'"):
            host.post()


class NoAvatar(LegacyProfile):
    class Meta:
        exclude = ("first_name", "last_name", "is_staff", "is_superuser", "avatar")


def with_short_column(db):
    class Account(LegacyColumns, db.Model):
        image: Mapped[str] = mapped_column(String(20), default="default.jpg")

    return Account


def with_hybrid_without_setter(db):
    class Account(LegacyColumns, db.Model):
        avatar = hybrid_property(lambda user: user.image)

    return Account


REMEDY = 'avatar = MediaUrl(attribute="…", dump_only=True)'


class TestMissingAvatarColumn:
    def test_it_is_raised_at_registration_where_the_model_is_named(self, legacy):
        with pytest.raises(ConfigurationError, match="PROFILE_AVATARS is enabled") as raised:
            legacy(schema=NoAvatar, PROFILE_AVATARS=True)
        assert REMEDY in str(raised.value)

    @pytest.mark.parametrize(
        ("model", "remedy"),
        [
            (with_short_column, "mapped_column(String(500))"),
            (with_hybrid_without_setter, REMEDY),
        ],
    )
    def test_errors_of_the_mapped_model_are_reported_by_check_and_the_first_request(
        self, model, remedy, legacy
    ):
        schema = LegacyProfile if model is with_short_column else NoAvatar
        host = legacy(model=model, schema=schema, PROFILE_AVATARS=True)
        checked = host.app.test_cli_runner().invoke(args=["profile", "check"])
        assert checked.exit_code == 1
        assert remedy in checked.output
        host.app.testing = True
        for method, url in (("POST", URL), ("PATCH", URL), ("PUT", AVATAR_URL)):
            with pytest.raises(ConfigurationError) as raised:
                host.client.open(url, method=method, headers=host.bearer(), json={})
            assert remedy in str(raised.value)

    def test_an_upload_says_so_where_the_host_loads_the_user(self, legacy):
        host = legacy(model=with_short_column, PROFILE_AVATARS=True, TESTING=True)
        host.jwt.user_lookup_loader(lambda *_: host.db.session.get(host.User, 1))
        assert host.post().status_code == 200
        with pytest.raises(ConfigurationError, match=r"String\(500\)"):
            host.client.put(AVATAR_URL, data=encode(), headers=host.bearer())


def test_what_cannot_be_set_must_not_be_writable(legacy):
    class Profile(LegacyProfile):
        avatar = fields.String()

    host = legacy(model=with_hybrid_without_setter, schema=Profile, TESTING=True)
    with pytest.raises(ConfigurationError, match="loads 'avatar'") as raised:
        patch(host, {"avatar": "x"})
    assert "avatar = …(dump_only=True)" in str(raised.value)


class TestDatetimes:
    @pytest.mark.parametrize(
        ("stored", "sent"),
        [
            (datetime(2024, 7, 1, 12, 0), "2024-07-01T10:00:00Z"),
            (datetime(2024, 1, 1, 0, 30), "2023-12-31T23:30:00Z"),
            (datetime(2024, 10, 27, 2, 30), "2024-10-27T00:30:00Z"),  # The first of two.
            (datetime(2024, 3, 31, 2, 30), "2024-03-31T01:30:00Z"),  # The clock skips it.
        ],
    )
    def test_naive_means_local_time_where_the_field_says_so(self, stored, sent, legacy):
        host = legacy(values={"seen_at": stored})
        assert host.post().json["last_login"] == sent

    def test_naive_means_utc_where_the_field_says_nothing(self, legacy):
        class InUtc(LegacyProfile):
            last_login = UtcDateTime(attribute="seen_at")

        host = legacy(schema=InUtc, values={"seen_at": datetime(2024, 7, 1, 12)})
        assert host.post().json["last_login"] == "2024-07-01T12:00:00Z"
        assert patch(host, {"last_login": "2024-07-01T12:00:00+02:00"}).status_code == 200
        assert read(host, "seen_at") == datetime(2024, 7, 1, 10)

    @pytest.mark.parametrize(
        ("text", "sent", "stored"),
        [
            ("2024-07-01T10:00:00Z", "2024-07-01T10:00:00Z", datetime(2024, 7, 1, 12)),
            ("2024-01-01t00:00:00.000-01:00", "2024-01-01T01:00:00Z", None),
            (None, None, None),
        ],
    )
    def test_a_column_without_a_time_zone_stores_local_time(self, text, sent, stored, legacy):
        host = legacy()
        response = patch(host, {"last_login": text})
        expected = ALICE_PROFILE | {"last_login": sent}
        assert (response.status_code, response.json) == (200, expected)
        assert host.post().json == expected
        assert stored is None or read(host, "seen_at") == stored

    def test_a_column_with_a_time_zone_stores_the_moment(self, legacy):
        def model(db):
            class Account(LegacyColumns, db.Model):
                seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

            return Account

        host = legacy(model=model)
        response = patch(host, {"last_login": "2024-07-01T12:00:00+02:00"})
        assert response.json["last_login"] == "2024-07-01T10:00:00Z"
        assert host.post().json == response.json

    def test_the_columns_of_the_mixin_store_utc(self, host):
        class Writable(ProfileSchema):
            last_login = UtcDateTime(allow_none=True)

        host = host(PROFILE_METHODS="POST,PATCH", PROFILE_SCHEMA=Writable).add()
        response = patch(host, {"last_login": "2024-07-01T12:00:00+02:00"})
        assert response.json["last_login"] == "2024-07-01T10:00:00Z"
        with host.app.app_context():
            user = host.db.session.get(host.User, 1)
            assert user.last_login == datetime(2024, 7, 1, 10, tzinfo=timezone.utc)

    @pytest.mark.parametrize(
        "value",
        [
            *("", "x", "2024-07-01", "10:00:00Z", "2024-07-01T10:00Z", "2024-7-1T10:00:00Z"),
            *("20240701T100000Z", "2024-W27-1T10:00:00Z", "2024-13-01T10:00:00Z"),
            *("2024-07-01T24:00:00Z", "2024-07-01T10:00:60Z", "2024-07-01T10:00:00+24:00"),
            *("2024-07-01T10:00:00+02", "\u0662024-07-01T10:00:00Z", "2024-07-01T10:00:00Z\n"),
            *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59Z"),
            *(1_700_000_000, 1.5, True, [], {}),
        ],
    )
    def test_anything_but_rfc_3339_is_a_400(self, value, legacy):
        response = patch(legacy(), {"last_login": value})
        assert parse(response) == (400, {"last_login": ["Not a valid datetime."]})

    def test_a_datetime_without_an_offset_is_a_400(self, legacy):
        response = patch(legacy(), {"last_login": "2024-07-01T10:00:00"})
        assert parse(response) == (400, {"last_login": ["Not a valid aware datetime."]})

    def test_the_field_works_in_schemas_of_the_host(self):
        class Event(Schema):
            at = UtcDateTime(naive=PRAGUE, required=True)

        loaded = Event().load({"at": "2024-07-01T12:00:00+02:00"})
        assert loaded == {"at": datetime(2024, 7, 1, 10, tzinfo=timezone.utc)}
        assert Event().dump(loaded) == {"at": "2024-07-01T10:00:00Z"}
        assert Event().dump({"at": datetime(2024, 7, 1, 12)}) == {"at": "2024-07-01T10:00:00Z"}


class TestLoader:
    """The loader of the manual, which caches values and forgets them when a profile is edited."""

    @pytest.fixture
    def cached(self, legacy):
        host, cache = legacy(), {}

        @host.jwt.user_lookup_loader
        def load_account(_header, claims):
            identity = claims["sub"]
            if identity not in cache:
                account = host.db.session.get(host.User, int(identity))
                if account is None:
                    return None
                columns = host.User.__table__.columns.keys()
                values = {name: getattr(account, name) for name in columns}
                cache[identity] = SimpleNamespace(**values)
            return cache[identity]

        def forget(_app, identity, **_):
            cache.pop(identity, None)

        with profile_updated.connected_to(forget, host.app):
            yield host

    def test_a_cached_user_costs_no_statement(self, cached):
        assert cached.post().json == ALICE_PROFILE
        with cached.statements() as statements:
            assert cached.post().json == ALICE_PROFILE
        assert statements == []

    def test_an_edit_is_seen_by_the_next_read(self, cached):
        assert cached.post().json == ALICE_PROFILE
        assert patch(cached, {"username": "neo"}).json == ALICE_PROFILE | {"username": "neo"}
        assert cached.post().json == ALICE_PROFILE | {"username": "neo"}

    def test_the_row_decides_an_edit_and_not_the_cache(self, cached):
        assert cached.post().status_code == 200
        with cached.app.app_context():
            cached.db.session.get(cached.User, 1).active = False
            cached.db.session.commit()
        assert parse(patch(cached, {"username": "neo"})) == (401, INACTIVE)

    def test_none_is_a_404(self, cached):
        assert parse(cached.post("2")) == (404, NOT_FOUND)
