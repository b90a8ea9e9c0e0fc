from __future__ import annotations

import copy
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection

import pytest
from flask import Blueprint, Flask, abort, jsonify, url_for
from flask.cli import routes_command
from flask.json.provider import JSONProvider
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields

import flask_profile
from conftest import JOHN, JOHN_AS_JSON, SECRET, make_user_model
from contract import FAILED
from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema
from servers import serve


class UsernameSchema(Schema):
    username = fields.String()


def test_seven_names_are_public():
    assert sorted(flask_profile.__all__) == [
        "ConfigurationError",
        "ProfileBlueprint",
        "ProfileMixin",
        "ProfileSchema",
        "openapi_spec",
        "profile_deleted",
        "profile_updated",
    ]


def test_importing_the_package_imports_no_optional_dependency_and_no_dialect():
    code = "import sys, flask_profile; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    optional = {"PIL", "obstore", "apispec", "sqlalchemy.dialects.mysql"}
    assert not optional & {*modules.stdout.split()}


def test_the_url_works_with_and_without_a_trailing_slash_and_never_redirects(john):
    for url in ("/api/profile/", "/api/profile"):
        assert john.post(url=url).get_data(as_text=True) == JOHN_AS_JSON


@pytest.mark.parametrize(
    ("prefix", "url"),
    [("/me", "/me/"), ("/me/", "/me"), ("/", "/"), ("/v1/users/me", "/v1/users/me")],
)
def test_the_url_prefix_is_read_from_the_config(prefix, url, host):
    host_app = host(PROFILE_URL_PREFIX=prefix).add()
    assert host_app.post(url=url).status_code == 200
    assert host_app.post(url="/api/profile/").status_code == 404


def test_a_url_prefix_given_at_registration_overrides_the_config(john):
    john.app.register_blueprint(ProfileBlueprint("mine"), url_prefix="/mine")
    john.app.register_blueprint(ProfileBlueprint("here"), url_prefix="/<lang>/me")
    for url in ("/api/profile/", "/mine/", "/mine", "/de/me", "/de/me/"):
        assert john.post(url=url).status_code == 200


@pytest.mark.parametrize(
    ("outer", "inner", "url"),
    [
        ("/host", None, "/host/api/profile/"),
        ("/host", "/me", "/host/me"),
        (None, None, "/api/profile"),
        (None, "/me", "/me/"),
    ],
)
def test_the_blueprint_can_be_nested_in_another(outer, inner, url, host):
    host_app = host().add()
    parent = Blueprint("parent", __name__, url_prefix=outer)
    parent.register_blueprint(ProfileBlueprint("child"), url_prefix=inner)
    if url.startswith("/api"):
        host_app = host(blueprint=parent).add()
    else:
        host_app.app.register_blueprint(parent)
    assert host_app.post(url=url).get_data(as_text=True) == JOHN_AS_JSON
    assert host_app.client.get(url).json == {"detail": 'Method "GET" not allowed.'}


def test_one_app_can_register_two_blueprints_with_different_schemas(john):
    john.app.register_blueprint(
        ProfileBlueprint("name", schema=UsernameSchema), url_prefix="/v2/me"
    )
    assert john.post(url="/v2/me").json == {"username": "john_doe"}
    assert john.post().get_data(as_text=True) == JOHN_AS_JSON


def test_an_argument_overrides_the_config(host):
    host_app = host(
        PROFILE_SCHEMA=ProfileSchema, blueprint=ProfileBlueprint(schema=UsernameSchema)
    ).add()
    assert host_app.post().json == {"username": "john_doe"}


def test_the_user_model_can_be_an_argument(host):
    db = SQLAlchemy()

    class Staff(ProfileMixin, db.Model):
        pass

    blueprint = ProfileBlueprint(user_model=Staff)
    host_app = host(db=db, blueprint=blueprint, model=lambda _db: Staff).add()
    assert host_app.post().status_code == 200


