from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest
from marshmallow import fields
from sqlalchemy import select

import flask_profile
from conftest import JOHN
from flask_profile import ProfileSchema, profile_updated


class Login(ProfileSchema):
    username = fields.String(data_key="login")


@pytest.fixture
def editable(host, database):
    """Return what makes a host that opens PATCH, with John in a database of several connections."""
    kept = {"SQLALCHEMY_DATABASE_URI": "sqlite:///kept.db"} if database == "sqlite://" else {}

    def make(**config):
        return host(PROFILE_METHODS=["POST", "PATCH"], **kept, **config).add()

    return make


def patch(host, body, identity="1"):
    return host.client.patch("/api/profile/", headers=host.bearer(identity), json=body)


class Receiver:
    """Notes what it is sent, and then does what it is told to."""

    def __init__(self, then=lambda: None):
        self.received = []
        self._then = then

    def __call__(self, sender, **values):
        self.received.append((sender, values))
        self._then()


def test_it_is_one_of_the_public_names():
    assert flask_profile.profile_updated is profile_updated
    assert profile_updated.name == "flask_profile.profile_updated"


def test_any_other_name_is_still_an_attribute_error():
    with pytest.raises(AttributeError, match="'flask_profile' has no attribute 'profile_deleted'"):
        flask_profile.profile_deleted  # noqa: B018


def test_it_is_sent_by_the_app_with_the_identity_and_the_changes(editable):
    made, receiver = editable(), Receiver()
    with profile_updated.connected_to(receiver):
        patch(made, {"first_name": "Jack", "last_name": "Doe", "number_phone": None})
    changes = {"first_name": ("John", "Jack"), "number_phone": ("1234567890", None)}
    assert receiver.received == [(made.app, {"identity": "1", "changes": changes})]


def test_it_names_attributes_of_the_model_and_the_identity_of_the_token(editable):
    made, receiver = editable(PROFILE_SCHEMA=Login, PROFILE_IDENTITY_FIELD="username"), Receiver()
    with profile_updated.connected_to(receiver):
        assert patch(made, {"login": "jack"}, "john_doe").status_code == 200
    changes = {"username": ("john_doe", "jack")}
    assert receiver.received == [(made.app, {"identity": "john_doe", "changes": changes})]


def test_it_is_sent_to_the_receivers_of_that_app_alone(editable):
    mine, other = editable(), editable()
    receiver = Receiver()
    with profile_updated.connected_to(receiver, mine.app):
        patch(other, {"first_name": "Jack"})
        assert receiver.received == []
        patch(mine, {"first_name": "Jack"})
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"first_name": "John"}, {"first_name": None}, {"is_staff": True}, {"nickname": "J"}, [1]],
)
def test_it_is_not_sent_where_nothing_changes(body, editable):
    made, receiver = editable(), Receiver()
    with profile_updated.connected_to(receiver):
        patch(made, body)
        made.post()
    assert receiver.received == []


def test_it_is_sent_after_the_commit(editable):
    made, seen = editable(), []

    def look():
        with made.db.engine.connect() as another:
            seen.append(another.scalar(select(made.User.first_name)))

    with profile_updated.connected_to(Receiver(look)):
        patch(made, {"first_name": "Jack"})
    assert seen == ["Jack"]


def test_a_receiver_that_raises_is_logged_and_changes_nothing_else(editable, caplog):
    made = editable(TESTING=True)
    raising = Receiver(lambda: 1 / 0)
    others = [Receiver(), Receiver()]
    with ExitStack() as connected, caplog.at_level(logging.ERROR):
        for receiver in (others[0], raising, others[1]):
            connected.enter_context(profile_updated.connected_to(receiver, made.app))
        response = patch(made, {"first_name": "Jack"})
    assert (response.status_code, response.json["first_name"]) == (200, "Jack")
    assert [len(receiver.received) for receiver in (*others, raising)] == [1, 1, 1]
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    assert made.post().json["first_name"] == "Jack"


def test_a_receiver_may_use_the_session(editable):
    made = editable()

    def count():
        user = made.db.session.get(made.User, 1)
        user.password_hash = user.first_name
        made.db.session.commit()

    with profile_updated.connected_to(Receiver(count)):
        assert patch(made, {"first_name": "Jack"}).status_code == 200
    with made.app.app_context():
        user = made.db.session.get(made.User, 1)
        assert (user.password_hash, user.last_name) == ("Jack", JOHN["last_name"])
