from __future__ import annotations

import re
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, DateTime, String, event, false, inspect, make_url, select, text, true
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
    "sqlite": "SELECT 'it has no zones'",
}
SERVER_ZONES = {
    "postgresql": ("ALTER DATABASE {0} SET TIME ZONE 'Asia/Tokyo'", "ALTER DATABASE {0} RESET ALL"),
    "mysql": ("SET GLOBAL time_zone = '+09:00'", "SET GLOBAL time_zone = 'SYSTEM'"),
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


@pytest.fixture
def far_server(server):
    """A server in another zone."""
    if server is None:
        yield
        return
    move, move_back = SERVER_ZONES[server.dialect.name]
    with server.connect() as connection:
        connection.execute(text(move.format(server.url.database)))
        yield
        connection.execute(text(move_back.format(server.url.database)))


@pytest.mark.usefixtures("far_server")
def test_the_zone_of_a_server_does_not_count(host):
    assert host().add().post().get_data(as_text=True) == JOHN_AS_JSON


def test_a_fraction_of_a_second_is_kept(host):
    exactly = datetime(2024, 3, 10, 14, 20, 0, 123456, tzinfo=timezone.utc)
    assert host().add(last_login=exactly).post().json["last_login"] == "2024-03-10T14:20:00.123456Z"


def test_text_of_any_script_is_kept(host):
    made = host().add(first_name="Zoë 👩🏽‍🚀", last_name="王小明")
    assert made.post().json["first_name"] == "Zoë 👩🏽‍🚀"
    assert made.post().json["last_name"] == "王小明"


@pytest.mark.parametrize("taken", ["username", "email"])
def test_names_and_addresses_are_unique(taken, host):
    made = host().add()
    other = {"id": 2, "username": "ann", "email": "ann@example.com"}
    with pytest.raises(IntegrityError):
        made.add(**other | {taken: JOHN[taken]})
    assert made.add(**other).post("2").json["username"] == "ann"


UTC_NOW = {
    "postgresql": "now()",
    "mysql": "(utc_timestamp(6))",
    "sqlite": "CURRENT_TIMESTAMP",
}


def test_a_host_may_leave_defaults_to_the_server(host, database):
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

    made = host(model=model)
    with made.app.app_context():
        made.db.create_all()
        values = "(id, username, email) VALUES (1, 'ann', 'ann@example.com')"
        made.db.session.execute(text(f"INSERT INTO members {values}"))
        made.db.session.commit()
    profile = made.post().json
    joined = datetime.fromisoformat(profile["date_joined"].replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - joined) < timedelta(minutes=5)
    assert (profile["first_name"], profile["last_name"]) == ("Ann", "")
    assert (profile["is_active"], profile["is_staff"]) == (True, False)


def test_a_table_may_lie_in_a_schema(host, room):
    found = re.search(r"flask_profile_\d+_\d+", room()["SQLALCHEMY_DATABASE_URI"])
    schema = found[0] if found else "attached"

    def model(db):
        class User(ProfileMixin, db.Model):
            __table_args__ = {"schema": schema}

        return User

    made = host(model=model)
    with made.app.app_context():
        if made.db.engine.dialect.name == "sqlite":
            attach = f"ATTACH ':memory:' AS {schema}"
            event.listen(
                made.db.engine, "connect", lambda connection, _: connection.execute(attach)
            )
    with made.statements() as statements:
        assert made.add().post().get_data(as_text=True) == JOHN_AS_JSON
    assert f"FROM {schema}." in statements[-1].replace("`", "")


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


@pytest.mark.parametrize("dialect", [postgresql.dialect(), mysql.dialect(), sqlite.dialect()])
def test_a_migration_makes_the_same_column_with_sqlalchemy_alone(dialect, host):
    ours = inspect(host().User).columns.date_joined.type
    written = eval(f"{ours.__module__}.{ours!r}", {"sa": sqlalchemy})  # As Alembic writes it.
    assert written.compile(dialect=dialect) == ours.compile(dialect=dialect)


@pytest.mark.filterwarnings("ignore:'get_engine' is deprecated")  # Flask-Migrate's
def test_a_migration_leaves_no_difference_behind(host, tmp_path, monkeypatch):
    flask_migrate = pytest.importorskip("flask_migrate")
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    monkeypatch.setattr("logging.config.fileConfig", lambda _path: None)  # It would silence ours.
    made = host()
    flask_migrate.Migrate(made.app, made.db)
    migrations = str(tmp_path / "migrations")

    def differences():
        with made.db.engine.connect() as connection:
            return compare_metadata(MigrationContext.configure(connection), made.db.metadata)

    with made.app.app_context():
        flask_migrate.init(migrations)
        flask_migrate.migrate(migrations)
        flask_migrate.upgrade(migrations)
        assert differences() == []
        made.User.__table__.append_column(Column("nickname", String(9)))
        assert [name for name, *_ in differences()] == ["add_column"]
    for script in (tmp_path / "migrations/versions").glob("*.py"):
        assert "flask_profile" not in script.read_text()


def test_a_dataclass_is_refused(host):
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)
    with pytest.raises(ConfigurationError, match=r"(?s)MappedAsDataclass.*PROFILE_USER_MODEL"):

        class User(ProfileMixin, MappedAsDataclass, db.Model):
            pass
