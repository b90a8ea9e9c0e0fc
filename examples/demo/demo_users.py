"""The users of the demo, and how they sign in."""

from __future__ import annotations

from datetime import datetime

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.orm import Mapped
from werkzeug.security import check_password_hash, generate_password_hash

from flask_profile import ProfileMixin

PASSWORD = "demo-password"
# Checked if an email is unknown, so that the response time does not reveal which emails exist.
DUMMY_HASH = generate_password_hash("no user has this password")

db = SQLAlchemy()


class User(ProfileMixin, db.Model):  # type: ignore[name-defined, misc]
    """A user, with the columns of a profile and a password hash that no profile contains."""

    # SQLite must not use the primary key of a deleted user again: old tokens would match.
    __table_args__ = {"sqlite_autoincrement": True}

    password_hash: Mapped[str]


def create_demo_users() -> list[User]:
    """Return the users of a new database."""
    john = User(id=1, username="john_doe", first_name="John", last_name="Doe")
    john.email, john.number_phone = "john@example.com", "1234567890"
    john.avatar = "avatars/profile.jpg"  # Sent as /media/avatars/profile.jpg.
    john.date_joined = datetime.fromisoformat("2024-01-15T10:30:00+00:00")
    john.last_login = datetime.fromisoformat("2024-03-10T14:20:00+00:00")

    alice = User(id=42, username="alice_wonder", first_name="Alice", last_name="Wonder")
    alice.email, alice.number_phone = "alice@example.com", "5551234567"
    alice.avatar = "avatars/alice.png"
    alice.date_joined = datetime.fromisoformat("2024-02-01T08:15:30+00:00")
    alice.last_login = datetime.fromisoformat("2024-03-10T11:45:22+00:00")

    inactive = User(id=2, username="ivan_idle", email="ivan@example.com", is_active=False)
    staff = User(id=3, username="sara_staff", email="sara@example.com", is_staff=True)

    users = [john, alice, inactive, staff]
    for user in users:
        user.password_hash = generate_password_hash(PASSWORD)
    return users


def authenticate(email: str, password: str) -> User | None:
    """Return the active user with this email and password."""
    try:
        user = db.session.scalar(select(User).filter_by(email=email))
        is_right = check_password_hash(user.password_hash if user else DUMMY_HASH, password)
    except UnicodeEncodeError:  # JSON may contain a lone surrogate such as "\ud800".
        return None
    return user if user and is_right and user.is_active else None
