"""The blueprint in real apps: those of the folder ``hosts``, seen by their clients."""

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
from flask_profile import ConfigurationError, ProfileBlueprint, ProfileMixin, openapi_spec
from responses import FAILED, INACTIVE, NOT_FOUND, NOT_PROVIDED, NOT_VALID

PASSWORD = "correct horse battery staple"
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


def post_json(url):
    """Return how a client signs in with JSON."""
    return lambda client, **credentials: client.post(url, json=credentials)


def post_form(url, **more):
    """Return how a client signs in with a form."""
    return lambda client, **credentials: client.post(url, data=credentials | more)


def post_form_then_ask(url, token_url):
    """Return how a client signs in to a session, and has a token for that."""

    def sign_in(client, **credentials):
        client.post(url, data=credentials)
        return client.post(token_url)

    return sign_in


def bearer(response):
    """Return the headers by which a client that has just signed in sends its token."""
    return {"Authorization": f"Bearer {response.json['access_token']}"}


def cookies(response):
    """Return the headers that a browser, and the script of the page in it, send."""
    pairs = [header.split(";")[0] for header in response.headers.getlist("Set-Cookie")]
    csrf = next(p.partition("=")[2] for p in pairs if p.startswith("csrf_access_token="))
    return {"Cookie": "; ".join(pairs), "X-CSRF-TOKEN": csrf}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A host of the folder, as its clients know it.

    ``own`` has routes of the host, each with its status for John and for nobody.
    """

    module: str
    needs: str = "flask"
    sign_in: Callable[..., Any] = post_json("/login")
    headers: Callable[[Any], dict[str, str]] = bearer
    own: Mapping[str, tuple[int, int]]
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
        own={"/pets/1": (200, 401), "/pets/2": (404, 401), "/openapi.json": (200, 200)},
    ),
    "Flask-RESTful": Case(
        module="restful",
        needs="flask_restful",
        sign_in=post_json("/tokens"),
        own={"/todos/1": (200, 401), "/todos/2": (404, 401)},
    ),
    "Flask-Login": Case(
        module="login",
        needs="flask_login",
        sign_in=post_form_then_ask("/login", "/api/token"),
        own={"/": (200, 200), "/settings": (401, 401)},
        vary="Authorization, Cookie",  # It looks at the session after each request.
    ),
    "Flask-CORS": Case(
        module="cors",
        needs="flask_cors",
        sign_in=post_json("/api/login"),
        own={"/api/notes": (200, 200), "/api/notes/1": (404, 404)},
        vary="Authorization, Origin",
    ),
    "Flask-Limiter": Case(
        module="limiter",
        needs="flask_limiter",
        own={"/status": (200, 200), "/lottery": (429, 429)},
    ),
    "Flask-Caching": Case(
        module="caching",
        needs="flask_caching",
        own={"/news": (200, 200), "/weather": (503, 503)},
    ),
    "flask-talisman": Case(
        module="talisman",
        needs="flask_talisman",
        own={"/": (200, 200), "/vault": (403, 403)},
    ),
    "a blocklist in Redis": Case(
        module="blocklist",
        needs="redis",
        sign_in=post_json("/sign-in"),
        own={"/messages": (200, 401), "/messages/1": (404, 404)},
        config={"JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=1)},
    ),
    **{
        f"{algorithm} keys": Case(
            module="keys",
            needs="cryptography",
            sign_in=post_form("/oauth/token", grant_type="password"),
            own={"/.well-known/jwks.json": (200, 200), "/oauth/authorize": (501, 501)},
            config={"JWT_ALGORITHM": algorithm},
        )
        for algorithm in ("RS256", "ES256")
    },
    "cookies": Case(
        module="cookies",
        sign_in=post_json("/session"),
        headers=cookies,
        own={"/cart": (200, 401), "/cart/items/1": (404, 404)},
        vary="Cookie",
    ),
    "handlers that catch all": Case(
        module="catch_all",
        own={"/orders": (200, 401), "/orders/0": (500, 500)},
    ),
    "DispatcherMiddleware": Case(
        module="mounted",
        sign_in=post_json("/shop/login"),
        own={"/shop/goods": (200, 200), "/shop/goods/1": (410, 410), "/": (200, 200)},
        url="/shop/api/profile/",
    ),
    "ProxyFix": Case(
        module="proxied",
        sign_in=post_json("/v1/login"),
        own={"/v1/files": (200, 200), "/v1/files/a": (404, 404)},
        url="/v1/api/profile/",
        proxy={"X-Forwarded-Host": "shop.example", "X-Forwarded-Prefix": "/service"},
    ),
    "orjson": Case(
        module="orjson_provider",
        needs="orjson",
        own={"/events": (200, 200), "/events/1": (404, 404)},
        body=json.dumps(json.loads(JOHN_AS_JSON), separators=(",", ":")),
    ),
    "async views": Case(
        module="async_views",
        needs="asgiref",
        own={"/notices": (200, 401), "/error": (500, 500)},
    ),
}


class Browser(Client):
    """A client that asks over TLS, through the proxy of the host if it has one."""

    proxy: Mapping[str, str] = {}

    def open(self, *args, headers=None, **options):
        options = {"base_url": "https://www.example.com"} | options
        return super().open(*args, headers={**self.proxy, **(headers or {})}, **options)


class Running(Host):
    """A host of the folder that runs, with John in its database."""

    def __init__(self, case, app, module):
        super().__init__(app, module.db, module.User)
        self.case = case

    @property
    def client(self):
        return self.browser(use_cookies=False)

    def browser(self, **options):
        """Return a client that keeps the host's cookies."""
        browser = Browser(self.app, **options)
        browser.proxy = self.case.proxy
        return browser

    def sign_in(self, username="john_doe", password=PASSWORD):
        """Sign in through the host's own route and return its answer."""
        return self.case.sign_in(self.browser(), username=username, password=password)

    def john(self):
        """Sign John in and return the headers of a request of his."""
        return self.case.headers(self.sign_in())

    def ask(self, headers=None, method="POST", **options):
        """Ask for the profile."""
        return self.client.open(self.case.url, method=method, headers=headers, **options)

    def execute(self, statement):
        with self.app.app_context():
            self.db.session.execute(statement)
            self.db.session.commit()

    def change(self, **values):
        self.execute(update(self.User).values(**values))


