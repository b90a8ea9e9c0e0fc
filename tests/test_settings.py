from __future__ import annotations

import os
import re
import sys
from unittest.mock import patch

import pytest
from flask import Flask

from flask_profile import ConfigurationError, ProfileBlueprint, ProfileSchema

MODEL = "examples_for_settings:User"

INVALID_VALUES = [
    ("PROFILE_URL_PREFIX", "api/profile"),
    ("PROFILE_URL_PREFIX", ""),
    ("PROFILE_URL_PREFIX", "/api//profile"),
    ("PROFILE_URL_PREFIX", "/api/<user>"),
    ("PROFILE_URL_PREFIX", None),
    ("PROFILE_URL_PREFIX", 1),
    ("PROFILE_USER_MODEL", "no.such.module:User"),
    ("PROFILE_USER_MODEL", "flask_profile:NoSuchName"),
    ("PROFILE_USER_MODEL", "flask_profile:ProfileMixin"),
    ("PROFILE_USER_MODEL", dict),
    ("PROFILE_USER_MODEL", 1),
    ("PROFILE_SCHEMA", "flask_profile:NoSuchName"),
    ("PROFILE_SCHEMA", "flask_profile:ProfileMixin"),
    ("PROFILE_SCHEMA", ProfileSchema()),
    ("PROFILE_METHODS", []),
    ("PROFILE_METHODS", ["POST", "TRACE"]),
    ("PROFILE_METHODS", "SEND"),
    ("PROFILE_METHODS", None),
    ("PROFILE_METHODS", 1),
    ("PROFILE_METHODS", [1]),
    ("PROFILE_IDENTITY_FIELD", "user name"),
    ("PROFILE_IDENTITY_FIELD", 1),
    ("PROFILE_FRESH_METHODS", ["GONE"]),
    ("PROFILE_FRESH_METHODS", None),
    ("PROFILE_ON_DELETE", "archive"),
    ("PROFILE_ON_DELETE", ["delete"]),
    ("PROFILE_MEDIA_URL", "media/"),
    ("PROFILE_MEDIA_URL", "/media"),
    ("PROFILE_MEDIA_URL", None),
    ("PROFILE_REQUIRE_ACTIVE", "False"),
    ("PROFILE_REQUIRE_ACTIVE", 0),
    ("PROFILE_REQUIRE_JSON", "yes"),
    ("PROFILE_REQUIRE_JSON", None),
    ("PROFILE_REALM", ""),
    ("PROFILE_REALM", 'the "api"'),
    ("PROFILE_REALM", "api\r\nX-Injected: 1"),
    ("PROFILE_REALM", "café"),
    ("PROFILE_AVATARS", 1),
    ("PROFILE_AVATAR_SIZE", 0),
    ("PROFILE_AVATAR_SIZE", 16384),
    ("PROFILE_AVATAR_SIZE", True),
    ("PROFILE_AVATAR_SIZE", "512"),
    ("PROFILE_AVATAR_MAX_BYTES", -1),
    ("PROFILE_AVATAR_MAX_BYTES", 1.5),
    ("PROFILE_MEDIA_STORAGE", ""),
    ("PROFILE_MEDIA_STORAGE", b"media"),
    ("PROFILE_MEDIA_STORAGE", 1),
]


@pytest.mark.parametrize(("key", "value"), INVALID_VALUES)
def test_an_invalid_value_is_refused_at_registration_with_key_value_and_remedy(key, value, host):
    with pytest.raises(ConfigurationError) as error:
        host(**{key: value})
    assert re.fullmatch(
        rf"{key} is {re.escape(repr(value))}; it must be .{{5,}}\.", str(error.value)
    )


@pytest.mark.parametrize(
    ("key", "correct"),
    [
        ("PROFILE_METHOD", "PROFILE_METHODS"),
        ("PROFILE_SHEMA", "PROFILE_SCHEMA"),
        ("PROFILE_SCHEMAA", "PROFILE_SCHEMA"),
        ("PROFILE_XSCHEMA", "PROFILE_SCHEMA"),
        ("PROFILE_CSHEMA", "PROFILE_SCHEMA"),
        ("PROFILE_SCHEMB", "PROFILE_SCHEMA"),
        ("PROFILE_USERMODEL", "PROFILE_USER_MODEL"),
        ("PROFILE_REQUIRE_ACTVE", "PROFILE_REQUIRE_ACTIVE"),
        ("PROFILE_RELAM", "PROFILE_REALM"),
        ("PROFILE_MEDIA_URI", "PROFILE_MEDIA_URL"),
        ("PROFILE_URL_PREFX", "PROFILE_URL_PREFIX"),
        ("PROFILE_AVATAR", "PROFILE_AVATARS"),
        ("PROFILE_AVATAR_MAX_BYTE", "PROFILE_AVATAR_MAX_BYTES"),
    ],
)
def test_a_misspelled_config_key_is_refused_with_the_correct_key(key, correct, host):
    with pytest.raises(ConfigurationError, match=f"{key} is 'x'.*{correct}"):
        host(**{key: "x"})


