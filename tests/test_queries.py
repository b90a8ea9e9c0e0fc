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

from conftest import JOHN_AS_JSON, keyed, user_of
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema
from flask_profile.queries import UserNotFoundError, identity_parser
from hostile import IDENTITIES, JSON_VALUES, KEY
from responses import NOT_FOUND


class Guid(TypeDecorator):
    """The recipe that many hosts have: a UUID in a CHAR."""

    impl = CHAR(32)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return uuid.UUID(str(value)).hex

    def process_result_value(self, value, dialect):
        return uuid.UUID(value)


class Badge(TypeDecorator):
    """An integer that is written like ``A7``."""

    impl = Integer
    cache_ok = True
    python_type = str

    def process_bind_param(self, value, dialect):
        return {"A": 1}[value[0]] * 100 + int(value[1:])

    def process_result_value(self, value, dialect):
        return f"A{value - 100}"


KEYS = {
    "integer": (Integer(), 1, "1"),
    "big integer": (BigInteger().with_variant(Integer(), "sqlite"), 2**62, str(2**62)),
    "text": (String(36), "josé 😀", "josé 😀"),
    "UUID": (Uuid(), KEY, str(KEY)),
    "UUID as text": (Uuid(as_uuid=False), str(KEY), str(KEY)),
    "a UUID of the host's own": (Guid(), KEY, str(KEY)),
    "a type of the host's own": (Badge(), "A7", "A7"),
}
# What the database may be asked for: only it knows which text is a key, and only the host what its
# own type takes.
CANONICAL = {
    "own": r"[^\0\ud800-\udfff]*",
    "integer": r"0|-?[1-9][0-9]*",
    "UUID": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "text": r"[^\0\ud800-\udfff]*",
}


@pytest.mark.parametrize("case", KEYS)
def test_a_user_is_found_by_the_text_of_its_key(case, host):
    type_, key, text = KEYS[case]
    made = host(model=keyed(type_)).add(id=key)
    response = made.post(text)
    assert response.status_code == 200
    assert response.json["id"] == (key if isinstance(key, int) else text)


@pytest.mark.parametrize("case", KEYS)
def test_a_hostile_identity_is_not_found(case, host):
    type_, key, _ = KEYS[case]
    made = host(model=keyed(type_), JWT_VERIFY_SUB=False).add(id=key)
    kind = next(kind for kind in CANONICAL if kind in case)
    texts = {int, str} if kind == "integer" else {str}
    for identity in IDENTITIES:
        with made.statements() as statements:
            response = made.post(identity)
        assert (identity, response.status_code, response.json) == (identity, 404, NOT_FOUND)
        is_canonical = re.fullmatch(CANONICAL[kind], str(identity)) and type(identity) in texts
        assert statements == [] or is_canonical, identity


@pytest.mark.parametrize("case", KEYS)
def test_whatever_the_identity_it_is_a_users_key_or_not_found(case, host):
    type_, key, text = KEYS[case]
    made = host(model=keyed(type_), JWT_VERIFY_SUB=False, TESTING=True).add(id=key)
    near = st.lists(st.sampled_from([text, *text, " ", "0", "\0"]), max_size=4).map("".join)

    @settings(deadline=None, max_examples=50)
    @given(JSON_VALUES | st.text() | st.integers().map(str) | st.uuids().map(str) | near)
    def answered(identity):
        response = made.post(identity)
        is_users = identity == text or (type(identity) is int and identity == key)
        assert (response.status_code, response.json == NOT_FOUND) == (
            (200, False) if is_users else (404, True)
        )

    answered()


def test_an_integer_identity_names_an_integer_key(host):
    assert host(JWT_VERIFY_SUB=False).add().post(1).status_code == 200


def test_an_integer_identity_names_no_text_key(host):
    assert host(model=keyed(String(9)), JWT_VERIFY_SUB=False).add(id="1").post(1).json == NOT_FOUND


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
def test_integers_are_asked_for_within_the_range_of_the_database(type_, dialect, largest):
    parse = identity_parser(type_, dialect)
    assert parse(str(largest)) == largest
    assert parse(str(-largest)) == -largest
    for beyond in (largest + 1, -largest - 2):
        with pytest.raises(UserNotFoundError):
            parse(str(beyond))


def test_a_deleted_user_is_not_found(john):
    with john.app.app_context():
        john.db.session.delete(john.db.session.get(john.User, 1))
        john.db.session.commit()
    response = john.post()
    assert (response.status_code, response.json) == (404, NOT_FOUND)


def test_an_identity_may_name_another_column(host):
    made = host(PROFILE_IDENTITY_FIELD="username").add()
    assert made.post("john_doe").status_code == 200
    assert made.post("1").json == NOT_FOUND