@cache
def pem_pair(algorithm):
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


def need_redis():
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url("redis://127.0.0.1:6379") as server:
        try:
            server.ping()
        except redis.ConnectionError:
            pytest.skip("no Redis answers on 127.0.0.1:6379")


@pytest.fixture
def run(room, tmp_path):
    """Return what starts a host of the folder, unless what it needs is missing."""
    running = []

    def start(name, **config):
        case = HOSTS[name]
        pytest.importorskip(case.needs, reason=f"no {case.needs}: the extra `hosts` has it")
        if case.needs == "redis" and "REDIS_URL" not in config:
            need_redis()
        module = import_module(f"hosts.{case.module}")
        place = tmp_path / str(len(running))
        place.mkdir()
        given = {"JWT_SECRET_KEY": "s" * 32, "SECRET_KEY": "t" * 32, **room(), **case.config}
        uri = given["SQLALCHEMY_DATABASE_URI"]
        given["SQLALCHEMY_DATABASE_URI"] = re.sub(r"^sqlite:///(?=\w)", f"sqlite:///{place}/", uri)
        if "JWT_ALGORITHM" in given:
            given["KEY_FOLDER"] = str(place)
            for file, pem in pem_pair(given["JWT_ALGORITHM"]).items():
                (place / file).write_bytes(pem)
        host = Running(case, module.create_app(given | config), module)
        running.append(host)
        return host.add(password_hash=PASSWORD_HASH)

    yield start
    for host in running:
        with host.app.app_context():
            host.db.session.remove()
            for engine in host.db.engines.values():
                engine.dispose()


def tampered(headers):
    """Return the headers with another user in the token, behind the same signature."""

    def change(token):
        claims = json.dumps({"sub": "2", "type": "access", "fresh": False, "jti": "x"}).encode()
        return f"{token[1]}.{urlsafe_b64encode(claims).rstrip(b'=').decode()}.{token[3]}"

    token = re.compile(r"(eyJ[\w-]+)\.([\w-]+)\.([\w-]+)")
    return {name: token.sub(change, value) for name, value in headers.items()}


def answer(response):
    """Check what is true of every answer of the resource, and return its status and body."""
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, response.json


@pytest.mark.parametrize("name", HOSTS)
def test_a_client_of_a_host_signs_in_there_and_is_answered_as_documented(name, run):
    host = run(name)
    john = host.john()
    for url in (host.case.url, host.case.url.rstrip("/")):
        with host.statements() as statements:
            response = host.client.post(url, headers=john)
        assert answer(response)[0] == 200
        assert response.text == host.case.body
        assert ", ".join(response.headers.getlist("Vary")) == host.case.vary
        assert len([s for s in statements if "username" in s]) == 1
        assert not [s for s in statements if "password_hash" in s]

    nobody = host.ask()
    assert answer(nobody) == (401, NOT_PROVIDED)
    assert nobody.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    other = host.ask(tampered(john))
    assert answer(other) == (401, NOT_VALID)
    assert 'Bearer realm="api", error="invalid_token"' in other.headers["WWW-Authenticate"]
    get = host.ask(john, "GET")
    assert answer(get) == (405, {"detail": 'Method "GET" not allowed.'})
    assert get.headers["Allow"] == "OPTIONS, POST"

    host.change(is_active=False)
    assert answer(host.ask(john)) == (401, INACTIVE)
    host.execute(delete(host.User))
    assert answer(host.ask(john)) == (404, NOT_FOUND)
    with host.app.app_context():
        host.User.__table__.drop(host.db.engine)
    assert answer(host.ask(john)) == (500, FAILED)


