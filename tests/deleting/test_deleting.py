"""DELETE of an account: the row and what belongs to it, in one transaction."""

from __future__ import annotations

import logging

import pytest
from marshmallow import fields
from sqlalchemy import ForeignKey, Integer, String, event, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from conftest import define
from contract import (
    CHANGED_BODY,
    FRESH_REQUIRED,
    INACTIVE,
    JOHN_PROFILE,
    NOT_FOUND,
    NOT_PROVIDED,
    NOT_SAVED,
    NOT_VALID,
    REFERENCED,
    UNAVAILABLE,
    URL,
)
from editing.requests import parse
from flask_profile import (
    ConfigurationError,
    ProfileBlueprint,
    ProfileMixin,
    ProfileSchema,
    profile_deleted,
)
from host_databases import kill_pooled_connection, read_users
from receivers import Receiver
from test_mapping import ALICE, LegacyProfile, make_legacy_model


def enforce_foreign_keys(host):
    """Let SQLite check foreign keys, as the other databases always do."""
    with host.app.app_context():
        engine = host.db.engine
        engine.dispose()
    if engine.dialect.name == "sqlite":

        def enforce(connection, _record):
            connection.execute("PRAGMA foreign_keys = ON")

        event.listen(engine, "connect", enforce)


class TestResponse:
    def test_it_deletes_the_row_and_has_no_body(self, deletable_host, delete):
        host = deletable_host().add(id=2, username="ann", email="ann@example.com")
        response = delete(host)
        assert (response.status_code, response.data) == (204, b"")
        assert response.headers["Cache-Control"] == "no-store"
        assert "Content-Type" not in response.headers
        assert read_users(host, "id") == [2]
        assert parse(host.post()) == (404, NOT_FOUND)
        assert parse(delete(host)) == (404, NOT_FOUND)

    @pytest.mark.parametrize("url", [URL, URL.rstrip("/")])
    def test_a_body_is_not_read(self, url, deletable_host):
        host = deletable_host(PROFILE_REQUIRE_JSON=True)
        headers = host.bearer(fresh=True)
        assert host.client.delete(url, headers=headers, data="x" * 200_000).status_code == 204

    def test_by_default_the_method_is_not_allowed(self, john):
        response = john.client.delete(URL, headers=john.bearer(fresh=True))
        assert parse(response) == (405, {"detail": 'Method "DELETE" not allowed.'})

    def test_options_lists_it(self, deletable_host):
        response = deletable_host().client.options(URL)
        assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST"

    def test_a_token_is_required(self, deletable_host):
        host = deletable_host()
        assert parse(host.client.delete(URL)) == (401, NOT_PROVIDED)
        bad = {"Authorization": "Bearer x.y.z"}
        assert parse(host.client.delete(URL, headers=bad)) == (401, NOT_VALID)
        assert read_users(host, "id") == [1]

    def test_an_inactive_user_is_a_401(self, deletable_host, delete):
        host = deletable_host(values={"is_active": False})
        assert parse(delete(host)) == (401, INACTIVE)
        assert read_users(host, "id") == [1]

    @pytest.mark.parametrize(
        ("tag", "status"), [(None, 204), ("*", 204), ('"old"', 412), ("", 412)]
    )
    def test_if_match_is_honoured(self, tag, status, deletable_host, delete):
        host = deletable_host()
        etag = host.client.get(URL, headers=host.bearer()).headers["ETag"]
        response = delete(host, headers={"If-Match": etag if tag is None else tag})
        assert response.status_code == status
        if status == 412:
            assert response.json == CHANGED_BODY
        assert read_users(host, "id") == ([] if status == 204 else [1])