def test_an_identity_must_be_the_text_of_the_column_whatever_its_collation(host):
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

    made = host(model=model, PROFILE_IDENTITY_FIELD="username").add()
    assert made.post("john_doe").status_code == 200
    assert made.post("JOHN_DOE").json == NOT_FOUND


def test_an_ambiguous_identity_is_an_error_and_nobodys_profile(host):
    made = host(PROFILE_IDENTITY_FIELD="first_name").add()
    made.add(id=2, username="john2", email="john2@example.com")
    assert made.post("John").status_code == 500


def composite(db):
    class User(ProfileMixin, db.Model):
        tenant: Mapped[int] = mapped_column(primary_key=True, default=1)

    return User


def test_a_composite_key_needs_the_name_of_a_column(host):
    with pytest.raises(ConfigurationError, match=r"(?s)several columns.*PROFILE_IDENTITY_FIELD"):
        host(model=composite, TESTING=True).add().post()
    made = host(model=composite, PROFILE_IDENTITY_FIELD="username").add()
    assert made.post("john_doe").status_code == 200


@pytest.mark.parametrize("field", ["nickname", "metadata"])
def test_an_identity_field_that_is_no_column_is_a_configuration_error(field, host):
    made = host(PROFILE_IDENTITY_FIELD=field, TESTING=True).add()
    with pytest.raises(ConfigurationError, match=f"{field}.*no column of User.*username"):
        made.post()


def test_a_key_that_no_text_can_name_is_a_configuration_error(host):
    made = host(model=keyed(LargeBinary(16)), TESTING=True)
    with pytest.raises(ConfigurationError, match=r"LargeBinary\(length=16\).*python_type"):
        made.post()


class OldType(UserDefinedType):
    cache_ok = True

    @property
    def python_type(self):
        raise NotImplementedError

    def get_col_spec(self):
        return "INTEGER"


def test_a_key_of_an_unknown_type_is_a_configuration_error(host):
    made = host(model=keyed(OldType()), TESTING=True).add()
    with pytest.raises(ConfigurationError, match="OldType"):
        made.post()


class Names(ProfileSchema):
    class Meta:
        fields = ("id", "username")


class Nicknamed(ProfileSchema):
    nickname = fields.String()


class Initials(ProfileSchema):
    initials = fields.Function(lambda user: user.first_name[0] + user.last_name[0])