@pytest.mark.parametrize(
    "key",
    [
        *("PROFILE_PICTURE_SIZE", "PROFILE_CACHE", "PROFILE_URL", "PROFILE_", "PROFILER_REALM"),
        *("PROFILE_AVATAR_MAX_SIZE", "PROFILE_REQUIRE_LOGIN", "PROFILE_SCHEMAS_FOLDER"),
        *("PROFILE_REMAL", "PROFILE_LEARM", "PROFILE_XEALY"),
    ],
)
def test_any_other_config_key_is_ignored(key, host):
    host(**{key: object()})


@pytest.mark.parametrize("argument", ["user_model", "schema"])
def test_an_invalid_argument_is_refused_with_its_name(argument):
    with pytest.raises(
        ConfigurationError, match=rf"ProfileBlueprint\({argument}=…\) is 1; it must"
    ):
        Flask("host").register_blueprint(ProfileBlueprint(**{argument: 1}))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'broken_module'"),
        ("import stripe_that_is_not_installed", "No module named 'stripe_that_is_not_installed'"),
        ("from flask import nothing_of_this_name", "ImportError: cannot import name"),
        ("None.users", "AttributeError: 'NoneType' object has no attribute 'users'"),
        ("int('x')", "ValueError: invalid literal"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'broken_module' has no attribute 'User'"),
    ],
)
@pytest.mark.parametrize("key", ["PROFILE_USER_MODEL", "PROFILE_SCHEMA"])
def test_the_reason_why_a_name_cannot_be_imported_is_reported(
    key, code, reason, host, tmp_path, monkeypatch
):
    if code is not None:
        (tmp_path / "broken_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_module", raising=False)
    value = "broken_module:User"
    with pytest.raises(ConfigurationError, match=re.escape(reason)) as error:
        host(**{key: value})
    assert str(error.value).startswith(f"{key} is {value!r}; it must be a ")
    assert reason.partition(": ")[2] in str(error.value.__cause__) or reason in str(
        error.value.__cause__
    )


@pytest.mark.parametrize("value", ["True", "False", "yes", "on", "TRUE"])
def test_the_message_says_how_to_write_a_boolean_in_the_environment(value, host, monkeypatch):
    monkeypatch.setenv("FLASK_PROFILE_AVATARS", value)
    environment = Flask("environment")
    environment.config.from_prefixed_env()
    with pytest.raises(ConfigurationError, match="variable, true or false in lowercase"):
        host(PROFILE_AVATARS=environment.config["PROFILE_AVATARS"])


@pytest.mark.parametrize("url", ["s4://bucket/prefix", "ftp://host/", "s3://", "://bucket"])
def test_a_storage_that_obstore_refuses_is_reported_in_one_line(url, host):
    with pytest.raises(ConfigurationError) as error:
        host(PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=url)
    message = str(error.value)
    assert message.startswith(f"PROFILE_MEDIA_STORAGE is {url!r}; it must be a directory, or a URL")
    assert "\n" not in message
    assert "Debug" not in message


@pytest.mark.parametrize(
    ("variable", "value", "status"),
    [
        ("FLASK_PROFILE_METHODS", '["GET", "POST"]', 200),
        ("FLASK_PROFILE_METHODS", "GET,POST", 200),
        ("FLASK_PROFILE_METHODS", "get", 200),
        ("FLASK_PROFILE_METHODS", "patch,get", 200),
        ("FLASK_PROFILE_METHODS", "POST", 405),
        ("FLASK_PROFILE_USER_MODEL", "null", 405),
    ],
)
def test_values_can_come_from_environment_variables(variable, value, status, host):
    with patch.dict(os.environ, {variable: value}):
        environment = Flask("environment")
        environment.config.from_prefixed_env()
    key = variable.removeprefix("FLASK_")
    host_app = host(**{key: environment.config[key]}).add()
    assert host_app.client.get("/api/profile/", headers=host_app.bearer()).status_code == status


def test_values_are_read_once_at_registration(john):
    john.app.config.update(PROFILE_REALM="other", PROFILE_REQUIRE_JSON=True, PROFILE_METHODS="?")
    john.app.config.update(PROFILE_MEDIA_URL="/other/")
    assert john.client.post("/api/profile/").headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert john.post().json["avatar"] == "/media/avatars/profile.jpg"