def own_answers(host):
    """Return what the host answers on its own routes, to John and to nobody, and beside them."""
    john = host.john()
    (route, *_) = host.case.own
    requests = {
        "sign-in with a wrong password": host.sign_in(password="wrong"),
        "another method": host.client.delete(route, headers=john),
        "no route": host.client.get(f"{route}/nowhere"),
        **{f"{url} of John": host.client.get(url, headers=john) for url in host.case.own},
        **{f"{url} of nobody": host.client.get(url) for url in host.case.own},
    }
    ticking = {"X-RateLimit-Reset", "Retry-After"}
    return {
        name: (
            response.status_code,
            [header for header in response.headers if header[0] not in ticking],
            response.data,
        )
        for name, response in requests.items()
    }


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_answers_on_its_own_routes_as_it_would_without_us(name, run, monkeypatch):
    host = run(name)
    assert host.ask(host.john()).status_code == 200
    answers = own_answers(host)
    with monkeypatch.context() as patch:
        patch.setattr(ProfileBlueprint, "register", lambda *_: None)
        alone = run(name)
    assert alone.ask(alone.john()).status_code not in (200, 401)
    assert answers == own_answers(alone)
    statuses = {
        url: (answers[f"{url} of John"][0], answers[f"{url} of nobody"][0]) for url in host.case.own
    }
    assert statuses == host.case.own
    assert answers["sign-in with a wrong password"][0] in (400, 401)


def app_level(app):
    """Return all of an app that is not of one blueprint, in copies."""
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
def test_neither_registration_nor_a_request_changes_the_app_of_a_host(name, run, monkeypatch):
    states = []
    register = ProfileBlueprint.register

    def watch(blueprint, app, options):
        states.append(app_level(app))
        register(blueprint, app, options)
        states.append(app_level(app))

    monkeypatch.setattr(ProfileBlueprint, "register", watch)
    host = run(name)
    before, after = states
    assert after == before
    john = host.john()
    before = app_level(host.app)
    assert host.ask(john).status_code == 200
    assert host.ask().status_code == 401
    assert app_level(host.app) == before


class TestLogin:
    def test_a_session_is_no_access_token(self, run):
        host = run("Flask-Login")
        browser = host.browser()
        form = {"username": "john_doe", "password": PASSWORD}
        assert browser.post("/login", data=form).status_code == 204
        assert "Settings of john_doe" in browser.get("/settings").text
        assert answer(browser.post("/api/profile/")) == (401, NOT_PROVIDED)
        response = browser.post("/api/profile/", headers=host.john())
        assert response.text == JOHN_AS_JSON
        assert "Set-Cookie" not in response.headers
        assert browser.get("/settings").status_code == 200

    def test_the_column_decides_who_is_active_for_both(self, run):
        host = run("Flask-Login")
        john = host.john()
        host.change(is_active=False)
        form = {"username": "john_doe", "password": PASSWORD}
        assert host.client.post("/login", data=form).status_code == 403
        assert host.ask(john).json["code"] == "user_inactive"

    def test_its_user_mixin_may_not_decide_who_is_active(self, host):
        login = pytest.importorskip("flask_login")

        def model(db):
            class User(login.UserMixin, ProfileMixin, db.Model):
                pass

            return User

        made = host(model=model, TESTING=True)
        with pytest.raises(ConfigurationError, match=r"(?s)is_active.*ProfileMixin, UserMixin, db"):
            made.post()


