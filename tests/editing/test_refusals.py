"""Values that a validator, a setter or a column type of the model refuses."""

from __future__ import annotations

import enum

import pytest
from marshmallow import ValidationError, fields, validates
from sqlalchemy import Enum, Integer, String
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, synonym
from sqlalchemy.orm import validates as model_validates
from sqlalchemy.types import TypeDecorator

from conftest import make_user_model
from contract import JOHN_PROFILE, NOT_SAVED, NOT_VALID_VALUE, out_of_range
from editing.requests import parse, patch
from flask_profile import ProfileMixin, ProfileSchema
from host_databases import read_users


class PhoneNumberError(Exception, DontWrapMixin):
    """As sqlalchemy-utils raises it, which SQLAlchemy does not wrap."""


class PhoneNumber(TypeDecorator):
    impl = String(20)
    cache_ok = True
    error: type[Exception] = ValueError

    def process_bind_param(self, value, dialect):
        if value is not None and not value.startswith("+"):
            raise self.error(value)
        return value


class StrictPhoneNumber(PhoneNumber):
    error = PhoneNumberError
    cache_ok = True


class Color(enum.Enum):
    RED = 1


class LazyText:
    """As flask-babel's lazy_gettext() returns it."""

    def __str__(self):
        return "Bitte nicht."


def check_name(name):
    if name == "Root":
        raise ValidationError("This name is reserved.")
    if name == "Both":
        raise ValidationError(["One.", "Two."])
    if name == "Lazy":
        raise ValidationError(LazyText())
    return name.encode("ascii").decode()


def make_validating_model(db):
    class User(ProfileMixin, db.Model):
        phone = mapped_column(PhoneNumber)
        strict_phone = mapped_column(StrictPhoneNumber)
        color: Mapped[Color | None] = mapped_column(Enum(Color))
        _nickname: Mapped[str | None] = mapped_column("nickname", String(9))
        _small: Mapped[int | None] = mapped_column("small", Integer)
        alias = synonym("_nickname")

        @hybrid_property
        def nickname(self):
            return self._nickname

        @nickname.inplace.setter
        def _set_nickname(self, value):
            if value == "Root":
                raise ValueError(value)
            self._nickname = value

        @hybrid_property
        def small(self):
            return self._small

        @small.inplace.setter
        def _set_small(self, value):
            self._small = value

        @hybrid_property
        def shouted(self):
            return self._nickname.upper()

        @shouted.inplace.setter
        def _set_shouted(self, value):
            self._nickname = value.lower()

        @model_validates("first_name", "last_name")
        def check_name(self, key, name):
            return check_name(name)

    return User


class ValidatingSchema(ProfileSchema):
    phone = fields.String()
    strict_phone = fields.String()
    color = fields.String(allow_none=True)
    nickname = fields.String(allow_none=True)
    small = fields.Integer(allow_none=True)
    alias = fields.String()
    shouted = fields.String(load_only=True)


TOO_LONG = ["Longer than maximum length 9."]
REFUSED = [
    ({"first_name": "Root"}, {"first_name": ["This name is reserved."]}),
    ({"first_name": "Both"}, {"first_name": ["One.", "Two."]}),
    ({"first_name": "Lazy"}, {"first_name": ["Bitte nicht."]}),
    ({"first_name": "\xe9"}, {"first_name": NOT_VALID_VALUE}),
    (
        {"first_name": "Root", "last_name": "\xe9"},
        {"first_name": ["This name is reserved."], "last_name": NOT_VALID_VALUE},
    ),
    ({"nickname": "Root"}, {"nickname": NOT_VALID_VALUE}),
    ({"nickname": "x" * 10}, {"nickname": TOO_LONG}),
    ({"alias": "x" * 10}, {"alias": TOO_LONG}),
    ({"phone": "12"}, {"phone": NOT_VALID_VALUE}),
    ({"strict_phone": "12"}, {"strict_phone": NOT_VALID_VALUE}),
    ({"color": "BLU"}, {"color": ["Must be one of: RED."]}),
    (
        {"phone": "12", "strict_phone": "12"},
        {"phone": NOT_VALID_VALUE, "strict_phone": NOT_VALID_VALUE},
    ),
    ({"phone": "12", "color": "BLU"}, {"color": ["Must be one of: RED."]}),
]


def test_what_the_model_refuses_is_a_400_of_the_field(database, editable_host):
    host = editable_host(model=make_validating_model, PROFILE_SCHEMA=ValidatingSchema)
    before = read_users(host)
    for body, messages in REFUSED:
        assert (body, *parse(patch(host, body))) == (body, 400, messages)
    bits = 63 if database.startswith("sqlite") else 31
    assert parse(patch(host, {"small": 2**63})) == (400, {"small": out_of_range(bits)})
    assert read_users(host) == before


def test_what_the_model_accepts_is_stored(editable_host):
    host = editable_host(model=make_validating_model, PROFILE_SCHEMA=ValidatingSchema)
    body = {"phone": "+1", "strict_phone": "+2", "nickname": "x" * 9, "small": 7}
    assert patch(host, body).json.items() >= (JOHN_PROFILE | body).items()
    assert patch(host, {"alias": "Jo"}).json["nickname"] == "Jo"
    assert patch(host, {"shouted": "JOE"}).json["nickname"] == "joe"
    assert patch(host, {"color": "RED"}).status_code == 200
    assert patch(host, {"nickname": None}).json["nickname"] is None


def test_any_other_exception_of_a_setter_is_a_500(editable_host):
    def model(db):
        user = make_user_model(db)

        def fail(self, value):
            raise KeyError(value)

        user.password = property(None, fail)
        return user

    class Password(ProfileSchema):
        password = fields.String(load_only=True)

    host = editable_host(model=model, PROFILE_SCHEMA=Password)
    assert parse(patch(host, {"password": "secret"})) == (500, NOT_SAVED)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (LazyText(), ["Bitte nicht."]),
        ([LazyText(), "No."], ["Bitte nicht.", "No."]),
        ({"part": ["No."]}, ["part: No."]),
        ({"part": {0: LazyText()}}, ["part.0: Bitte nicht."]),
        (7, ["7"]),
    ],
)
def test_a_message_of_any_kind_becomes_a_list_of_texts(message, shown, editable_host):
    class Refusing(ProfileSchema):
        @validates("first_name")
        def refuse(self, _value, **_options):
            raise ValidationError(message)

    host = editable_host(PROFILE_SCHEMA=Refusing)
    assert parse(patch(host, {"first_name": "Jack"})) == (400, {"first_name": shown})
