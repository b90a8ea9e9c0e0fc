"""Test the blueprint in the apps of the ``hosts`` folder, as their clients see it."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flask_jwt_extended import create_access_token
from sqlalchemy import delete, update
from werkzeug.security import generate_password_hash
from werkzeug.test import Client

from conftest import JOHN_AS_JSON, Host
from contract import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED, NOT_VALID
from flask_profile import ConfigurationError, ProfileBlueprint, ProfileMixin, openapi_spec

PASSWORD = "correct horse battery staple"
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


def post_json(url):
    """Return a function that signs a client in with JSON."""
    return lambda client, **credentials: client.post(url, json=credentials)


def post_form(url, **extra_fields):
    """Return a function that signs a client in with a form."""
    return lambda client, **credentials: client.post(url, data=credentials | extra_fields)


def post_form_then_get_token(url, token_url):
    """Return a function that signs a client in to a session and then requests a token."""

    def sign_in(client, **credentials):
        client.post(url, data=credentials)
        return client.post(token_url)

    return sign_in


def read_bearer_headers(response):
    """Return the request headers with the token of a sign-in response."""
    return {"Authorization": f"Bearer {response.json['access_token']}"}


def read_cookie_headers(response):
    """Return the request headers with the cookies and the CSRF token of a sign-in response."""
    pairs = [header.split(";")[0] for header in response.headers.getlist("Set-Cookie")]
    csrf = next(p.partition("=")[2] for p in pairs if p.startswith("csrf_access_token="))
    return {"Cookie": "; ".join(pairs), "X-CSRF-TOKEN": csrf}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a test must know about an app of the ``hosts`` folder.

    ``own_routes`` maps routes of the app to two statuses: for John, and without a token.
    """

    module: str
    needs: str = "flask"
    sign_in: Callable[..., Any] = post_json("/login")
    headers: Callable[[Any], dict[str, str]] = read_bearer_headers
    own_routes: Mapping[str, tuple[int, int]]
    url: str = "/api/profile/"
    proxy: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    body: str = JOHN_AS_JSON
    vary: str = "Authorization"


