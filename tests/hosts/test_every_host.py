"""What holds in every app of this folder, as its clients see it."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode

import pytest
from sqlalchemy import delete

from contract import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED, NOT_VALID
from flask_profile import ProfileBlueprint
from hosts.cases import HOSTS
from hosts.clients import check_and_parse


def tamper_with_token(headers):
    """Return the headers with another user in the token, but the same signature."""

    def change(token):
        claims = json.dumps({"sub": "2", "type": "access", "fresh": False, "jti": "x"}).encode()
        return f"{token[1]}.{urlsafe_b64encode(claims).rstrip(b'=').decode()}.{token[3]}"

    token = re.compile(r"(eyJ[\w-]+)\.([\w-]+)\.([\w-]+)")
    return {name: token.sub(change, value) for name, value in headers.items()}


@pytest.mark.parametrize("name", HOSTS)
def test_a_client_signs_in_to_a_host_and_gets_the_documented_responses(name, start_host):
    host = start_host(name)
    john = host.sign_in_john()
    for url in (host.case.url, host.case.url.rstrip("/")):
        with host.statements() as statements:
            response = host.client.post(url, headers=john)
        assert check_and_parse(response)[0] == 200
        assert response.text == host.case.body
        assert ", ".join(response.headers.getlist("Vary")) == host.case.vary
        assert len([s for s in statements if "username" in s]) == 1
        assert not [s for s in statements if "password_hash" in s]

    anonymous = host.request()
    assert check_and_parse(anonymous) == (401, NOT_PROVIDED)
    assert anonymous.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    tampered = host.request(tamper_with_token(john))
    assert check_and_parse(tampered) == (401, NOT_VALID)
    assert 'Bearer realm="api", error="invalid_token"' in tampered.headers["WWW-Authenticate"]
    get = host.request(john, "GET")
    assert check_and_parse(get) == (405, {"detail": 'Method "GET" not allowed.'})
    assert get.headers["Allow"] == "OPTIONS, POST"

    host.change(is_active=False)
    assert check_and_parse(host.request(john)) == (401, INACTIVE)
    host.execute(delete(host.User))
    assert check_and_parse(host.request(john)) == (404, NOT_FOUND)
    with host.app.app_context():
        host.User.__table__.drop(host.db.engine)
    assert check_and_parse(host.request(john)) == (500, FAILED)


@pytest.mark.parametrize("name", HOSTS)
def test_the_commands_serve_every_host(name, start_host, tmp_path):
    media = tmp_path / "media"
    host = start_host(name, PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=str(media))

    def run(*arguments):
        result = host.app.test_cli_runner().invoke(args=["profile", *arguments])
        return result.exit_code, result.stdout

    assert run("show", "john_doe", "--json") == (0, host.case.body + "\n")
    assert run("token", "john_doe", "--fresh")[0] == 0
    ready = run("check")[1].splitlines()[-2:]
    assert [line.partition(" is ready for ")[2] for line in ready] == ["POST.", "PUT, DELETE."]

    orphan = f"avatars/{'0' * 32}.webp"
    (media / "avatars").mkdir(parents=True, exist_ok=True)
    (media / orphan).write_bytes(b"x")
    assert run("prune-avatars", "--delete") == (0, "")  # It is too young.
    assert run("prune-avatars", "--delete", "--older-than", "0s") == (0, f"{orphan}\n")
    assert not (media / orphan).exists()


def request_own_routes(host):
    """Return the responses of the host's own routes, for John and without a token."""
    john = host.sign_in_john()
    (route, *_) = host.case.own_routes
    requests = {
        "sign-in with a wrong password": host.sign_in(password="wrong"),
        "another method": host.client.delete(route, headers=john),
        "no route": host.client.get(f"{route}/nowhere"),
        **{f"{url} as John": host.client.get(url, headers=john) for url in host.case.own_routes},
        **{f"{url} without a token": host.client.get(url) for url in host.case.own_routes},
    }
    time_dependent = {"X-RateLimit-Reset", "Retry-After"}
    return {
        name: (
            response.status_code,
            [header for header in response.headers if header[0] not in time_dependent],
            response.data,
        )
        for name, response in requests.items()
    }


@pytest.mark.parametrize("name", HOSTS)
def test_the_own_routes_of_a_host_respond_as_without_the_blueprint(name, start_host, monkeypatch):
    host = start_host(name)
    assert host.request(host.sign_in_john()).status_code == 200
    responses = request_own_routes(host)
    with monkeypatch.context() as patch:
        patch.setattr(ProfileBlueprint, "register", lambda *_: None)
        bare_host = start_host(name)
    assert bare_host.request(bare_host.sign_in_john()).status_code not in (200, 401)
    assert responses == request_own_routes(bare_host)
    statuses = {
        url: (responses[f"{url} as John"][0], responses[f"{url} without a token"][0])
        for url in host.case.own_routes
    }
    assert statuses == host.case.own_routes
    assert responses["sign-in with a wrong password"][0] in (400, 401)


def copy_app_state(app):
    """Return copies of all state of an app that does not belong to a single blueprint."""
    by_blueprint = (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.template_context_processors,
        app.url_value_preprocessors,
        app.url_default_functions,
    )
    return {
        "config": dict(app.config),
        "error handlers": {
            code: dict(handlers) for code, handlers in app.error_handler_spec.get(None, {}).items()
        },
        "JWTManager": dict(vars(app.extensions["flask-jwt-extended"])),
        "extensions": dict(app.extensions),
        "JSON provider": (app.json, dict(vars(app.json))),
        "session": app.session_interface,
        "hooks": [list(functions.get(None, ())) for functions in by_blueprint],
        "teardown": list(app.teardown_appcontext_funcs),
        "routes": [rule for rule in app.url_map.iter_rules() if "profile" not in rule.endpoint],
        "patched": {name: value for name, value in vars(app).items() if callable(value)},
    }


@pytest.mark.parametrize("name", HOSTS)
def test_neither_registration_nor_a_request_changes_the_state_of_a_host(
    name, start_host, monkeypatch
):
    states = []
    register = ProfileBlueprint.register

    def record_app_state(blueprint, app, options):
        states.append(copy_app_state(app))
        register(blueprint, app, options)
        states.append(copy_app_state(app))

    monkeypatch.setattr(ProfileBlueprint, "register", record_app_state)
    host = start_host(name)
    before, after = states
    assert after == before
    john = host.sign_in_john()
    before = copy_app_state(host.app)
    assert host.request(john).status_code == 200
    assert host.request().status_code == 401
    assert copy_app_state(host.app) == before
