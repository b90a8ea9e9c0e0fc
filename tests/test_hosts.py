"""The blueprint beside what hosts use: each test is a host with one of its extensions."""

from __future__ import annotations

import pytest
from flask import Flask, jsonify
from sqlalchemy import select
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from conftest import JOHN_AS_JSON
from flask_profile import ConfigurationError, ProfileMixin

NOT_PROVIDED = {"detail": "Authentication credentials were not provided."}


def as_documented(made, url="/api/profile/"):
    """Check that the resource answers as it does alone."""
    assert made.post(url=url).get_data(as_text=True) == JOHN_AS_JSON
    refused = made.client.post(url)
    assert (refused.status_code, refused.json) == (401, NOT_PROVIDED)
    assert made.client.get(url).json == {"detail": 'Method "GET" not allowed.'}
    assert made.post("2", url=url).status_code == 404


def test_flask_smorest(john):
    smorest = pytest.importorskip("flask_smorest")
    john.app.config.update(API_TITLE="Host", API_VERSION="1", OPENAPI_VERSION="3.1.0")
    api = smorest.Api(john.app)
    pets = smorest.Blueprint("pets", "pets", url_prefix="/pets")

    @pets.get("/")
    @pets.response(200)
    def pet():
        smorest.abort(409, message="busy")

    api.register_blueprint(pets)
    as_documented(john)
    assert john.client.get("/pets/").json == {"code": 409, "message": "busy", "status": "Conflict"}


def test_flask_restful(john):
    restful = pytest.importorskip("flask_restful")

    class Pet(restful.Resource):
        def get(self):
            restful.abort(409, message="busy")

    api = restful.Api(john.app, catch_all_404s=True)
    api.add_resource(Pet, "/pet")
    as_documented(john)
    assert john.client.get("/pet").json == {"message": "busy"}


def test_flask_login(host):
    login = pytest.importorskip("flask_login")

    def model(db):
        class User(ProfileMixin, login.UserMixin, db.Model):
            pass

        return User

    made = host(model=model, SECRET_KEY="a secret of the session").add()
    manager = login.LoginManager(made.app)
    manager.user_loader(lambda key: made.db.session.get(made.User, int(key)))

    @made.app.post("/login/<int:key>")
    def log_in(key):
        return jsonify(login.login_user(made.db.session.get(made.User, key)))

    as_documented(made)
    client = made.app.test_client()
    assert client.post("/login/1").json is True
    assert client.post("/api/profile/", headers=made.bearer()).text == JOHN_AS_JSON
    made.add(id=3, username="ann", email="ann@example.com", is_active=False)
    assert made.post("3").status_code == 401


def test_flask_login_may_not_decide_who_is_active(host):
    login = pytest.importorskip("flask_login")

    def model(db):
        class User(login.UserMixin, ProfileMixin, db.Model):
            pass

        return User

    made = host(model=model, TESTING=True)
    with pytest.raises(ConfigurationError, match=r"(?s)is_active.*ProfileMixin, UserMixin, db"):
        made.post()


def test_flask_cors(john):
    cors = pytest.importorskip("flask_cors")
    cors.CORS(john.app, origins=["https://app.example.com"], allow_headers=["Authorization"])
    as_documented(john)
    origin = {"Origin": "https://app.example.com"}
    asked = {"Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "Authorization"
    for url in ("/api/profile/", "/api/profile"):
        preflight = john.client.options(url, headers=origin | asked)
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization"
    real = john.post(headers=origin)
    assert real.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert "Authorization" in real.headers["Vary"]


def test_flask_limiter(john):
    limiter = pytest.importorskip("flask_limiter")
    limits = limiter.Limiter(lambda: "client", app=john.app, storage_uri="memory://")
    limits.limit("4/hour")(john.app.blueprints["profile"])

    @john.app.errorhandler(429)
    def too_many(error):
        return jsonify(host=error.description), 429

    as_documented(john)
    assert (john.post().status_code, john.post().json) == (429, {"host": "4 per 1 hour"})


def test_flask_caching(john):
    caching = pytest.importorskip("flask_caching")
    cache = caching.Cache(john.app, config={"CACHE_TYPE": "SimpleCache"})

    @john.app.get("/cached")
    @cache.cached()
    def cached():
        return "cached"

    assert john.client.get("/cached").text == "cached"
    as_documented(john)


def test_flask_talisman(john):
    talisman = pytest.importorskip("flask_talisman")
    talisman.Talisman(john.app, force_https=False)
    as_documented(john)
    assert john.post().headers["X-Frame-Options"] == "SAMEORIGIN"


def test_tokens_that_are_revoked_in_redis(john):
    redis = pytest.importorskip("redis")
    with redis.Redis() as revoked:
        try:
            revoked.ping()
        except redis.ConnectionError:
            pytest.skip("no Redis on 127.0.0.1:6379")
        john.jwt.token_in_blocklist_loader(lambda _h, payload: revoked.get(payload["jti"]))
        as_documented(john)
        revoked.set("flask-profile-test", 1, ex=10)
        token = john.token(additional_claims={"jti": "flask-profile-test"})
        response = john.client.post("/api/profile/", headers={"Authorization": f"Bearer {token}"})
        assert response.json["code"] == "token_not_valid"
    john.jwt.token_in_blocklist_loader(lambda _h, _p: redis.Redis(port=1).get("x"))
    assert john.post().status_code == 500


def test_async_views(john):
    pytest.importorskip("asgiref")

    @john.app.before_request
    async def before():
        john.db.session.execute(select(john.User.id))

    @john.app.get("/async")
    async def view():
        return "done"

    assert john.client.get("/async").text == "done"
    as_documented(john)


def test_an_app_below_a_prefix(john):
    mounted = DispatcherMiddleware(Flask("outer"), {"/host": john.app})
    response = Client(mounted).post("/host/api/profile/", headers=john.bearer())
    assert response.text == JOHN_AS_JSON
    assert Client(mounted).get("/host/api/profile").status_code == 405


def test_an_app_behind_a_proxy(john):
    john.app.wsgi_app = ProxyFix(john.app.wsgi_app, x_prefix=1)
    john.app.config["APPLICATION_ROOT"] = "/host"
    as_documented(john)
    assert john.post(headers={"X-Forwarded-Prefix": "/host"}).status_code == 200