class TestCors:
    @pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
    def test_a_preflight_is_allowed_from_an_origin_of_the_host(self, url, run):
        asked = {
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        response = run("Flask-CORS").client.options(url, headers=asked)
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
        assert response.headers["Access-Control-Max-Age"] == "600"

    def test_a_page_may_read_every_answer(self, run):
        host = run("Flask-CORS")
        for headers, status in ((host.john(), 200), ({}, 401)):
            response = host.ask({"Origin": "https://admin.example.com", **headers})
            assert response.status_code == status
            assert response.headers["Access-Control-Allow-Origin"] == "https://admin.example.com"
            assert response.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
            assert {*response.headers.getlist("Vary")} == {"Authorization", "Origin"}

    def test_a_page_of_another_origin_may_not(self, run):
        host = run("Flask-CORS")
        origin = {"Origin": "https://evil.example.com"}
        asked = {"Access-Control-Request-Method": "POST"}
        for response in (host.ask(host.john() | origin), host.ask(origin | asked, "OPTIONS")):
            assert "Access-Control-Allow-Origin" not in response.headers


class TestLimiter:
    def test_a_limit_of_the_blueprint_counts_each_request_and_its_429_is_the_hosts(self, run):
        host = run("Flask-Limiter")
        john = host.john()
        requests = [(john, "POST"), ({}, "POST"), (john, "GET")] * 6 + [(john, "POST")] * 2
        for number, (headers, method) in enumerate(requests, 1):
            response = host.ask(headers, method)
            assert response.status_code in (200, 401, 405)
            assert response.headers["X-RateLimit-Remaining"] == str(20 - number)
        refused = host.ask(john)
        own = host.client.get("/lottery")
        assert refused.status_code == own.status_code == 429
        assert refused.json == {"error": "Slow down.", "limit": "20 per 1 day"}
        assert refused.text == own.text.replace("0 per", "20 per")
        assert [*refused.headers.keys()] == [*own.headers.keys()]
        assert "Retry-After" in refused.headers
        assert host.sign_in().status_code == 200

    def test_a_limit_is_of_one_client(self, run):
        host = run("Flask-Limiter")
        for _ in range(21):
            refused = host.ask()
        assert refused.status_code == 429
        other = {"REMOTE_ADDR": "192.0.2.1"}
        assert host.ask(host.john(), environ_overrides=other).status_code == 200


class TestCaching:
    def test_a_cache_of_the_host_never_keeps_a_profile(self, run):
        host = run("Flask-Caching", PROFILE_METHODS=["GET", "POST"])
        host.add(id=2, username="ann", email="ann@example.com", password_hash=PASSWORD_HASH)
        john, ann = host.john(), bearer(host.sign_in("ann"))
        for method in ("GET", "POST"):
            assert host.ask(john, method).json["username"] == "john_doe"
            assert host.ask(ann, method).json["username"] == "ann"
            assert host.ask({}, method).status_code == 401
        host.change(first_name="Jane")
        for method in ("GET", "POST"):
            assert host.ask(john, method).json["first_name"] == "Jane"

    def test_it_still_keeps_what_is_the_hosts(self, run):
        host = run("Flask-Caching")
        assert host.ask(host.john()).status_code == 200
        assert [host.client.get("/news").json for _ in range(2)] == [{"edition": 1}] * 2


class TestTalisman:
    def test_every_answer_has_its_headers(self, run):
        host = run("flask-talisman")
        for response in (host.ask(host.john()), host.ask(), host.ask(method="GET")):
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "same-origin"
            assert response.headers["Content-Security-Policy"] == "default-src 'self'; img-src *"
            assert "preload" in response.headers["Strict-Transport-Security"]
            assert answer(response)

    def test_it_sends_a_client_without_tls_to_https(self, run):
        host = run("flask-talisman")
        response = host.ask(host.john(), base_url="http://www.example.com")
        assert response.status_code == 302
        assert response.location == "https://www.example.com/api/profile/"


class TestBlocklist:
    def test_a_token_is_refused_after_its_user_signed_out(self, run):
        host = run("a blocklist in Redis")
        phone, laptop = host.john(), host.john()
        assert host.client.delete("/sign-out", headers=phone).status_code == 204
        refused = host.ask(phone)
        assert answer(refused) == (401, NOT_VALID)
        assert "The token has been revoked" in refused.headers["WWW-Authenticate"]
        assert host.ask(laptop).text == JOHN_AS_JSON

    def test_without_redis_no_token_is_trusted(self, run, caplog):
        host = run("a blocklist in Redis", REDIS_URL="redis://127.0.0.1:1/0")
        assert answer(host.ask(host.john())) == (500, FAILED)
        assert "redis.exceptions.ConnectionError" in caplog.text
        assert answer(host.ask()) == (401, NOT_PROVIDED)


class TestKeys:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_a_token_signed_with_a_secret_is_not_valid(self, algorithm, run):
        host, forger = run(f"{algorithm} keys"), run(f"{algorithm} keys", JWT_ALGORITHM="HS256")
        forged = forger.john()
        assert forger.ask(forged).status_code == 200
        refused = host.ask(forged)
        assert answer(refused) == (401, NOT_VALID)
        assert "The algorithm is not allowed" in refused.headers["WWW-Authenticate"]

    def test_a_token_of_the_other_kind_of_key_is_not_valid(self, run):
        rsa_host, ec_host = run("RS256 keys"), run("ES256 keys")
        assert answer(rsa_host.ask(ec_host.john())) == (401, NOT_VALID)
        assert answer(ec_host.ask(rsa_host.john())) == (401, NOT_VALID)


class TestCookies:
    @pytest.mark.parametrize("csrf", [None, "", "wrong"])
    def test_a_cookie_without_its_csrf_token_is_refused(self, csrf, run):
        host = run("cookies")
        cookie = {"Cookie": host.john()["Cookie"]}
        refused = host.ask(cookie if csrf is None else {**cookie, "X-CSRF-TOKEN": csrf})
        assert answer(refused) == (401, NOT_VALID)
        assert "CSRF" in refused.headers["WWW-Authenticate"]

    def test_a_csrf_token_that_no_host_would_give_is_refused(self, run):
        host = run("cookies")
        assert answer(host.ask({**host.john(), "X-CSRF-TOKEN": "caf\xe9"})) == (401, NOT_VALID)

    def test_a_csrf_token_is_of_one_session(self, run):
        host = run("cookies")
        one, other = host.john(), host.john()
        assert host.ask({**one, "X-CSRF-TOKEN": other["X-CSRF-TOKEN"]}).status_code == 401
        assert host.ask(one).status_code == 200

    def test_a_browser_is_served_until_it_signs_out(self, run):
        host = run("cookies")
        browser = host.browser()
        browser.post("/session", json={"username": "john_doe", "password": PASSWORD})
        csrf = {"X-CSRF-TOKEN": browser.get_cookie("csrf_access_token", "www.example.com").value}
        assert browser.post("/api/profile/", headers=csrf).text == JOHN_AS_JSON
        browser.delete("/session")
        assert answer(browser.post("/api/profile/", headers=csrf)) == (401, NOT_PROVIDED)

    def test_a_token_of_the_host_in_a_header_is_not_looked_at(self, run):
        host = run("cookies")
        with host.app.app_context():
            headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        assert answer(host.ask(headers)) == (401, NOT_PROVIDED)


class TestCatchAll:
    def test_the_host_still_catches_all_else(self, run):
        host = run("handlers that catch all")
        assert host.ask(host.john()).status_code == 200
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
    def test_it_takes_no_method_of_ours(self, url, method, run):
        response = run("handlers that catch all").client.open(url, method=method)
        assert response.status_code == 405
        assert response.content_type == "application/json"


class TestMounted:
    def test_it_is_below_the_prefix_alone(self, run):
        host = run("DispatcherMiddleware")
        john = host.john()
        assert host.client.post("/shop/api/profile", headers=john).text == JOHN_AS_JSON
        assert host.client.post("/api/profile/", headers=john).status_code == 404

    def test_its_url_is_built_with_the_prefix(self, run):
        host = run("DispatcherMiddleware")
        with host.app.app_context():
            url = host.app.url_for("profile.profile", _external=True, _scheme="https")
        assert url == "https://www.example.com/shop/api/profile/"
        assert host.client.post(url, headers=host.john()).text == JOHN_AS_JSON


class TestProxied:
    def test_its_url_is_built_as_the_proxy_has_it(self, run):
        host = run("ProxyFix")
        urls = []

        @host.app.after_request
        def note(response):
            urls.append(host.app.url_for("v1.profile.profile", _external=True))
            return response

        assert host.ask(host.john()).text == JOHN_AS_JSON
        assert {*urls} == {"https://shop.example/service/v1/api/profile/"}

    def test_it_is_served_without_the_proxy_too(self, run):
        host = run("ProxyFix")
        direct = Client(host.app, use_cookies=False)
        assert direct.post("/v1/api/profile", headers=host.john()).text == JOHN_AS_JSON


class TestAsyncViews:
    def test_a_session_that_an_async_hook_has_used_is_read_from(self, run):
        host = run("async views")
        host.execute(host.db.metadata.tables["notice"].insert().values(text="Back at noon."))
        john = host.john()
        assert host.client.get("/notices", headers=john).json == {"notices": ["Back at noon."]}
        with host.statements() as statements:
            response = host.ask(john)
        assert response.headers["X-Notices"] == "1"
        assert response.text == JOHN_AS_JSON
        assert len(statements) == 2


def test_a_flask_smorest_host_has_the_profile_in_its_document_by_one_line():
    pytest.importorskip("flask_smorest", reason="needs the extra hosts")
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
