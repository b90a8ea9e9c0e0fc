from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest
from marshmallow import fields
from sqlalchemy import select

import flask_profile
from conftest import JOHN
from editing.requests import patch
from flask_profile import ProfileSchema, profile_updated
from receivers import Receiver


class Login(ProfileSchema):
    username = fields.String(data_key="login")


def test_it_is_a_public_name():
    assert flask_profile.profile_updated is profile_updated
    assert profile_updated.name == "flask_profile.profile_updated"


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'flask_profile' has no attribute 'profile_created'"):
        flask_profile.profile_created  # noqa: B018


def test_it_is_sent_by_the_app_with_the_identity_and_the_changes(concurrent_host):
    host, receiver = concurrent_host(), Receiver()
    with profile_updated.connected_to(receiver):
        patch(host, {"first_name": "Jack", "last_name": "Doe", "number_phone": None})
    changes = {"first_name": ("John", "Jack"), "number_phone": ("1234567890", None)}
    assert receiver.received == [(host.app, {"identity": "1", "changes": changes})]


def test_it_has_the_attribute_names_of_the_model_and_the_identity_of_the_token(concurrent_host):
    host = concurrent_host(PROFILE_SCHEMA=Login, PROFILE_IDENTITY_FIELD="email")
    receiver = Receiver()
    with profile_updated.connected_to(receiver):
        assert patch(host, {"login": "jack"}, "john@example.com").status_code == 200
    changes = {"username": ("john_doe", "jack")}
    assert receiver.received == [(host.app, {"identity": "john@example.com", "changes": changes})]


def test_it_is_sent_only_to_the_receivers_of_its_app(concurrent_host):
    host, other_host = concurrent_host(), concurrent_host()
    receiver = Receiver()
    with profile_updated.connected_to(receiver, host.app):
        patch(other_host, {"first_name": "Jack"})
        assert receiver.received == []
        patch(host, {"first_name": "Jack"})
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"first_name": "John"}, {"first_name": None}, {"is_staff": True}, {"nickname": "J"}, [1]],
)
def test_it_is_not_sent_if_nothing_changes(body, concurrent_host):
    host, receiver = concurrent_host(), Receiver()
    with profile_updated.connected_to(receiver):
        patch(host, body)
        host.post()
    assert receiver.received == []


def test_it_is_sent_after_the_commit(concurrent_host):
    host, first_names = concurrent_host(), []

    def read_first_name():
        with host.db.engine.connect() as connection:
            first_names.append(connection.scalar(select(host.User.first_name)))

    with profile_updated.connected_to(Receiver(read_first_name)):
        patch(host, {"first_name": "Jack"})
    assert first_names == ["Jack"]


def test_an_exception_in_a_receiver_is_logged_and_has_no_other_effect(concurrent_host, caplog):
    host = concurrent_host(TESTING=True)
    failing_receiver = Receiver(lambda: 1 / 0)
    other_receivers = [Receiver(), Receiver()]
    with ExitStack() as connected, caplog.at_level(logging.ERROR):
        for receiver in (other_receivers[0], failing_receiver, other_receivers[1]):
            connected.enter_context(profile_updated.connected_to(receiver, host.app))
        response = patch(host, {"first_name": "Jack"})
    assert (response.status_code, response.json["first_name"]) == (200, "Jack")
    receivers = (*other_receivers, failing_receiver)
    assert [len(receiver.received) for receiver in receivers] == [1, 1, 1]
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    assert host.post().json["first_name"] == "Jack"


def test_a_receiver_may_use_the_session(concurrent_host):
    host = concurrent_host()

    def copy_first_name():
        user = host.db.session.get(host.User, 1)
        user.password_hash = user.first_name
        host.db.session.commit()

    with profile_updated.connected_to(Receiver(copy_first_name)):
        assert patch(host, {"first_name": "Jack"}).status_code == 200
    with host.app.app_context():
        user = host.db.session.get(host.User, 1)
        assert (user.password_hash, user.last_name) == ("Jack", JOHN["last_name"])