def plain_model(db):
    class Plain(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(String(9))

    return Plain


class TestModel:
    def test_none_is_a_configuration_error(self, host):
        made = host(model=None, TESTING=True)
        with pytest.raises(
            ConfigurationError, match=r"(?s)No model.*class User\(ProfileMixin, db.Model"
        ):
            made.post()

    def test_several_are_a_configuration_error_that_names_them(self, host):
        def models(db):
            class Staff(ProfileMixin, db.Model):
                pass

            db.Staff = Staff  # SQLAlchemy forgets a model that nobody holds.
            return user_of(db)

        made = host(model=models, TESTING=True)
        with pytest.raises(
            ConfigurationError, match=r"(?s)\.User, .*\.Staff\..*PROFILE_USER_MODEL"
        ):
            made.post()

    def test_one_of_several_can_be_named(self, host):
        db = SQLAlchemy()

        class Staff(ProfileMixin, db.Model):
            pass

        made = host(db=db, PROFILE_USER_MODEL=Staff).add()
        with made.app.app_context():
            made.db.session.add(Staff(id=1, username="boss", email="boss@example.com"))
            made.db.session.commit()
        assert made.post().json["username"] == "boss"

    def test_a_subclass_is_no_second_one(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                kind: Mapped[str] = mapped_column(String(9), default="user")
                __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}

            class Admin(User):
                __mapper_args__ = {"polymorphic_identity": "admin"}

            return Admin

        assert host(model=model).add().post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize(
        ("served", "schema", "more"),
        [("Person", ProfileSchema, {}), ("Member", Nicknamed, {"nickname": "Johnny"})],
    )
    def test_it_may_add_a_table_to_its_parents(self, served, schema, more, host):
        db = SQLAlchemy()

        class Person(ProfileMixin, db.Model):
            kind: Mapped[str] = mapped_column(String(9))
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

        class Member(Person):
            id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
            nickname: Mapped[str] = mapped_column(String(9), default="Johnny")
            __mapper_args__ = {"polymorphic_identity": "member"}

        made = host(
            db=db,
            model=lambda _db: Member,
            PROFILE_USER_MODEL={"Person": Person, "Member": Member}[served],
            PROFILE_SCHEMA=schema,
        ).add()
        with made.statements() as statements:
            assert made.post().json == json.loads(JOHN_AS_JSON) | more
        assert len(statements) == 1

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_its_deferred_columns_are_read_where_they_are_sent(self, schema, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                first_name: Mapped[str] = mapped_column(String(200), deferred=True)
                biography: Mapped[str | None] = mapped_column(Text, deferred=True)

            return User

        made = host(model=model, PROFILE_SCHEMA=schema).add(biography="long")
        with made.statements() as statements:
            profile = made.post().json
        assert profile["first_name"] == "John"
        assert len(statements) == 1
        assert "biography" not in statements[0]

    def test_its_columns_may_be_wider(self, host):
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

    def test_a_class_before_the_mixin_may_not_hide_its_columns(self, host):
        class Anybody:
            is_active = True

        def model(db):
            class User(Anybody, ProfileMixin, db.Model):
                pass

            return User

        made = host(model=model, TESTING=True)
        with pytest.raises(ConfigurationError, match=r"(?s)Anybody hides.*'is_active' of User"):
            made.post()

    def test_it_may_decide_itself_who_is_active(self, host):
        def model(db):
            class User(ProfileMixin, db.Model):
                @property
                def is_active(self):
                    return not self.is_staff

            return User

        made = host(model=model).add().add(id=2, username="ann", email="ann@x", is_staff=True)
        with made.statements() as statements:
            assert made.post().status_code == 200
            assert made.post("2").json["code"] == "user_inactive"
        assert len(statements) == 2

    def test_it_may_do_without_the_mixin(self, host):
        db = SQLAlchemy()
        plain = plain_model(db)
        made = host(
            db=db,
            model=None,
            PROFILE_USER_MODEL=plain,
            PROFILE_SCHEMA="test_queries:Names",
            PROFILE_REQUIRE_ACTIVE=False,
        )
        with made.app.app_context():
            db.create_all()
            db.session.add(plain(id=1, username="john_doe"))
            db.session.commit()
        assert made.post().json == {"id": 1, "username": "john_doe"}

    @pytest.mark.parametrize("base", [DeclarativeBase, DeclarativeBaseNoMeta])
    def test_any_base_will_do(self, base, host):
        class Base(base):
            pass

        made = host(db=SQLAlchemy(model_class=Base)).add()
        assert made.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_it_may_be_a_dataclass_with_columns_of_its_own(self, host):
        class Base(DeclarativeBase):
            pass

        db = SQLAlchemy(model_class=Base)

        class Plain(MappedAsDataclass, db.Model):
            id: Mapped[int] = mapped_column(primary_key=True, init=False)
            username: Mapped[str] = mapped_column(String(9))
            is_active: Mapped[bool] = mapped_column(default=True)

        made = host(
            db=db, model=None, PROFILE_USER_MODEL=Plain, PROFILE_SCHEMA="test_queries:Names"
        )
        with made.app.app_context():
            db.create_all()
            db.session.add(Plain("john_doe"))
            db.session.commit()
        assert made.post().json == {"id": 1, "username": "john_doe"}

    def test_a_model_without_is_active_is_a_configuration_error(self, host):
        db = SQLAlchemy()
        made = host(
            db=db,
            model=None,
            TESTING=True,
            PROFILE_USER_MODEL=plain_model(db),
            PROFILE_SCHEMA="test_queries:Names",
        )
        with pytest.raises(
            ConfigurationError, match=r"(?s)is_active.*PROFILE_REQUIRE_ACTIVE.*False"
        ):
            made.post()


class TestSession:
    @pytest.fixture
    def kept(self, database):
        """The config of a database that outlives its connections."""
        return {"SQLALCHEMY_DATABASE_URI": "sqlite:///kept.db"} if database == "sqlite://" else {}

    @pytest.fixture
    def small(self, host, kept):
        """A host whose pool has a single connection, and does not wait for a second."""
        pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
        return host(SQLALCHEMY_ENGINE_OPTIONS=pool, **kept).add()

    def test_no_second_connection_is_taken_while_the_session_holds_one(self, small):
        @small.app.before_request
        def hold():
            small.db.session.execute(select(small.User.id))

        for _ in range(3):
            assert small.post().status_code == 200

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_no_connection_is_kept_where_the_session_held_none(self, schema, host, kept):
        held = []

        class Looking(schema):
            @post_dump
            def look(self, data, **_options):
                held.append(made.db.engine.pool.checkedout())
                return data

        pool = {"poolclass": QueuePool}
        made = host(SQLALCHEMY_ENGINE_OPTIONS=pool, PROFILE_SCHEMA=Looking, **kept).add()
        assert made.post().status_code == 200
        assert held == [0]

    def test_what_the_request_has_changed_is_seen(self, john):
        @john.app.before_request
        def rename():
            john.db.session.get(john.User, 1).first_name = "Johnny"

        assert john.post().json["first_name"] == "Johnny"

    def test_a_host_that_filters_what_its_session_executes_is_honoured(self, john):
        def only_staff(state):
            state.statement = state.statement.options(
                with_loader_criteria(john.User, john.User.is_staff.is_(True))
            )

        with john.app.app_context():
            event.listen(john.db.session, "do_orm_execute", only_staff)
        assert john.post().json == NOT_FOUND

    def test_a_host_that_prepares_its_transactions_is_honoured(self, john):
        begun = []
        event.listen(john.db.session, "after_begin", lambda *_: begun.append(True))
        assert john.post().status_code == 200
        assert begun == [True]

    def test_a_host_that_listens_from_now_on_is_honoured(self, john):
        assert john.post().status_code == 200
        begun = []
        event.listen(john.db.session, "after_begin", lambda *_: begun.append(True))
        assert john.post().status_code == 200
        assert begun == [True]

    def test_no_session_is_made_where_the_request_has_none(self, john):
        for _ in range(2):
            with john.app.app_context():  # Which the request shares.
                assert john.post().status_code == 200
                assert not john.db.session.registry.has()

    def test_a_host_that_listens_to_the_transactions_of_its_engine_is_honoured(self, john):
        options = []

        def prepare(connection):
            options.append(connection.get_execution_options())

        with john.app.app_context():
            event.listen(john.db.engine, "begin", prepare)
        assert john.post().get_data(as_text=True) == JOHN_AS_JSON
        assert [given.get("isolation_level") for given in options] == [None]

    def test_a_host_whose_connections_have_begun_is_honoured(self, john):
        def begin(connection, _record, _proxy):
            with closing(connection.cursor()) as cursor:
                cursor.execute("SELECT 1")

        with john.app.app_context():
            event.listen(john.db.engine, "checkout", begin)
        for _ in range(2):
            assert john.post().get_data(as_text=True) == JOHN_AS_JSON

    @pytest.mark.parametrize("schema", [ProfileSchema, Initials])
    def test_a_connection_that_died_in_the_pool_costs_no_answer(self, schema, host, kept):
        lasting = host(PROFILE_SCHEMA=schema, **kept).add()
        for _ in range(2):
            with lasting.app.app_context():
                pooled = lasting.db.engine.raw_connection()
                driver = pooled.driver_connection
                pooled.close()
                driver.close()
            assert lasting.post().json.items() >= json.loads(JOHN_AS_JSON).items()

    @pytest.mark.parametrize(
        ("dead", "holding", "tries"), [(True, False, 2), (True, True, 1), (False, False, 1)]
    )
    def test_a_read_is_repeated_once_and_only_on_a_dead_connection_of_its_own(
        self, dead, holding, tries, john
    ):
        asked = []

        def fail(*_):
            asked.append(1)
            raise OperationalError("SELECT", {}, Exception("gone"), connection_invalidated=dead)

        @john.app.before_request
        def hold():
            if holding:
                john.db.session.execute(select(john.User.id))
            event.listen(john.db.engine, "before_cursor_execute", fail)

        assert john.post().status_code == 500
        assert len(asked) == tries
        with john.app.app_context():
            event.remove(john.db.engine, "before_cursor_execute", fail)

    def test_binds_are_honoured(self, host, room):
        def model(db):
            class User(ProfileMixin, db.Model):
                __bind_key__ = "users"

            return User

        users = room()["SQLALCHEMY_DATABASE_URI"]
        made = host(model=model, SQLALCHEMY_BINDS={"users": users}).add()
        with made.app.app_context():
            assert made.db.engines["users"] is not made.db.engine
        assert made.post().get_data(as_text=True) == JOHN_AS_JSON

    def test_routing_sessions_are_honoured(self, host, room):
        class Routing(Session):
            def get_bind(self, mapper=None, clause=None, **options):
                if clause is not None and clause.is_select:
                    return self._db.engines["replica"]
                return super().get_bind(mapper=mapper, clause=clause, **options)

        made = host(
            db=SQLAlchemy(session_options={"class_": Routing}),
            SQLALCHEMY_BINDS={"replica": room()["SQLALCHEMY_DATABASE_URI"]},
        ).add()
        assert made.post().status_code == 500  # The replica has no tables yet.
        with made.app.app_context():
            made.db.metadata.create_all(made.db.engines["replica"])
        assert made.post().json == NOT_FOUND

    def test_a_session_on_one_connection_is_honoured(self, host):
        class Joined(Session):
            def get_bind(self, *_args, **_options):
                return connection

        made = host(db=SQLAlchemy(session_options={"class_": Joined}))
        with made.app.app_context():
            connection = made.db.engine.connect()
        made.add()
        with made.statements() as statements:
            assert made.post().get_data(as_text=True) == JOHN_AS_JSON
        assert len(statements) == 1
        connection.close()