HOSTS = {
    "flask-smorest": Case(
        module="smorest",
        needs="flask_smorest",
        sign_in=post_json("/auth/login"),
        own_routes={"/pets/1": (200, 401), "/pets/2": (404, 401), "/openapi.json": (200, 200)},
    ),
    "Flask-RESTful": Case(
        module="restful",
        needs="flask_restful",
        sign_in=post_json("/tokens"),
        own_routes={"/todos/1": (200, 401), "/todos/2": (404, 401)},
    ),
    "Flask-Login": Case(
        module="login",
        needs="flask_login",
        sign_in=post_form_then_get_token("/login", "/api/token"),
        own_routes={"/": (200, 200), "/settings": (401, 401)},
        vary="Authorization, Cookie",  # Flask-Login reads the session after each request.
    ),
    "Flask-CORS": Case(
        module="cors",
        needs="flask_cors",
        sign_in=post_json("/api/login"),
        own_routes={"/api/notes": (200, 200), "/api/notes/1": (404, 404)},
        vary="Authorization, Origin",
    ),
    "Flask-Limiter": Case(
        module="limiter",
        needs="flask_limiter",
        own_routes={"/status": (200, 200), "/lottery": (429, 429)},
    ),
    "Flask-Caching": Case(
        module="caching",
        needs="flask_caching",
        own_routes={"/news": (200, 200), "/weather": (503, 503)},
    ),
    "flask-talisman": Case(
        module="talisman",
        needs="flask_talisman",
        own_routes={"/": (200, 200), "/vault": (403, 403)},
    ),
    "a blocklist in Redis": Case(
        module="blocklist",
        needs="redis",
        sign_in=post_json("/sign-in"),
        own_routes={"/messages": (200, 401), "/messages/1": (404, 404)},
        config={"JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=1)},
    ),
    **{
        f"{algorithm} keys": Case(
            module="keys",
            needs="cryptography",
            sign_in=post_form("/oauth/token", grant_type="password"),
            own_routes={"/.well-known/jwks.json": (200, 200), "/oauth/authorize": (501, 501)},
            config={"JWT_ALGORITHM": algorithm},
        )
        for algorithm in ("RS256", "ES256")
    },
    "cookies": Case(
        module="cookies",
        sign_in=post_json("/session"),
        headers=read_cookie_headers,
        own_routes={"/cart": (200, 401), "/cart/items/1": (404, 404)},
        vary="Cookie",
    ),
    "catch-all handlers": Case(
        module="catch_all",
        own_routes={"/orders": (200, 401), "/orders/0": (500, 500)},
    ),
    "DispatcherMiddleware": Case(
        module="mounted",
        sign_in=post_json("/shop/login"),
        own_routes={"/shop/goods": (200, 200), "/shop/goods/1": (410, 410), "/": (200, 200)},
        url="/shop/api/profile/",
    ),
    "ProxyFix": Case(
        module="proxied",
        sign_in=post_json("/v1/login"),
        own_routes={"/v1/files": (200, 200), "/v1/files/a": (404, 404)},
        url="/v1/api/profile/",
        proxy={"X-Forwarded-Host": "shop.example", "X-Forwarded-Prefix": "/service"},
    ),
    "orjson": Case(
        module="orjson_provider",
        needs="orjson",
        own_routes={"/events": (200, 200), "/events/1": (404, 404)},
        body=json.dumps(json.loads(JOHN_AS_JSON), separators=(",", ":")),
    ),
    "async views": Case(
        module="async_views",
        needs="asgiref",
        own_routes={"/notices": (200, 401), "/error": (500, 500)},
    ),
}


class Browser(Client):
    """A client that uses TLS, and sends the headers of the host's proxy if there is one."""

    proxy: Mapping[str, str] = {}

    def open(self, *args, headers=None, **options):
        options = {"base_url": "https://www.example.com"} | options
        return super().open(*args, headers={**self.proxy, **(headers or {})}, **options)


class RunningHost(Host):
    """An app of the ``hosts`` folder, with John in its database."""

    def __init__(self, case, app, module):
        super().__init__(app, module.db, module.User)
        self.case = case

    @property
    def client(self):
        return self.browser(use_cookies=False)

    def browser(self, **options):
        """Return a client that keeps cookies."""
        browser = Browser(self.app, **options)
        browser.proxy = self.case.proxy
        return browser

    def sign_in(self, username="john_doe", password=PASSWORD):
        """Sign in through the host's own route and return the response."""
        return self.case.sign_in(self.browser(), username=username, password=password)

    def sign_in_john(self):
        """Sign John in and return the headers of his requests."""
        return self.case.headers(self.sign_in())

    def request(self, headers=None, method="POST", **options):
        """Send a request to the URL of the profile."""
        return self.client.open(self.case.url, method=method, headers=headers, **options)

    def execute(self, statement):
        with self.app.app_context():
            self.db.session.execute(statement)
            self.db.session.commit()

    def change(self, **values):
        self.execute(update(self.User).values(**values))


@cache
def make_pem_files(algorithm):
    key = (
        rsa.generate_private_key(65537, 2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = serialization.Encoding.PEM
    return {
        "private.pem": key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        "public.pem": key.public_key().public_bytes(
            pem, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }


def require_redis():
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url("redis://127.0.0.1:6379") as server:
        try:
            server.ping()
        except redis.ConnectionError:
            pytest.skip("no Redis server responds on 127.0.0.1:6379")


@pytest.fixture
def start_host(create_database, tmp_path):
    """Return a function that starts a host; it skips the test if a dependency is missing."""
    hosts = []

    def start(name, **config):
        case = HOSTS[name]
        pytest.importorskip(case.needs, reason=f"install the extra `hosts` for {case.needs}")
        if case.needs == "redis" and "REDIS_URL" not in config:
            require_redis()
        module = import_module(f"hosts.{case.module}")
        folder = tmp_path / str(len(hosts))
        folder.mkdir()
        defaults = {
            "JWT_SECRET_KEY": "s" * 32,
            "SECRET_KEY": "t" * 32,
            **create_database(),
            **case.config,
        }
        uri = defaults["SQLALCHEMY_DATABASE_URI"]
        defaults["SQLALCHEMY_DATABASE_URI"] = re.sub(
            r"^sqlite:///(?=\w)", f"sqlite:///{folder}/", uri
        )
        if "JWT_ALGORITHM" in defaults:
            defaults["KEY_FOLDER"] = str(folder)
            for file, pem in make_pem_files(defaults["JWT_ALGORITHM"]).items():
                (folder / file).write_bytes(pem)
        host = RunningHost(case, module.create_app(defaults | config), module)
        hosts.append(host)
        return host.add(password_hash=PASSWORD_HASH)

    yield start
    for host in hosts:
        with host.app.app_context():
            host.db.session.remove()
            for engine in host.db.engines.values():
                engine.dispose()


def tamper_with_token(headers):
    """Return the headers with another user in the token, but the same signature."""

    def change(token):
        claims = json.dumps({"sub": "2", "type": "access", "fresh": False, "jti": "x"}).encode()
        return f"{token[1]}.{urlsafe_b64encode(claims).rstrip(b'=').decode()}.{token[3]}"

    token = re.compile(r"(eyJ[\w-]+)\.([\w-]+)\.([\w-]+)")
    return {name: token.sub(change, value) for name, value in headers.items()}


def parse(response):
    """Check the headers that every response has, and return its status and JSON body."""
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, response.json


@pytest.mark.parametrize("name", HOSTS)
def test_a_client_signs_in_to_a_host_and_gets_the_documented_responses(name, start_host):
    host = start_host(name)
    john = host.sign_in_john()
    for url in (host.case.url, host.case.url.rstrip("/")):
        with host.statements() as statements:
            response = host.client.post(url, headers=john)
        assert parse(response)[0] == 200
        assert response.text == host.case.body
        assert ", ".join(response.headers.getlist("Vary")) == host.case.vary
        assert len([s for s in statements if "username" in s]) == 1
        assert not [s for s in statements if "password_hash" in s]

    anonymous = host.request()
    assert parse(anonymous) == (401, NOT_PROVIDED)
    assert anonymous.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    tampered = host.request(tamper_with_token(john))
    assert parse(tampered) == (401, NOT_VALID)
    assert 'Bearer realm="api", error="invalid_token"' in tampered.headers["WWW-Authenticate"]
    get = host.request(john, "GET")
    assert parse(get) == (405, {"detail": 'Method "GET" not allowed.'})
    assert get.headers["Allow"] == "OPTIONS, POST"

    host.change(is_active=False)
    assert parse(host.request(john)) == (401, INACTIVE)
    host.execute(delete(host.User))
    assert parse(host.request(john)) == (404, NOT_FOUND)
    with host.app.app_context():
        host.User.__table__.drop(host.db.engine)
    assert parse(host.request(john)) == (500, FAILED)


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


class TestLogin:
    def test_a_session_cookie_is_not_accepted_as_a_token(self, start_host):
        host = start_host("Flask-Login")
        browser = host.browser()
        form = {"username": "john_doe", "password": PASSWORD}
        assert browser.post("/login", data=form).status_code == 204
        assert "Settings of john_doe" in browser.get("/settings").text
        assert parse(browser.post("/api/profile/")) == (401, NOT_PROVIDED)
        response = browser.post("/api/profile/", headers=host.sign_in_john())
        assert response.text == JOHN_AS_JSON
        assert "Set-Cookie" not in response.headers
        assert browser.get("/settings").status_code == 200

    def test_the_is_active_column_applies_to_both_login_and_profile(self, start_host):
        host = start_host("Flask-Login")
        john = host.sign_in_john()
        host.change(is_active=False)
        form = {"username": "john_doe", "password": PASSWORD}
        assert host.client.post("/login", data=form).status_code == 403
        assert host.request(john).json["code"] == "user_inactive"

    def test_is_active_of_the_user_mixin_is_a_configuration_error(self, host):
        login = pytest.importorskip("flask_login")

        def model(db):
            class User(login.UserMixin, ProfileMixin, db.Model):
                pass

            return User

        host_app = host(model=model, TESTING=True)
        with pytest.raises(ConfigurationError, match=r"(?s)is_active.*ProfileMixin, UserMixin, db"):
            host_app.post()


class TestCors:
    @pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
    def test_a_preflight_is_allowed_from_an_origin_of_the_host(self, url, start_host):
        headers = {
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        response = start_host("Flask-CORS").client.options(url, headers=headers)
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
        assert response.headers["Access-Control-Max-Age"] == "600"

    def test_a_page_of_an_allowed_origin_may_read_every_response(self, start_host):
        host = start_host("Flask-CORS")
        for headers, status in ((host.sign_in_john(), 200), ({}, 401)):
            response = host.request({"Origin": "https://admin.example.com", **headers})
            assert response.status_code == status
            assert response.headers["Access-Control-Allow-Origin"] == "https://admin.example.com"
            assert response.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
            assert {*response.headers.getlist("Vary")} == {"Authorization", "Origin"}

    def test_a_page_of_another_origin_may_not_read_a_response(self, start_host):
        host = start_host("Flask-CORS")
        origin = {"Origin": "https://evil.example.com"}
        headers = {"Access-Control-Request-Method": "POST"}
        for response in (
            host.request(host.sign_in_john() | origin),
            host.request(origin | headers, "OPTIONS"),
        ):
            assert "Access-Control-Allow-Origin" not in response.headers


class TestLimiter:
    def test_a_limit_on_the_blueprint_counts_each_request_and_returns_the_429_of_the_host(
        self, start_host
    ):
        host = start_host("Flask-Limiter")
        john = host.sign_in_john()
        requests = [(john, "POST"), ({}, "POST"), (john, "GET")] * 6 + [(john, "POST")] * 2
        for number, (headers, method) in enumerate(requests, 1):
            response = host.request(headers, method)
            assert response.status_code in (200, 401, 405)
            assert response.headers["X-RateLimit-Remaining"] == str(20 - number)
        rejected = host.request(john)
        own_response = host.client.get("/lottery")
        assert rejected.status_code == own_response.status_code == 429
        assert rejected.json == {"error": "Slow down.", "limit": "20 per 1 day"}
        assert rejected.text == own_response.text.replace("0 per", "20 per")
        assert [*rejected.headers.keys()] == [*own_response.headers.keys()]
        assert "Retry-After" in rejected.headers
        assert host.sign_in().status_code == 200

    def test_a_limit_applies_per_client(self, start_host):
        host = start_host("Flask-Limiter")
        for _ in range(21):
            rejected = host.request()
        assert rejected.status_code == 429
        other_client = {"REMOTE_ADDR": "192.0.2.1"}
        assert host.request(host.sign_in_john(), environ_overrides=other_client).status_code == 200


class TestCaching:
    def test_the_cache_of_the_host_never_stores_a_profile(self, start_host):
        host = start_host("Flask-Caching", PROFILE_METHODS=["GET", "POST"])
        host.add(id=2, username="ann", email="ann@example.com", password_hash=PASSWORD_HASH)
        john, ann = host.sign_in_john(), read_bearer_headers(host.sign_in("ann"))
        for method in ("GET", "POST"):
            assert host.request(john, method).json["username"] == "john_doe"
            assert host.request(ann, method).json["username"] == "ann"
            assert host.request({}, method).status_code == 401
        host.change(first_name="Jane")
        for method in ("GET", "POST"):
            assert host.request(john, method).json["first_name"] == "Jane"

    def test_the_cache_still_stores_the_hosts_own_responses(self, start_host):
        host = start_host("Flask-Caching")
        assert host.request(host.sign_in_john()).status_code == 200
        assert [host.client.get("/news").json for _ in range(2)] == [{"edition": 1}] * 2


class TestTalisman:
    def test_every_response_has_its_headers(self, start_host):
        host = start_host("flask-talisman")
        for response in (
            host.request(host.sign_in_john()),
            host.request(),
            host.request(method="GET"),
        ):
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "same-origin"
            assert response.headers["Content-Security-Policy"] == "default-src 'self'; img-src *"
            assert "preload" in response.headers["Strict-Transport-Security"]
            assert parse(response)

    def test_it_redirects_a_client_without_tls_to_https(self, start_host):
        host = start_host("flask-talisman")
        response = host.request(host.sign_in_john(), base_url="http://www.example.com")
        assert response.status_code == 302
        assert response.location == "https://www.example.com/api/profile/"


class TestBlocklist:
    def test_a_token_is_rejected_after_its_user_has_signed_out(self, start_host):
        host = start_host("a blocklist in Redis")
        phone, laptop = host.sign_in_john(), host.sign_in_john()
        assert host.client.delete("/sign-out", headers=phone).status_code == 204
        rejected = host.request(phone)
        assert parse(rejected) == (401, NOT_VALID)
        assert "The token has been revoked" in rejected.headers["WWW-Authenticate"]
        assert host.request(laptop).text == JOHN_AS_JSON

    def test_without_redis_no_token_is_accepted(self, start_host, caplog):
        host = start_host("a blocklist in Redis", REDIS_URL="redis://127.0.0.1:1/0")
        assert parse(host.request(host.sign_in_john())) == (500, FAILED)
        assert "redis.exceptions.ConnectionError" in caplog.text
        assert parse(host.request()) == (401, NOT_PROVIDED)


class TestKeys:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_a_token_signed_with_a_secret_is_not_valid(self, algorithm, start_host):
        host = start_host(f"{algorithm} keys")
        forger = start_host(f"{algorithm} keys", JWT_ALGORITHM="HS256")
        forged_headers = forger.sign_in_john()
        assert forger.request(forged_headers).status_code == 200
        rejected = host.request(forged_headers)
        assert parse(rejected) == (401, NOT_VALID)
        assert "The algorithm is not allowed" in rejected.headers["WWW-Authenticate"]

    def test_a_token_signed_with_another_type_of_key_is_not_valid(self, start_host):
        rsa_host, ec_host = start_host("RS256 keys"), start_host("ES256 keys")
        assert parse(rsa_host.request(ec_host.sign_in_john())) == (401, NOT_VALID)
        assert parse(ec_host.request(rsa_host.sign_in_john())) == (401, NOT_VALID)


class TestCookies:
    @pytest.mark.parametrize("csrf", [None, "", "wrong"])
    def test_a_cookie_without_its_csrf_token_is_rejected(self, csrf, start_host):
        host = start_host("cookies")
        cookie = {"Cookie": host.sign_in_john()["Cookie"]}
        rejected = host.request(cookie if csrf is None else {**cookie, "X-CSRF-TOKEN": csrf})
        assert parse(rejected) == (401, NOT_VALID)
        assert "CSRF" in rejected.headers["WWW-Authenticate"]

    def test_a_csrf_token_that_is_not_ascii_is_rejected(self, start_host):
        host = start_host("cookies")
        headers = {**host.sign_in_john(), "X-CSRF-TOKEN": "caf\xe9"}
        assert parse(host.request(headers)) == (401, NOT_VALID)

    def test_a_csrf_token_is_valid_only_for_its_session(self, start_host):
        host = start_host("cookies")
        first, second = host.sign_in_john(), host.sign_in_john()
        mixed = {**first, "X-CSRF-TOKEN": second["X-CSRF-TOKEN"]}
        assert host.request(mixed).status_code == 401
        assert host.request(first).status_code == 200

    def test_a_browser_gets_the_profile_until_it_signs_out(self, start_host):
        host = start_host("cookies")
        browser = host.browser()
        browser.post("/session", json={"username": "john_doe", "password": PASSWORD})
        csrf = {"X-CSRF-TOKEN": browser.get_cookie("csrf_access_token", "www.example.com").value}
        assert browser.post("/api/profile/", headers=csrf).text == JOHN_AS_JSON
        browser.delete("/session")
        assert parse(browser.post("/api/profile/", headers=csrf)) == (401, NOT_PROVIDED)

    def test_a_token_in_a_header_is_not_read(self, start_host):
        host = start_host("cookies")
        with host.app.app_context():
            headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        assert parse(host.request(headers)) == (401, NOT_PROVIDED)


class TestCatchAll:
    def test_the_host_still_handles_all_other_errors(self, start_host):
        host = start_host("catch-all handlers")
        assert host.request(host.sign_in_john()).status_code == 200
        for method, url, status, title in (
            ("GET", "/orders/0", 500, "We broke something."),
            ("GET", "/api/profiles", 404, "The requested URL was not found"),
            ("PUT", "/orders", 405, "The method is not allowed"),
            ("GET", "/orders", 401, "Missing Authorization Header"),
        ):
            response = host.client.open(url, method=method)
            assert response.status_code == status
            assert response.content_type == "application/problem+json"
            assert response.json["title"].startswith(title)
            assert response.json["instance"] == url

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "BREW"])
    @pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
    def test_it_does_not_handle_the_405_of_the_profile(self, url, method, start_host):
        response = start_host("catch-all handlers").client.open(url, method=method)
        assert response.status_code == 405
        assert response.content_type == "application/json"


class TestMounted:
    def test_it_is_served_below_the_prefix_only(self, start_host):
        host = start_host("DispatcherMiddleware")
        john = host.sign_in_john()
        assert host.client.post("/shop/api/profile", headers=john).text == JOHN_AS_JSON
        assert host.client.post("/api/profile/", headers=john).status_code == 404

    def test_url_for_includes_the_prefix(self, start_host):
        host = start_host("DispatcherMiddleware")
        with host.app.app_context():
            url = host.app.url_for("profile.profile", _external=True, _scheme="https")
        assert url == "https://www.example.com/shop/api/profile/"
        assert host.client.post(url, headers=host.sign_in_john()).text == JOHN_AS_JSON


class TestProxied:
    def test_url_for_includes_the_host_and_prefix_of_the_proxy(self, start_host):
        host = start_host("ProxyFix")
        urls = []

        @host.app.after_request
        def record_url(response):
            urls.append(host.app.url_for("v1.profile.profile", _external=True))
            return response

        assert host.request(host.sign_in_john()).text == JOHN_AS_JSON
        assert {*urls} == {"https://shop.example/service/v1/api/profile/"}

    def test_it_is_also_served_without_the_proxy(self, start_host):
        host = start_host("ProxyFix")
        direct = Client(host.app, use_cookies=False)
        assert direct.post("/v1/api/profile", headers=host.sign_in_john()).text == JOHN_AS_JSON


class TestAsyncViews:
    def test_a_session_that_an_async_hook_has_used_is_reused(self, start_host):
        host = start_host("async views")
        host.execute(host.db.metadata.tables["notice"].insert().values(text="Back at noon."))
        john = host.sign_in_john()
        assert host.client.get("/notices", headers=john).json == {"notices": ["Back at noon."]}
        with host.statements() as statements:
            response = host.request(john)
        assert response.headers["X-Notices"] == "1"
        assert response.text == JOHN_AS_JSON
        assert len(statements) == 2


def test_a_flask_smorest_host_can_add_the_profile_to_its_document():
    pytest.importorskip("flask_smorest", reason="install the extra `hosts` for flask_smorest")
    from flask_smorest import Api
    from openapi_spec_validator import OpenAPIV31SpecValidator

    from hosts import smorest

    app = smorest.create_app({"SQLALCHEMY_DATABASE_URI": "sqlite://", "JWT_SECRET_KEY": "x" * 32})
    api: Api = app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    openapi_spec(app, api.spec)
    document = app.test_client().get("/openapi.json").json
    OpenAPIV31SpecValidator(document).validate()
    assert {*document["paths"]} == {"/auth/login", "/pets/{pet_id}", "/api/profile/"}
    assert {"Pet", "Token", "Profile"} <= {*document["components"]["schemas"]}
    assert document["info"]["title"] == "Pets"
    with app.app_context():
        smorest.db.engine.dispose()