class TestFreshToken:
    def test_it_is_required_by_default(self, deletable_host, delete):
        host = deletable_host()
        response = delete(host, fresh=False)
        assert parse(response) == (401, FRESH_REQUIRED)
        assert response.headers["WWW-Authenticate"] == (
            'Bearer realm="api", error="insufficient_user_authentication", '
            'error_description="The token is not fresh"'
        )
        assert read_users(host, "id") == [1]

    @pytest.mark.parametrize("methods", [[], "", "POST"])
    def test_another_setting_may_not_require_it(self, methods, deletable_host, delete):
        host = deletable_host(PROFILE_FRESH_METHODS=methods)
        assert delete(host, fresh=False).status_code == 204

    def test_other_methods_may_require_it(self, deletable_host):
        host = deletable_host(PROFILE_FRESH_METHODS=["GET", "PATCH"])
        for method in ("GET", "HEAD", "PATCH"):
            response = host.client.open(URL, method=method, headers=host.bearer(), json={})
            assert response.status_code == 401
            headers = host.bearer(fresh=True)
            response = host.client.open(URL, method=method, headers=headers, json={})
            assert response.status_code == 200
        assert host.post().status_code == 200

    def test_a_method_that_is_not_enabled_is_ignored(self, host):
        host = host(PROFILE_FRESH_METHODS="PATCH,DELETE").add()
        assert host.post().status_code == 200

    def test_the_avatar_never_requires_it(self, deletable_host, tmp_path):
        host = deletable_host(PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=str(tmp_path))
        response = host.client.delete(f"{URL}avatar/", headers=host.bearer())
        assert response.status_code == 204

    @pytest.mark.parametrize("claim", [None, "x", [], {}, 0, -1, 1.5])
    def test_a_claim_that_says_nothing_is_a_401(self, claim, deletable_host, delete):
        host = deletable_host(JWT_ENCODE_ISSUER="x")
        host.jwt.additional_claims_loader(lambda _identity: {"fresh": claim})
        assert delete(host).status_code == 401
        assert read_users(host, "id") == [1]


def with_children(**options):
    """Return a function that makes a model with posts; the options are of the relationship."""

    def model(db):
        class Post(db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)
            user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

        class User(ProfileMixin, db.Model):
            posts: Mapped[list[Post]] = relationship(**options)

        return User

    return model


def without_relationship(db):
    class Post(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))

    class User(ProfileMixin, db.Model):
        pass

    return User


def with_association(db):
    """The key of the user is a part of the primary key of what refers to it."""

    class Membership(db.Model):
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        team: Mapped[str] = mapped_column(String(9), primary_key=True)

    class User(ProfileMixin, db.Model):
        memberships: Mapped[list[Membership]] = relationship()

    return User