def test_one_instance_can_be_registered_on_two_independent_apps(host):
    blueprint = ProfileBlueprint()
    first = host(blueprint=blueprint).add()
    second = host(
        blueprint=blueprint,
        PROFILE_SCHEMA=UsernameSchema,
        PROFILE_URL_PREFIX="/me",
        PROFILE_REALM="other",
        JWT_SECRET_KEY="another secret of more than thirty-two bytes",
    ).add(username="ann")
    assert first.post().get_data(as_text=True) == JOHN_AS_JSON
    assert second.post(url="/me").json == {"username": "ann"}
    assert first.post(url="/me").status_code == second.post().status_code == 404
    assert first.client.post("/api/profile/", headers=second.bearer()).status_code == 401
    assert 'realm="other"' in second.client.post("/me").headers["WWW-Authenticate"]


def test_one_instance_can_be_registered_twice_on_an_app(john):
    blueprint = john.app.blueprints["profile"]
    john.app.register_blueprint(blueprint, name="again", url_prefix="/again")
    assert john.post(url="/again").get_data(as_text=True) == JOHN_AS_JSON


def test_the_blueprint_can_be_registered_before_the_extensions():
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", JWT_SECRET_KEY=SECRET)
    app.register_blueprint(ProfileBlueprint())
    db = SQLAlchemy()
    user = make_user_model(db)
    db.init_app(app)
    JWTManager(app)
    with app.app_context():
        db.create_all()
        db.session.add(user(**JOHN))
        db.session.commit()
        headers = {"Authorization": f"Bearer {create_access_token('1')}"}
    assert app.test_client().post("/api/profile/", headers=headers).data.decode() == JOHN_AS_JSON
    with app.app_context():
        db.engine.dispose()


def test_url_for_builds_the_url(john):
    with john.app.test_request_context():
        assert url_for("profile.profile") == "/api/profile/"


def test_flask_routes_lists_the_enabled_methods(john):
    listing = john.app.test_cli_runner().invoke(routes_command).output
    (line,) = [line for line in listing.splitlines() if "profile.profile" in line]
    assert line.split() == ["profile.profile", "POST", "/api/profile/"]


@pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
def test_options_returns_200_with_the_allowed_methods(url, john):
    response = john.client.options(url)
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Allow"] == "OPTIONS, POST"


class TestHost:
    def test_registration_changes_nothing_else_on_the_app(self, host):
        app = host(blueprint=Blueprint("other", __name__)).app
        attributes = [
            "config",
            "extensions",
            "error_handler_spec",
            "before_request_funcs",
            "after_request_funcs",
            "teardown_request_funcs",
            "teardown_appcontext_funcs",
            "json_provider_class",
            "url_build_error_handlers",
        ]
        before = {name: copy.copy(getattr(app, name)) for name in attributes}
        callbacks = copy.copy(vars(app.extensions["flask-jwt-extended"]))
        app.register_blueprint(ProfileBlueprint())
        assert app.test_client().post("/api/profile/").status_code == 401
        assert before == {name: getattr(app, name) for name in attributes}
        assert callbacks == vars(app.extensions["flask-jwt-extended"])

    def test_error_handlers_of_the_host_do_not_handle_errors_of_the_blueprint(self, john):
        @john.app.errorhandler(Exception)
        @john.app.errorhandler(500)
        @john.app.errorhandler(404)
        @john.app.errorhandler(405)
        def handle_error(error):
            return "mine", 418

        assert john.post("2").status_code == 404
        assert john.client.post("/api/profile/").status_code == 401
        assert john.client.get("/api/profile/").status_code == 405
        assert john.client.get("/nowhere").get_data(as_text=True) == "mine"
        with john.app.app_context():
            john.db.drop_all()
        assert john.post().json == FAILED

    def test_routes_of_the_host_keep_their_own_error_responses(self, john):
        @john.app.post("/other")
        @jwt_required()
        def other():
            return jsonify(done=True)

        assert john.client.post("/other").json == {"msg": "Missing Authorization Header"}
        bad = john.client.post("/other", headers={"Authorization": "Bearer abc"})
        assert (bad.status_code, bad.json) == (422, {"msg": "Not enough segments"})
        assert john.client.get("/other").content_type.startswith("text/html")

    @pytest.mark.parametrize("route_first", [True, False])
    def test_a_route_of_the_host_at_the_same_url_keeps_its_methods(self, route_first, host):
        unrelated = Blueprint("unrelated", __name__)
        host_app = host(blueprint=unrelated) if route_first else host()

        @host_app.app.get("/api/profile/")
        def page():
            return "a page"

        if route_first:
            host_app.app.register_blueprint(ProfileBlueprint())
        host_app.add()
        assert host_app.client.get("/api/profile/").get_data(as_text=True) == "a page"
        assert host_app.post().status_code == 200
        refused = host_app.client.put("/api/profile/")
        assert refused.json == {"detail": 'Method "PUT" not allowed.'}
        assert refused.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        allowed = host_app.client.options("/api/profile/").headers["Allow"]
        assert sorted(allowed.split(", ")) == ["GET", "HEAD", "OPTIONS", "POST"]

    def test_a_response_from_before_request_of_the_host_is_returned(self, john):
        @john.app.before_request
        def limit():
            abort(429, "slow down")

        @john.app.errorhandler(429)
        def too_many(error):
            return jsonify(host=error.description), 429

        assert john.post().json == {"host": "slow down"}

    def test_the_json_provider_of_the_host_is_used(self, john):
        import orjson

        class Orjson(JSONProvider):
            def dumps(self, obj, **kwargs):
                assert kwargs == {}
                return orjson.dumps(obj).decode()

            def loads(self, s, **kwargs):
                return orjson.loads(s)

        john.app.json = Orjson(john.app)
        assert john.post().get_data(as_text=True) == JOHN_AS_JSON.replace(": ", ":").replace(
            ", ", ","
        )


