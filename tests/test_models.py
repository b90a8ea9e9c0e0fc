from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import String, event, inspect, select, text
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from conftest import JOHN_AS_JSON
from flask_profile import ProfileMixin

COLUMNS = {
    "id": (None, False),
    "username": (150, False),
    "email": (200, False),
    "first_name": (200, False),
    "last_name": (200, False),
    "number_phone": (10, True),
    "avatar": (500, True),
    "date_joined": (None, False),
    "last_login": (None, True),
    "is_active": (None, False),
    "is_staff": (None, False),
    "is_superuser": (None, False),
}


def test_the_mixin_has_the_documented_columns(host):
    columns = inspect(host().User).columns
    found = {c.key: (getattr(c.type, "length", None), c.nullable) for c in columns}
    assert found == COLUMNS | {"password_hash": (255, True)}
    assert [c.key for c in columns if c.unique] == ["username", "email"]
    assert [c.key for c in columns if c.primary_key] == ["id"]


def test_a_new_user_needs_but_a_name_and_an_address(host):
    made = host()
    before = datetime.now(timezone.utc)
    with made.app.app_context():
        made.db.create_all()
        made.db.session.add(made.User(username="ann", email="ann@example.com"))
        made.db.session.commit()
        ann = made.db.session.scalar(select(made.User))
        assert (ann.first_name, ann.last_name, ann.number_phone, ann.avatar) == ("", "", None, None)
        assert (ann.is_active, ann.is_staff, ann.is_superuser) == (True, False, False)
        assert ann.last_login is None
        assert before <= ann.date_joined <= datetime.now(timezone.utc)


@pytest.mark.parametrize(
    "written",
    [
        datetime(2024, 1, 15, 10, 30),
        datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc),
        datetime(2024, 1, 15, 12, 30, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_point_in_time_is_stored_and_read_as_aware_utc(written, host):
    made = host().add(last_login=written)
    with made.app.app_context():
        user = made.db.session.get(made.User, 1)
        assert user.last_login == datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
        assert user.last_login.tzinfo is timezone.utc
        if made.db.engine.dialect.name == "sqlite":
            raw = made.db.session.execute(text("SELECT last_login FROM user")).scalar()
            assert raw == "2024-01-15 10:30:00.000000"


ZONES = {
    "postgresql": "SET TIME ZONE 'Asia/Tokyo'",
    "mysql": "SET time_zone = '+09:00'",
    "mariadb": "SET time_zone = '+09:00'",
    "sqlite": "SELECT 'it has no zones'",
}


def test_the_zone_of_a_connection_does_not_count(host):
    made = host()

    def move(connection, _record):
        with closing(connection.cursor()) as cursor:
            cursor.execute(ZONES[made.db.engine.dialect.name])
        connection.commit()

    with made.app.app_context():
        event.listen(made.db.engine, "connect", move)
        made.add()
    assert made.post().get_data(as_text=True) == JOHN_AS_JSON


@pytest.mark.parametrize(
    ("dialect", "column"),
    [
        (postgresql.dialect(), "date_joined TIMESTAMP WITH TIME ZONE NOT NULL"),
        (mysql.dialect(), "date_joined DATETIME(6) NOT NULL"),
        (sqlite.dialect(), "date_joined DATETIME NOT NULL"),
    ],
)
def test_each_database_keeps_microseconds(dialect, column, host):
    ddl = str(CreateTable(inspect(host().User).local_table).compile(dialect=dialect))
    assert column in ddl


def test_a_host_adds_and_overrides_columns(host):
    def model(db):
        class Member(ProfileMixin, db.Model):
            number_phone: Mapped[str | None] = mapped_column(String(30))
            nickname: Mapped[str] = mapped_column(String(9), default="")

        return Member

    made = host(model=model).add(number_phone="+49 30 901820 and more")
    assert made.post().json["number_phone"] == "+49 30 901820 and more"
