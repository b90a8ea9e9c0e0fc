"""Which identity in a token matches which user, and which matches no user."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    CHAR,
    DDL,
    BigInteger,
    LargeBinary,
    SmallInteger,
    String,
    TypeDecorator,
    Uuid,
    event,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Integer, UserDefinedType

from conftest import model_with_id
from contract import FAILED, NOT_FOUND
from flask_profile import ConfigurationError, ProfileMixin
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


def test_the_row_of_another_user_is_not_returned(host, caplog):
    """A connection that processes share by mistake returns the results of other requests."""
    shared = host().add().add(id=2, username="jane_doe", email="jane@example.com")
    with shared.app.app_context():
        engine = shared.db.engine

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def ask_for_jane(_connection, _cursor, statement, parameters, *_):
        if isinstance(parameters, dict):
            return statement, dict.fromkeys(parameters, 2)
        return statement, type(parameters)([2])

    assert shared.post("2").status_code == 200
    response = shared.post("1")
    assert (response.status_code, response.json) == (500, FAILED)
    assert "several processes share one connection" in caplog.text


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
    with pytest.raises(ConfigurationError, match=f"{field}.*not a column of User.*username"):
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
