from __future__ import annotations

import json
import re
import uuid
from contextlib import closing

import pytest
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import fields, post_dump
from sqlalchemy import (
    CHAR,
    DDL,
    BigInteger,
    ForeignKey,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    Uuid,
    event,
    select,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import (
    DeclarativeBase,
    DeclarativeBaseNoMeta,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    with_loader_criteria,
)
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import Integer, UserDefinedType

from conftest import JOHN_AS_JSON, make_user_model, model_with_id
from contract import NOT_FOUND
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema
from flask_profile.errors import UserNotFoundError
from flask_profile.identities import identity_parser
from hostile import IDENTITIES, JSON_VALUES, USER_UUID


class Guid(TypeDecorator):
    """A common custom type: a UUID that is stored as CHAR."""

    impl = CHAR(32)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return uuid.UUID(str(value)).hex

    def process_result_value(self, value, dialect):
        return uuid.UUID(value)


class Badge(TypeDecorator):
    """A custom type for integers whose Python value is a string like ``A7``."""

    impl = Integer
    cache_ok = True
    python_type = str

    def process_bind_param(self, value, dialect):
        return {"A": 1}[value[0]] * 100 + int(value[1:])

    def process_result_value(self, value, dialect):
        return f"A{value - 100}"


ID_TYPES = {
    "integer": (Integer(), 1, "1"),
    "big integer": (BigInteger().with_variant(Integer(), "sqlite"), 2**62, str(2**62)),
    "text": (String(36), "josé 😀", "josé 😀"),
    "UUID": (Uuid(), USER_UUID, str(USER_UUID)),
    "UUID as text": (Uuid(as_uuid=False), str(USER_UUID), str(USER_UUID)),
    "UUID in a custom type": (Guid(), USER_UUID, str(USER_UUID)),
    "custom type": (Badge(), "A7", "A7"),
}
# Identities that may reach the database. Other identities must be refused without a statement.
# Any string without NUL and surrogates can be a text id, or the value of a custom type.
CANONICAL = {
    "custom": r"[^\0\ud800-\udfff]*",
    "integer": r"0|-?[1-9][0-9]*",
    "UUID": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "text": r"[^\0\ud800-\udfff]*",
}


@pytest.mark.parametrize("case", ID_TYPES)
def test_a_user_is_found_by_its_id_as_a_string(case, host):
    type_, user_id, text = ID_TYPES[case]
    host_app = host(model=model_with_id(type_)).add(id=user_id)
    response = host_app.post(text)
    assert response.status_code == 200
    assert response.json["id"] == (user_id if isinstance(user_id, int) else text)


@pytest.mark.parametrize("case", ID_TYPES)
def test_a_hostile_identity_is_not_found(case, host):
    type_, user_id, _ = ID_TYPES[case]
    host_app = host(model=model_with_id(type_), JWT_VERIFY_SUB=False).add(id=user_id)
    kind = next(kind for kind in CANONICAL if kind in case)
    identity_types = {int, str} if kind == "integer" else {str}
    for identity in IDENTITIES:
        with host_app.statements() as statements:
            response = host_app.post(identity)
        assert (identity, response.status_code, response.json) == (identity, 404, NOT_FOUND)
        is_canonical = (
            re.fullmatch(CANONICAL[kind], str(identity)) and type(identity) in identity_types
        )
        assert statements == [] or is_canonical, identity


@pytest.mark.parametrize("case", ID_TYPES)
def test_any_identity_is_the_id_of_the_user_or_not_found(case, host):
    type_, user_id, text = ID_TYPES[case]
    host_app = host(model=model_with_id(type_), JWT_VERIFY_SUB=False, TESTING=True).add(id=user_id)
    similar = st.lists(st.sampled_from([text, *text, " ", "0", "\0"]), max_size=4).map("".join)

    @settings(deadline=None, max_examples=50)
    @given(JSON_VALUES | st.text() | st.integers().map(str) | st.uuids().map(str) | similar)
    def check(identity):
        response = host_app.post(identity)
        is_user = identity == text or (type(identity) is int and identity == user_id)
        assert (response.status_code, response.json == NOT_FOUND) == (
            (200, False) if is_user else (404, True)
        )

    check()


def test_an_integer_identity_matches_an_integer_id(host):
    assert host(JWT_VERIFY_SUB=False).add().post(1).status_code == 200


def test_an_integer_identity_does_not_match_a_text_id(host):
    assert (
        host(model=model_with_id(String(9)), JWT_VERIFY_SUB=False).add(id="1").post(1).json
        == NOT_FOUND
    )


@pytest.mark.parametrize(
    ("type_", "dialect", "largest"),
    [
        (SmallInteger(), postgresql.dialect(), 2**15 - 1),
        (Integer(), postgresql.dialect(), 2**31 - 1),
        (BigInteger(), postgresql.dialect(), 2**63 - 1),
        (Integer(), sqlite.dialect(), 2**63 - 1),
        (mysql.BIGINT(unsigned=True), mysql.dialect(), 2**64 - 1),
    ],
)
def test_integers_outside_the_range_of_the_column_are_not_found(type_, dialect, largest):
    parse = identity_parser(type_, dialect)
    assert parse(str(largest)) == largest
    assert parse(str(-largest)) == -largest
    for outside in (largest + 1, -largest - 2):
        with pytest.raises(UserNotFoundError):
            parse(str(outside))


def test_a_deleted_user_is_not_found(john):
    with john.app.app_context():
        john.db.session.delete(john.db.session.get(john.User, 1))
        john.db.session.commit()
    response = john.post()
    assert (response.status_code, response.json) == (404, NOT_FOUND)


def test_the_identity_can_be_another_column(host):
    host_app = host(PROFILE_IDENTITY_FIELD="username").add()
    assert host_app.post("john_doe").status_code == 200
    assert host_app.post("1").json == NOT_FOUND


def test_an_identity_matches_case_sensitively_in_every_collation(host):
    def model(db):
        class User(ProfileMixin, db.Model):
            username: Mapped[str] = mapped_column(
                String(150, collation="NOCASE")
                .with_variant(String(150, collation="utf8mb4_general_ci"), "mysql", "mariadb")
                .with_variant(postgresql.CITEXT(), "postgresql"),
                unique=True,
            )

        extension = DDL("CREATE EXTENSION IF NOT EXISTS citext").execute_if(dialect="postgresql")
        event.listen(User.__table__, "before_create", extension)
        return User

    host_app = host(model=model, PROFILE_IDENTITY_FIELD="username").add()
    assert host_app.post("john_doe").status_code == 200
    assert host_app.post("JOHN_DOE").json == NOT_FOUND


def test_an_identity_that_matches_two_users_returns_500(host):
    host_app = host(PROFILE_IDENTITY_FIELD="first_name").add()
    host_app.add(id=2, username="john2", email="john2@example.com")
    assert host_app.post("John").status_code == 500


def model_with_composite_key(db):
    class User(ProfileMixin, db.Model):
        tenant: Mapped[int] = mapped_column(primary_key=True, default=1)

    return User


def test_a_composite_primary_key_needs_an_identity_field(host):
    with pytest.raises(ConfigurationError, match=r"(?s)several columns.*PROFILE_IDENTITY_FIELD"):
        host(model=model_with_composite_key, TESTING=True).add().post()
    host_app = host(model=model_with_composite_key, PROFILE_IDENTITY_FIELD="username").add()
    assert host_app.post("john_doe").status_code == 200


@pytest.mark.parametrize("field", ["nickname", "metadata"])
def test_an_identity_field_that_is_not_a_column_is_a_configuration_error(field, host):
    host_app = host(PROFILE_IDENTITY_FIELD=field, TESTING=True).add()
    with pytest.raises(ConfigurationError, match=f"{field}.*no column of User.*username"):
        host_app.post()


def test_a_binary_primary_key_is_a_configuration_error(host):
    host_app = host(model=model_with_id(LargeBinary(16)), TESTING=True)
    with pytest.raises(ConfigurationError, match=r"LargeBinary\(length=16\).*python_type"):
        host_app.post()


class UnknownType(UserDefinedType):
    cache_ok = True

    @property
    def python_type(self):
        raise NotImplementedError

    def get_col_spec(self):
        return "INTEGER"


def test_a_primary_key_of_an_unknown_type_is_a_configuration_error(host):
    host_app = host(model=model_with_id(UnknownType()), TESTING=True).add()
    with pytest.raises(ConfigurationError, match="UnknownType"):
        host_app.post()


class NamesSchema(ProfileSchema):
    class Meta:
        fields = ("id", "username")


class NicknameSchema(ProfileSchema):
    nickname = fields.String()


class Initials(ProfileSchema):
    initials = fields.Function(lambda user: user.first_name[0] + user.last_name[0])


def make_plain_model(db):
    class Plain(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(String(9))

    return Plain


class TestModel:
    def test_no_model_is_a_configuration_error(self, host):
        host_app = host(model=None, TESTING=True)
        with pytest.raises(
            ConfigurationError, match=r"(?s)No model.*class User\(ProfileMixin, db.Model"
        ):
            host_app.post()

    def test_several_models_are_a_configuration_error_that_names_them(self, host):
        def make_models(db):
            class Staff(ProfileMixin, db.Model):
                pass

            db.Staff = Staff  # SQLAlchemy keeps only a weak reference to it.
            return make_user_model(db)

        host_app = host(model=make_models, TESTING=True)
        with pytest.raises(
            ConfigurationError, match=r"(?s)\.User, .*\.Staff\..*PROFILE_USER_MODEL"
        ):
            host_app.post()

    def test_the_config_can_select_one_of_several_models(self, host):
        db = SQLAlchemy()

        class Staff(ProfileMixin, db.Model):
            pass

        host_app = host(db=db, PROFILE_USER_MODEL=Staff).add()
        with host_app.app.app_context():
            host_app.db.session.add(Staff(id=1, username="boss", email="boss@example.com"))
            host_app.db.session.commit()
        assert host_app.post().json["username"] == "boss"

    def test_a_subclass_of_a_model_is_not_a_second_model(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                kind: Mapped[str] = mapped_column(String(9), default="user")
                __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}

            class Admin(User):
                __mapper_args__ = {"polymorphic_identity": "admin"}

            return Admin

        assert host(model=model).add().post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize(
        ("model_name", "schema", "more"),
        [("Person", ProfileSchema, {}), ("Member", NicknameSchema, {"nickname": "Johnny"})],
    )
    def test_a_model_can_use_joined_table_inheritance(self, model_name, schema, more, host):
        db = SQLAlchemy()

        class Person(ProfileMixin, db.Model):
            kind: Mapped[str] = mapped_column(String(9))
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

        class Member(Person):
            id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
            nickname: Mapped[str] = mapped_column(String(9), default="Johnny")
            __mapper_args__ = {"polymorphic_identity": "member"}

        host_app = host(
            db=db,
            model=lambda _db: Member,
            PROFILE_USER_MODEL={"Person": Person, "Member": Member}[model_name],
            PROFILE_SCHEMA=schema,
        ).add()
        with host_app.statements() as statements:
            assert host_app.post().json == json.loads(JOHN_AS_JSON) | more
        assert len(statements) == 1

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_deferred_columns_are_loaded_if_they_are_sent(self, schema, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                first_name: Mapped[str] = mapped_column(String(200), deferred=True)
                biography: Mapped[str | None] = mapped_column(Text, deferred=True)

            return User

        host_app = host(model=model, PROFILE_SCHEMA=schema).add(biography="long")
        with host_app.statements() as statements:
            profile = host_app.post().json
        assert profile["first_name"] == "John"
        assert len(statements) == 1
        assert "biography" not in statements[0]

    def test_columns_can_be_wider_than_in_the_mixin(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                id: Mapped[int] = mapped_column(
                    BigInteger().with_variant(Integer, "sqlite"), primary_key=True
                )
                number_phone: Mapped[str | None] = mapped_column(String(30))

            return User

        values = {"id": 2**40, "number_phone": "+49 30 901820 and more"}
        profile = host(model=model).add(**values).post(str(2**40)).json
        assert profile.items() >= values.items()

    def test_a_base_class_that_hides_a_column_of_the_mixin_is_a_configuration_error(self, host):
        class AlwaysActive:
            is_active = True

        def model(db):
            class User(AlwaysActive, ProfileMixin, db.Model):
                pass

            return User

        host_app = host(model=model, TESTING=True)
        with pytest.raises(
            ConfigurationError, match=r"(?s)AlwaysActive hides.*'is_active' of User"
        ):
            host_app.post()

    def test_is_active_can_be_a_property_of_the_model(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                @property
                def is_active(self):
                    return not self.is_staff

            return User

        host_app = host(model=model).add().add(id=2, username="ann", email="ann@x", is_staff=True)
        with host_app.statements() as statements:
            assert host_app.post().status_code == 200
            assert host_app.post("2").json["code"] == "user_inactive"
        assert len(statements) == 2

    def test_a_model_can_do_without_the_mixin(self, host):
        db = SQLAlchemy()
        plain_model = make_plain_model(db)
        host_app = host(
            db=db,
            model=None,
            PROFILE_USER_MODEL=plain_model,
            PROFILE_SCHEMA="test_queries:NamesSchema",
            PROFILE_REQUIRE_ACTIVE=False,
        )
        with host_app.app.app_context():
            db.create_all()
            db.session.add(plain_model(id=1, username="john_doe"))
            db.session.commit()
        assert host_app.post().json == {"id": 1, "username": "john_doe"}

    @pytest.mark.parametrize("base", [DeclarativeBase, DeclarativeBaseNoMeta])
    def test_any_declarative_base_works(self, base, host):
        class Base(base):
            pass

        host_app = host(db=SQLAlchemy(model_class=Base)).add()
        assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_a_model_without_the_mixin_can_be_a_dataclass(self, host):
        class Base(DeclarativeBase):
            pass

        db = SQLAlchemy(model_class=Base)

        class Plain(MappedAsDataclass, db.Model):
            id: Mapped[int] = mapped_column(primary_key=True, init=False)
            username: Mapped[str] = mapped_column(String(9))
            is_active: Mapped[bool] = mapped_column(default=True)

        host_app = host(
            db=db, model=None, PROFILE_USER_MODEL=Plain, PROFILE_SCHEMA="test_queries:NamesSchema"
        )
        with host_app.app.app_context():
            db.create_all()
            db.session.add(Plain("john_doe"))
            db.session.commit()
        assert host_app.post().json == {"id": 1, "username": "john_doe"}

    def test_a_model_without_is_active_is_a_configuration_error(self, host):
        db = SQLAlchemy()
        host_app = host(
            db=db,
            model=None,
            TESTING=True,
            PROFILE_USER_MODEL=make_plain_model(db),
            PROFILE_SCHEMA="test_queries:NamesSchema",
        )
        with pytest.raises(
            ConfigurationError, match=r"(?s)is_active.*PROFILE_REQUIRE_ACTIVE.*False"
        ):
            host_app.post()


class TestSession:
    @pytest.fixture
    def persistent_config(self, database):
        """The config of a database that still exists when its connections are closed."""
        if database == "sqlite://":
            return {"SQLALCHEMY_DATABASE_URI": "sqlite:///persistent.db"}
        return {}

    @pytest.fixture
    def single_connection_host(self, host, persistent_config):
        """A host whose pool has a single connection and does not wait for a second one."""
        pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
        return host(SQLALCHEMY_ENGINE_OPTIONS=pool, **persistent_config).add()

    def test_no_second_connection_is_used_while_the_session_holds_one(self, single_connection_host):
        @single_connection_host.app.before_request
        def use_session():
            single_connection_host.db.session.execute(select(single_connection_host.User.id))

        for _ in range(3):
            assert single_connection_host.post().status_code == 200

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_the_connection_is_returned_to_the_pool_before_the_schema_dumps(
        self, schema, host, persistent_config
    ):
        checked_out = []

        class RecordingSchema(schema):
            @post_dump
            def record(self, data, **_options):
                checked_out.append(host_app.db.engine.pool.checkedout())
                return data

        pool = {"poolclass": QueuePool}
        host_app = host(
            SQLALCHEMY_ENGINE_OPTIONS=pool, PROFILE_SCHEMA=RecordingSchema, **persistent_config
        ).add()
        assert host_app.post().status_code == 200
        assert checked_out == [0]

    def test_pending_changes_of_the_session_are_in_the_profile(self, john):
        @john.app.before_request
        def rename():
            john.db.session.get(john.User, 1).first_name = "Johnny"

        assert john.post().json["first_name"] == "Johnny"

    def test_a_do_orm_execute_listener_of_the_session_is_honoured(self, john):
        def only_staff(state):
            state.statement = state.statement.options(
                with_loader_criteria(john.User, john.User.is_staff.is_(True))
            )

        with john.app.app_context():
            event.listen(john.db.session, "do_orm_execute", only_staff)
        assert john.post().json == NOT_FOUND

    def test_an_after_begin_listener_of_the_session_is_honoured(self, john):
        begun = []
        event.listen(john.db.session, "after_begin", lambda *_: begun.append(True))
        assert john.post().status_code == 200
        assert begun == [True]

    def test_a_listener_added_after_the_first_request_is_honoured(self, john):
        assert john.post().status_code == 200
        begun = []
        event.listen(john.db.session, "after_begin", lambda *_: begun.append(True))
        assert john.post().status_code == 200
        assert begun == [True]

    def test_no_session_is_created_if_the_request_has_none(self, john):
        for _ in range(2):
            with john.app.app_context():  # The request uses this app context.
                assert john.post().status_code == 200
                assert not john.db.session.registry.has()

    def test_a_begin_listener_of_the_engine_is_honoured(self, john):
        recorded_options = []

        def record(connection):
            recorded_options.append(connection.get_execution_options())

        with john.app.app_context():
            event.listen(john.db.engine, "begin", record)
        assert john.post().get_data(as_text=True) == JOHN_AS_JSON
        assert [options.get("isolation_level") for options in recorded_options] == [None]

    def test_a_checkout_listener_that_begins_a_transaction_is_honoured(self, john):
        def begin(connection, _record, _proxy):
            with closing(connection.cursor()) as cursor:
                cursor.execute("SELECT 1")

        with john.app.app_context():
            event.listen(john.db.engine, "checkout", begin)
        for _ in range(2):
            assert john.post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_a_dead_connection_in_the_pool_is_replaced(self, schema, host, persistent_config):
        host_app = host(PROFILE_SCHEMA=schema, **persistent_config).add()
        for _ in range(2):
            with host_app.app.app_context():
                pooled = host_app.db.engine.raw_connection()
                driver = pooled.driver_connection
                pooled.close()
                driver.close()
            assert host_app.post().json.items() >= json.loads(JOHN_AS_JSON).items()

    @pytest.mark.parametrize(
        ("is_dead", "session_is_used", "attempts"),
        [(True, False, 2), (True, True, 1), (False, False, 1)],
    )
    def test_a_read_is_retried_once_and_only_if_its_own_connection_is_dead(
        self, is_dead, session_is_used, attempts, john
    ):
        calls = []

        def fail(*_):
            calls.append(1)
            raise OperationalError("SELECT", {}, Exception("gone"), connection_invalidated=is_dead)

        @john.app.before_request
        def use_session():
            if session_is_used:
                john.db.session.execute(select(john.User.id))
            event.listen(john.db.engine, "before_cursor_execute", fail)

        assert john.post().status_code == 500
        assert len(calls) == attempts
        with john.app.app_context():
            event.remove(john.db.engine, "before_cursor_execute", fail)

    def test_the_bind_of_the_model_is_used(self, host, create_database):
        def model(db):
            class User(ProfileMixin, db.Model):
                __bind_key__ = "users"

            return User

        url = create_database()["SQLALCHEMY_DATABASE_URI"]
        host_app = host(model=model, SQLALCHEMY_BINDS={"users": url}).add()
        with host_app.app.app_context():
            assert host_app.db.engines["users"] is not host_app.db.engine
        assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_get_bind_of_a_custom_session_class_is_used(self, host, create_database):
        class RoutingSession(Session):
            def get_bind(self, mapper=None, clause=None, **options):
                if clause is not None and clause.is_select:
                    return self._db.engines["replica"]
                return super().get_bind(mapper=mapper, clause=clause, **options)

        host_app = host(
            db=SQLAlchemy(session_options={"class_": RoutingSession}),
            SQLALCHEMY_BINDS={"replica": create_database()["SQLALCHEMY_DATABASE_URI"]},
        ).add()
        assert host_app.post().status_code == 500  # The replica has no tables yet.
        with host_app.app.app_context():
            host_app.db.metadata.create_all(host_app.db.engines["replica"])
        assert host_app.post().json == NOT_FOUND

    def test_a_session_bound_to_one_connection_uses_it(self, host):
        class SingleConnectionSession(Session):
            def get_bind(self, *_args, **_options):
                return connection

        host_app = host(db=SQLAlchemy(session_options={"class_": SingleConnectionSession}))
        with host_app.app.app_context():
            connection = host_app.db.engine.connect()
        host_app.add()
        with host_app.statements() as statements:
            assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON
        assert len(statements) == 1
        connection.close()
