"""Schemas and models that several test files use."""

from __future__ import annotations

from marshmallow import fields, post_load
from sqlalchemy import BigInteger, Integer, SmallInteger, String, update
from sqlalchemy.orm import Mapped, mapped_column

from flask_profile import ProfileMixin, ProfileSchema


class Initials(ProfileSchema):
    initials = fields.Function(lambda user: user.first_name[0] + user.last_name[0])


class WritableSchema(ProfileSchema):
    username = fields.String()
    email = fields.String()


def make_extended_model(db):
    """Define a model with each kind of column that a host may make writable."""

    class User(ProfileMixin, db.Model):
        password_hash: Mapped[str | None] = mapped_column(String(255))
        nickname: Mapped[str] = mapped_column(String(30), default="")
        small: Mapped[int | None] = mapped_column(SmallInteger)
        middle: Mapped[int | None] = mapped_column(Integer)
        large: Mapped[int | None] = mapped_column(BigInteger)

    return User


class ExtendedSchema(ProfileSchema):
    username = fields.String()
    email = fields.String()
    nickname = fields.String(allow_none=True)
    small = fields.Integer(allow_none=True)
    middle = fields.Integer()
    large = fields.Integer()


def make_interrupted_schema(get_host, **values):
    """Define a schema that, while loading, writes to the same row on another connection."""

    class Interrupted(ProfileSchema):
        @post_load
        def interrupt(self, data, **_options):
            host = get_host()
            with host.db.engine.begin() as connection:
                connection.execute(update(host.User.__table__).values(values))
            return data

    return Interrupted