class TestGet:
    @pytest.fixture
    def readable(self, host):
        return host(PROFILE_METHODS=["GET", "POST"]).add()

    def test_get_returns_the_same_profile_as_post_with_a_strong_etag(self, readable):
        response = readable.client.get("/api/profile/", headers=readable.bearer())
        assert response.get_data(as_text=True) == JOHN_AS_JSON
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.get_etag() == (response.get_etag()[0], False)
        assert "ETag" not in readable.post().headers

    def test_a_matching_if_none_match_returns_304(self, readable):
        etag = readable.client.get("/api/profile/", headers=readable.bearer()).headers["ETag"]
        for sent, status in ((etag, 304), (f'"x", W/{etag}', 304), ("*", 304), ('"x"', 200)):
            headers = {**readable.bearer(), "If-None-Match": sent}
            response = readable.client.get("/api/profile/", headers=headers)
            assert response.status_code == status
            assert response.headers["ETag"] == etag
            assert (response.data == b"") == (status == 304)
            assert readable.post(headers={"If-None-Match": sent}).status_code == 200

    def test_head_is_enabled_with_get(self, readable):
        get = readable.client.get("/api/profile/", headers=readable.bearer())
        head = readable.client.head("/api/profile/", headers=readable.bearer())
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["ETag"] == get.headers["ETag"]
        assert head.content_length == get.content_length

    def test_an_error_is_not_stored_by_caches(self, readable):
        response = readable.client.get("/api/profile/")
        assert (response.status_code, response.headers["Cache-Control"]) == (401, "no-store")

    def test_post_can_be_disabled(self, host):
        host_app = host(PROFILE_METHODS="GET").add()
        assert host_app.client.get("/api/profile/", headers=host_app.bearer()).status_code == 200
        assert host_app.post().json == {"detail": 'Method "POST" not allowed.'}


def test_werkzeugs_server_sends_one_date(host, persistent_config):
    host_app = host(PROFILE_METHODS=["GET"], **persistent_config).add()
    with serve(host_app.app) as port, closing(HTTPConnection("127.0.0.1", port)) as connection:
        for headers in ({}, {"If-None-Match": "*"}):
            connection.request("GET", "/api/profile/", headers=host_app.bearer() | headers)
            response = connection.getresponse()
            response.read()
            assert response.status == (304 if headers else 200)
            assert len(response.headers.get_all("Date")) == 1
