"""Which model and which of its columns the statement of a profile reads."""

from __future__ import annotations

import pytest
from flask_sqlalchemy import SQLAlchemy
from marshmallow import fields
from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import (
    DeclarativeBase,
    DeclarativeBaseNoMeta,
    Mapped,
    MappedAsDataclass,
    mapped_column,
)
from sqlalchemy.types import Integer

from conftest import JOHN_AS_JSON, make_user_model
from contract import JOHN_PROFILE
from flask_profile import ConfigurationError, ProfileMixin, ProfileSchema
from schemas import Initials


class NamesSchema(ProfileSchema):
    class Meta:
        fields = ("id", "username")


class NicknameSchema(ProfileSchema):
    nickname = fields.String()


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
            assert host_app.post().json == JOHN_PROFILE | more
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
