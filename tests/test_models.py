from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    event,
    false,
    inspect,
    make_url,
    select,
    text,
    true,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from sqlalchemy.schema import CreateTable

from conftest import JOHN, JOHN_AS_JSON
from flask_profile import ConfigurationError, ProfileMixin

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


def test_a_new_user_needs_only_a_username_and_an_email(host):
    host_app = host()
    before = datetime.now(timezone.utc)
    with host_app.app.app_context():
        host_app.db.create_all()
        host_app.db.session.add(host_app.User(username="ann", email="ann@example.com"))
        host_app.db.session.commit()
        ann = host_app.db.session.scalar(select(host_app.User))
        assert (ann.first_name, ann.last_name, ann.number_phone, ann.avatar) == ("", "", None, None)
        assert (ann.is_active, ann.is_staff, ann.is_superuser) == (True, False, False)
        assert ann.last_login is None
        assert before <= ann.date_joined <= datetime.now(timezone.utc)


@pytest.mark.parametrize(
    "assigned",
    [
        datetime(2024, 1, 15, 10, 30),
        datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc),
        datetime(2024, 1, 15, 12, 30, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_datetime_is_stored_in_utc_and_read_as_aware(assigned, host):
    host_app = host().add(last_login=assigned)
    with host_app.app.app_context():
        user = host_app.db.session.get(host_app.User, 1)
        assert user.last_login == datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
        assert user.last_login.tzinfo is timezone.utc
        if host_app.db.engine.dialect.name == "sqlite":
            raw = host_app.db.session.execute(text("SELECT last_login FROM user")).scalar()
            assert raw == "2024-01-15 10:30:00.000000"


ZONES = {
    "postgresql": "SET TIME ZONE 'Asia/Tokyo'",
    "mysql": "SET time_zone = '+09:00'",
    "sqlite": "SELECT 'SQLite has no time zones'",
}
SERVER_ZONES = {
    "postgresql": ("ALTER DATABASE {0} SET TIME ZONE 'Asia/Tokyo'", "ALTER DATABASE {0} RESET ALL"),
    "mysql": ("SET GLOBAL time_zone = '+09:00'", "SET GLOBAL time_zone = 'SYSTEM'"),
}


def test_the_time_zone_of_the_connection_has_no_effect(host):
    host_app = host()

    def set_time_zone(connection, _record):
        with closing(connection.cursor()) as cursor:
            cursor.execute(ZONES[host_app.db.engine.dialect.name])
        connection.commit()

    with host_app.app.app_context():
        event.listen(host_app.db.engine, "connect", set_time_zone)
        host_app.add()
    assert host_app.post().get_data(as_text=True) == JOHN_AS_JSON


@pytest.fixture
def server_in_another_time_zone(server):
    """Set another time zone for the server or its database, and reset it afterwards."""
    if server is None:
        yield
        return
    set_zone, reset_zone = SERVER_ZONES[server.dialect.name]
    with server.connect() as connection:
        connection.execute(text(set_zone.format(server.url.database)))
        yield
        connection.execute(text(reset_zone.format(server.url.database)))


@pytest.mark.usefixtures("server_in_another_time_zone")
def test_the_time_zone_of_the_server_has_no_effect(host):
    assert host().add().post().get_data(as_text=True) == JOHN_AS_JSON


def test_fractions_of_a_second_are_kept(host):
    precise = datetime(2024, 3, 10, 14, 20, 0, 123456, tzinfo=timezone.utc)
    assert host().add(last_login=precise).post().json["last_login"] == "2024-03-10T14:20:00.123456Z"


def test_unicode_text_is_kept(host):
    host_app = host().add(first_name="Zoë 👩🏽‍🚀", last_name="王小明")
    assert host_app.post().json["first_name"] == "Zoë 👩🏽‍🚀"
    assert host_app.post().json["last_name"] == "王小明"


@pytest.mark.parametrize("taken", ["username", "email"])
def test_usernames_and_emails_are_unique(taken, host):
    host_app = host().add()
    other = {"id": 2, "username": "ann", "email": "ann@example.com"}
    with pytest.raises(IntegrityError):
        host_app.add(**other | {taken: JOHN[taken]})
    assert host_app.add(**other).post("2").json["username"] == "ann"


UTC_NOW = {
    "postgresql": "now()",
    "mysql": "(utc_timestamp(6))",
    "sqlite": "CURRENT_TIMESTAMP",
}


def test_a_host_can_use_server_defaults(host, database):
    now = UTC_NOW[make_url(database).get_backend_name()]

    def model(db):
        class User(ProfileMixin, db.Model):
            __tablename__ = "members"
            first_name: Mapped[str] = mapped_column(String(200), server_default="Ann")
            last_name: Mapped[str] = mapped_column(String(200), server_default="")
            date_joined: Mapped[datetime] = mapped_column(
                DateTime(timezone=True), server_default=text(now)
            )
            is_active: Mapped[bool] = mapped_column(server_default=true())
            is_staff: Mapped[bool] = mapped_column(server_default=false())
            is_superuser: Mapped[bool] = mapped_column(server_default=false())

        return User

    host_app = host(model=model)
    with host_app.app.app_context():
        host_app.db.create_all()
        values = "(id, username, email) VALUES (1, 'ann', 'ann@example.com')"
        host_app.db.session.execute(text(f"INSERT INTO members {values}"))
        host_app.db.session.commit()
    profile = host_app.post().json
    joined = datetime.fromisoformat(profile["date_joined"].replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - joined) < timedelta(minutes=5)
    assert (profile["first_name"], profile["last_name"]) == ("Ann", "")
    assert (profile["is_active"], profile["is_staff"]) == (True, False)


def test_the_table_can_be_in_a_database_schema(host, create_database):
    found = re.search(r"flask_profile_\d+_\d+", create_database()["SQLALCHEMY_DATABASE_URI"])
    schema = found[0] if found else "attached"

    def model(db):
        class User(ProfileMixin, db.Model):
            __table_args__ = {"schema": schema}

        return User

    host_app = host(model=model)
    with host_app.app.app_context():
        if host_app.db.engine.dialect.name == "sqlite":
            attach = f"ATTACH ':memory:' AS {schema}"
            event.listen(
                host_app.db.engine, "connect", lambda connection, _: connection.execute(attach)
            )
    with host_app.statements() as statements:
        assert host_app.add().post().get_data(as_text=True) == JOHN_AS_JSON
    assert f"FROM {schema}." in statements[-1].replace("`", "")


@pytest.mark.parametrize(
    ("dialect", "column"),
    [
        (postgresql.dialect(), "date_joined TIMESTAMP WITH TIME ZONE NOT NULL"),
        (mysql.dialect(), "date_joined DATETIME(6) NOT NULL"),
        (sqlite.dialect(), "date_joined DATETIME NOT NULL"),
    ],
)
def test_column_types_keep_microseconds(dialect, column, host):
    ddl = str(CreateTable(inspect(host().User).local_table).compile(dialect=dialect))
    assert column in ddl


def test_a_host_can_add_and_override_columns(host):
    def model(db):
        class Member(ProfileMixin, db.Model):
            number_phone: Mapped[str | None] = mapped_column(String(30))
            nickname: Mapped[str] = mapped_column(String(9), default="")

        return Member

    host_app = host(model=model).add(number_phone="+49 30 901820 and more")
    assert host_app.post().json["number_phone"] == "+49 30 901820 and more"


@pytest.mark.parametrize("dialect", [postgresql.dialect(), mysql.dialect(), sqlite.dialect()])
def test_a_migration_creates_the_same_column_without_importing_the_library(dialect, host):
    column_type = inspect(host().User).columns.date_joined.type
    # Alembic renders a type like this in a migration script.
    rendered = eval(f"{column_type.__module__}.{column_type!r}", {"sa": sqlalchemy})
    assert rendered.compile(dialect=dialect) == column_type.compile(dialect=dialect)


def test_a_migration_runs_in_a_process_that_has_no_dialect_of_mysql(host):
    column_type = inspect(host().User).columns.date_joined.type
    code = f"import sqlalchemy as sa; {column_type.__module__}.{column_type!r}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.filterwarnings("ignore:'get_engine' is deprecated")  # Flask-Migrate uses it.
def test_after_a_migration_alembic_finds_no_difference(host, tmp_path, monkeypatch):
    flask_migrate = pytest.importorskip("flask_migrate")
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    # It would disable the loggers that exist already.
    monkeypatch.setattr("logging.config.fileConfig", lambda _path: None)
    host_app = host(db=SQLAlchemy())  # Its own, since this test changes the table.
    flask_migrate.Migrate(host_app.app, host_app.db)
    migrations = str(tmp_path / "migrations")

    def find_differences():
        with host_app.db.engine.connect() as connection:
            return compare_metadata(MigrationContext.configure(connection), host_app.db.metadata)

    with host_app.app.app_context():
        flask_migrate.init(migrations)
        flask_migrate.migrate(migrations)
        flask_migrate.upgrade(migrations)
        assert find_differences() == []
        host_app.User.__table__.append_column(Column("nickname", String(9)))
        assert [name for name, *_ in find_differences()] == ["add_column"]
    for script in (tmp_path / "migrations/versions").glob("*.py"):
        assert "flask_profile" not in script.read_text()


def test_its_columns_can_be_added_to_a_table_with_rows(host):
    """With the server defaults that the manual shows."""
    operations = pytest.importorskip("alembic.operations")
    from alembic.migration import MigrationContext

    host_app = host(db=SQLAlchemy())
    with host_app.app.app_context():
        table = Table(
            "user",
            MetaData(),
            Column("id", Integer, primary_key=True),
            *(Column(name, String(99), unique=True) for name in ("username", "email")),
        )
        defaults = {
            **dict.fromkeys(("first_name", "last_name"), ""),
            "date_joined": "2020-01-01 00:00:00",
            "is_active": true(),
            **dict.fromkeys(("is_staff", "is_superuser"), false()),
        }
        with host_app.db.engine.begin() as connection:
            table.create(connection)
            connection.execute(
                table.insert(), {"id": 1, "username": "john", "email": "a@b.example"}
            )
            migration = operations.Operations(MigrationContext.configure(connection))
            for column in inspect(host_app.User).local_table.columns:
                if column.name not in table.columns:
                    default = defaults.get(column.name)
                    added = Column(
                        column.name, column.type, nullable=column.nullable, server_default=default
                    )
                    migration.add_column("user", added)
    profile = host_app.post().json
    assert (profile["username"], profile["first_name"]) == ("john", "")
    assert (profile["is_active"], profile["is_superuser"]) == (True, False)
    assert profile["date_joined"].startswith("20")


def test_the_mixin_refuses_dataclass_models(host):
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)
    with pytest.raises(ConfigurationError, match=r"(?s)MappedAsDataclass.*PROFILE_USER_MODEL"):

        class User(ProfileMixin, MappedAsDataclass, db.Model):
            pass