def with_children_by_deferred_key(db):
    class Post(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[int] = mapped_column(
            ForeignKey("user.id", deferrable=True, initially="DEFERRED")
        )

    class User(ProfileMixin, db.Model):
        pass

    @event.listens_for(Post.__table__, "before_create")
    def choose(table, connection, **_options):
        if connection.dialect.name == "mysql":  # It has no such keys.
            (key,) = table.foreign_key_constraints
            key.deferrable = key.initially = None

    return User


def add_row(host, table, **values):
    with host.app.app_context():
        host.db.session.execute(host.db.metadata.tables[table].insert(), values)
        host.db.session.commit()


def count_rows(host, table):
    with host.app.app_context():
        return host.db.session.scalar(text(f"SELECT count(*) FROM {table}"))


class TestCascades:
    @pytest.mark.parametrize("lazy", ["select", "joined", "raise", "selectin"])
    def test_a_cascade_of_the_model_deletes_what_belongs_to_the_user(
        self, lazy, deletable_host, delete
    ):
        host = deletable_host(model=with_children(cascade="all, delete-orphan", lazy=lazy))
        enforce_foreign_keys(host)
        add_row(host, "post", id=1, user_id=1)
        assert delete(host).status_code == 204
        assert count_rows(host, "post") == 0

    def test_a_cascade_of_the_database_does(self, deletable_host, delete):
        def model(db):
            class Post(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)
                user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))

            class User(ProfileMixin, db.Model):
                posts: Mapped[list[Post]] = relationship(passive_deletes=True)

            return User

        host = deletable_host(model=model)
        enforce_foreign_keys(host)
        add_row(host, "post", id=1, user_id=1)
        assert delete(host).status_code == 204
        assert count_rows(host, "post") == 0

    @pytest.mark.parametrize(
        ("model", "table", "values"),
        [
            (without_relationship, "post", {"id": 1, "user_id": 1}),
            (with_children(), "post", {"id": 1, "user_id": 1}),
            (with_association, "membership", {"user_id": 1, "team": "x"}),
            (with_children_by_deferred_key, "post", {"id": 1, "user_id": 1}),
        ],
        ids=["foreign key", "relationship", "part of a primary key", "deferred foreign key"],
    )
    def test_what_must_not_be_deleted_is_a_409(self, model, table, values, deletable_host, delete):
        host, receiver = deletable_host(model=model), Receiver()
        enforce_foreign_keys(host)
        add_row(host, table, **values)
        with profile_deleted.connected_to(receiver):
            assert parse(delete(host)) == (409, REFERENCED)
        assert receiver.received == []
        assert host.post().json == JOHN_PROFILE
        assert count_rows(host, table) == 1

    def test_a_foreign_key_that_may_be_null_is_emptied(self, deletable_host, delete):
        def model(db):
            class Post(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)
                user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))

            class User(ProfileMixin, db.Model):
                posts: Mapped[list[Post]] = relationship()

            return User

        host = deletable_host(model=model)
        enforce_foreign_keys(host)
        add_row(host, "post", id=1, user_id=1)
        assert delete(host).status_code == 204
        assert count_rows(host, "post") == 1

    def test_both_tables_of_joined_inheritance_lose_their_row(self, deletable_host, delete):
        def model(db):
            class Person(ProfileMixin, db.Model):
                kind: Mapped[str] = mapped_column(String(9), default="person")
                __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

            class Employee(Person):
                id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
                salary: Mapped[int] = mapped_column(default=1)
                __mapper_args__ = {"polymorphic_identity": "employee"}

            return Employee

        host = deletable_host(model=model)
        enforce_foreign_keys(host)
        assert delete(host).status_code == 204
        assert (count_rows(host, "person"), count_rows(host, "employee")) == (0, 0)

    def test_a_version_id_is_no_obstacle(self, deletable_host, delete):
        def model(db):
            class User(ProfileMixin, db.Model):
                version = mapped_column(Integer, nullable=False)
                __mapper_args__ = {"version_id_col": version}

            return User

        host = deletable_host(model=model)
        assert delete(host).status_code == 204


class TestSignal:
    @pytest.mark.parametrize("mode", ["delete", "deactivate"])
    def test_it_is_sent_with_the_last_profile_after_the_commit(self, mode, deletable_host, delete):
        host = deletable_host(PROFILE_ON_DELETE=mode)
        seen = []

        def read():
            with host.db.engine.connect() as connection:
                seen.extend(connection.scalars(select(host.User.is_active)).all())

        receiver = Receiver(read)
        with profile_deleted.connected_to(receiver):
            assert delete(host).status_code == 204
        assert receiver.received == [(host.app, {"identity": "1", "profile": JOHN_PROFILE})]
        assert seen == ([] if mode == "delete" else [False])

    def test_an_exception_in_a_receiver_is_logged_and_has_no_other_effect(
        self, deletable_host, delete, caplog
    ):
        host = deletable_host(TESTING=True)
        with (
            profile_deleted.connected_to(Receiver(lambda: 1 / 0), host.app),
            caplog.at_level(logging.ERROR),
        ):
            assert delete(host).status_code == 204
        (record,) = caplog.records
        assert record.exc_info[0] is ZeroDivisionError
        assert read_users(host) == []


