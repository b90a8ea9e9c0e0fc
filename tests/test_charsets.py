"""A text with a character that the charset of a connection or column lacks.

The database of a test knows all characters; its connections or columns may know fewer. Those of
SQLite always know all. tests/acceptance/connections.py uses a database in LATIN1.
"""

from __future__ import annotations

import pytest
from sqlalchemy import String, make_url
from sqlalchemy.orm import Mapped, mapped_column

from conftest import make_user_model
from contract import NOT_FOUND, UNACCEPTABLE_BODY
from flask_profile import ProfileMixin, ProfileSchema
from schemas import Initials

UNKNOWN_CHARACTERS = ["Ж", "😀", "naïve Ж"]


def model_with_latin1_columns(db):
    latin1 = String(150).with_variant(
        String(150, collation="latin1_swedish_ci"), "mysql", "mariadb"
    )

    class User(ProfileMixin, db.Model):
        username: Mapped[str] = mapped_column(latin1, unique=True)
        first_name: Mapped[str] = mapped_column(latin1, default="")

    return User


@pytest.fixture(params=["connection", "columns"])
def latin1_host(request, host, create_database):
    """Return a function that makes a host whose connections or columns are in Latin-1."""

    def make(**config):
        url = make_url(create_database()["SQLALCHEMY_DATABASE_URI"])
        name = {"postgresql": "client_encoding", "mysql": "charset"}.get(url.get_backend_name())
        model = model_with_latin1_columns
        if request.param == "connection":
            model = make_user_model
            url = url.update_query_dict({name: "latin1"} if name else {})
        config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
        return host(model=model, PROFILE_IDENTITY_FIELD="username", **config).add()

    return make


@pytest.mark.parametrize("schema", [ProfileSchema, Initials])
def test_an_identity_that_the_charset_lacks_returns_404(schema, latin1_host):
    host_app = latin1_host(PROFILE_SCHEMA=schema)
    for identity in UNKNOWN_CHARACTERS:
        assert host_app.post(identity).json == NOT_FOUND
        assert host_app.post("john_doe").status_code == 200


def test_an_identity_that_the_charset_has_is_found(latin1_host):
    host_app = latin1_host().add(id=2, username="naïve", email="naive@example.com")
    assert host_app.post("naïve").json["username"] == "naïve"


def test_a_patch_with_a_text_that_the_charset_lacks_changes_nothing(latin1_host):
    host_app = latin1_host(PROFILE_METHODS=["POST", "PATCH"], PROFILE_SCHEMA=ProfileSchema)
    before = host_app.post("john_doe").json
    for text in UNKNOWN_CHARACTERS:
        headers = host_app.bearer("john_doe")
        response = host_app.client.patch(
            "/api/profile/", json={"first_name": text}, headers=headers
        )
        if response.status_code == 200:  # This database knows the character.
            assert response.json["first_name"] == text
            continue
        assert (response.status_code, response.json) == (400, UNACCEPTABLE_BODY)
        assert host_app.post("john_doe").json == before


def test_the_commands_find_no_user_of_such_a_name(latin1_host):
    runner = latin1_host().app.test_cli_runner()
    result = runner.invoke(args=["profile", "show", "Ж"])
    assert result.exit_code == 1
    assert result.stderr == "Error: No user has 'Ж' as identity, username, email.\n"


def test_another_failure_with_such_an_identity_is_a_500(host):
    assert host(PROFILE_IDENTITY_FIELD="username").post("Ж").status_code == 500  # No table.