class TestDeactivation:
    def test_it_keeps_the_row_and_the_rest(self, deletable_host, delete):
        host = deletable_host(PROFILE_ON_DELETE="deactivate")
        (before,) = read_users(host)
        assert delete(host).status_code == 204
        assert read_users(host) == [before | {"is_active": False}]
        assert parse(host.post()) == (401, INACTIVE)
        assert parse(delete(host)) == (401, INACTIVE)

    def test_rows_that_refer_to_the_user_do_not_matter(self, deletable_host, delete):
        host = deletable_host(model=without_relationship, PROFILE_ON_DELETE="deactivate")
        enforce_foreign_keys(host)
        add_row(host, "post", id=1, user_id=1)
        assert delete(host).status_code == 204

    def test_a_model_without_the_column_is_a_configuration_error(self, host):
        model = define(make_legacy_model)[1]
        schema = type("Profile", (LegacyProfile,), {"is_active": fields.Boolean(dump_only=True)})
        blueprint = ProfileBlueprint(user_model=model, schema=schema)
        config = {"PROFILE_METHODS": "DELETE", "PROFILE_ON_DELETE": "deactivate"}
        with pytest.raises(ConfigurationError, match="is_active: Mapped") as raised:
            host(model=None, blueprint=blueprint, **config)
        assert 'is_active = fields.Boolean(attribute="…", dump_only=True)' in str(raised.value)

    def test_a_property_without_a_setter_is_reported_by_check_and_at_the_first_request(self, host):
        def model(db):
            class User(db.Model):
                id: Mapped[int] = mapped_column(primary_key=True)
                is_active = hybrid_property(lambda user: user.id > 0)

            return User

        class Short(ProfileSchema):
            class Meta:
                fields = ("id",)

        db, user = define(model)
        blueprint = ProfileBlueprint(user_model=user, schema=Short)
        config = {"PROFILE_METHODS": "POST,DELETE", "PROFILE_ON_DELETE": "deactivate"}
        made = host(db=db, model=lambda _: user, blueprint=blueprint, **config)
        with made.app.app_context():
            db.create_all()
        checked = made.app.test_cli_runner().invoke(args=["profile", "check"])
        assert (checked.exit_code, "PROFILE_ON_DELETE" in checked.output) == (1, True)
        made.app.testing = True
        with pytest.raises(ConfigurationError, match="PROFILE_ON_DELETE"):
            made.post()

    def test_it_sets_the_column_that_the_schema_maps(self, host, delete):
        db, account = define(make_legacy_model)
        blueprint = ProfileBlueprint(user_model=account, schema=LegacyProfile)
        config = {"PROFILE_METHODS": "POST,DELETE", "PROFILE_ON_DELETE": "deactivate"}
        made = host(db=db, model=lambda _: account, blueprint=blueprint, **config)
        with made.app.app_context():
            db.create_all()
            db.session.add(account(**ALICE))
            db.session.commit()
        assert delete(made).status_code == 204
        with made.app.app_context():
            assert db.session.get(account, 1).active is False

    def test_a_constraint_that_refuses_it_is_a_500(self, deletable_host, delete, listen):
        host = deletable_host(PROFILE_ON_DELETE="deactivate")
        with host.app.app_context():
            engine = host.db.engine

        def refuse(_connection, _cursor, statement, *_):
            if "SET is_active" in statement:
                raise IntegrityError("", {}, Exception("CHECK"))

        listen(engine, "before_cursor_execute", refuse)
        assert parse(delete(host)) == (500, NOT_SAVED)


class TestFailures:
    def test_an_assertion_of_the_host_is_a_500(self, deletable_host, delete, listen):
        host = deletable_host()

        def refuse(*_):
            raise AssertionError("not on a Sunday")

        listen(host.User, "before_delete", refuse)
        assert parse(delete(host)) == (500, NOT_SAVED)
        assert read_users(host, "id") == [1]

    def test_a_failure_is_a_500_and_deletes_nothing(self, deletable_host, delete, listen):
        host = deletable_host()
        with host.app.app_context():
            engine = host.db.engine

        def fail(*_):
            raise OSError("the disk is full")

        listen(engine, "commit", fail)
        assert parse(delete(host)) == (500, NOT_SAVED)
        assert read_users(host, "id") == [1]

    def test_a_timeout_is_a_503(self, deletable_host, delete, listen):
        host = deletable_host()
        with host.app.app_context():
            engine = host.db.engine

        def fail(_connection, _cursor, statement, *_):
            if statement.startswith("DELETE"):
                error = Exception("lock timeout")
                error.sqlstate = "55P03"
                raise OperationalError("", {}, error)

        listen(engine, "before_cursor_execute", fail)
        assert parse(delete(host)) == (503, UNAVAILABLE)
        assert read_users(host, "id") == [1]

    def test_a_dead_connection_in_the_pool_is_replaced(self, deletable_host, delete):
        host = deletable_host()
        kill_pooled_connection(host)
        assert delete(host).status_code == 204
