from __future__ import annotations

import copy
import subprocess
import sys

import pytest
from flask import Blueprint, Flask, abort, jsonify, url_for
from flask.cli import routes_command
from flask.json.provider import JSONProvider
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields

import flask_profile
from conftest import JOHN, JOHN_AS_JSON, SECRET, user_of
from flask_profile import ProfileBlueprint, ProfileMixin, ProfileSchema
from responses import FAILED


class Name(Schema):
    username = fields.String()


def test_six_names_are_public():
    assert sorted(flask_profile.__all__) == [
        "ConfigurationError",
        "ProfileBlueprint",
        "ProfileMixin",
        "ProfileSchema",
        "openapi_spec",
        "profile_updated",
    ]


def test_importing_it_has_no_effect_and_needs_no_extra():
    code = "import sys, flask_profile; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"PIL", "obstore", "apispec"} & {*modules.stdout.split()}


def test_it_answers_with_and_without_a_slash_and_never_redirects(john):
    for url in ("/api/profile/", "/api/profile"):
        assert john.post(url=url).get_data(as_text=True) == JOHN_AS_JSON


@pytest.mark.parametrize(
    ("prefix", "url"),
    [("/me", "/me/"), ("/me/", "/me"), ("/", "/"), ("/v1/users/me", "/v1/users/me")],
)
def test_it_mounts_where_the_config_says(prefix, url, host):
    made = host(PROFILE_URL_PREFIX=prefix).add()
    assert made.post(url=url).status_code == 200
    assert made.post(url="/api/profile/").status_code == 404


def test_a_prefix_given_at_registration_wins(john):
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
def test_it_nests_in_a_blueprint_of_the_host(outer, inner, url, host):
    made = host().add()
    parent = Blueprint("parent", __name__, url_prefix=outer)
    parent.register_blueprint(ProfileBlueprint("child"), url_prefix=inner)
    if url.startswith("/api"):
        made = host(blueprint=parent).add()
    else:
        made.app.register_blueprint(parent)
    assert made.post(url=url).get_data(as_text=True) == JOHN_AS_JSON
    assert made.client.get(url).json == {"detail": 'Method "GET" not allowed.'}


def test_one_app_can_mount_two_with_different_schemas(john):
    john.app.register_blueprint(ProfileBlueprint("name", schema=Name), url_prefix="/v2/me")
    assert john.post(url="/v2/me").json == {"username": "john_doe"}
    assert john.post().get_data(as_text=True) == JOHN_AS_JSON


def test_an_argument_wins_over_the_config(host):
    made = host(PROFILE_SCHEMA=ProfileSchema, blueprint=ProfileBlueprint(schema=Name)).add()
    assert made.post().json == {"username": "john_doe"}


def test_a_model_may_be_an_argument(host):
    db = SQLAlchemy()

    class Staff(ProfileMixin, db.Model):
        pass

    blueprint = ProfileBlueprint(user_model=Staff)
    made = host(db=db, blueprint=blueprint, model=lambda _db: Staff).add()
    assert made.post().status_code == 200


def test_one_instance_can_serve_two_apps_that_do_not_see_each_other(host):
    blueprint = ProfileBlueprint()
    one = host(blueprint=blueprint).add()
    other = host(
        blueprint=blueprint,
        PROFILE_SCHEMA=Name,
        PROFILE_URL_PREFIX="/me",
        PROFILE_REALM="other",
        JWT_SECRET_KEY="another secret of more than thirty-two bytes",
    ).add(username="ann")
    assert one.post().get_data(as_text=True) == JOHN_AS_JSON
    assert other.post(url="/me").json == {"username": "ann"}
    assert one.post(url="/me").status_code == other.post().status_code == 404
    assert one.client.post("/api/profile/", headers=other.bearer()).status_code == 401
    assert 'realm="other"' in other.client.post("/me").headers["WWW-Authenticate"]


def test_one_instance_can_be_mounted_twice_in_an_app(john):
    blueprint = john.app.blueprints["profile"]
    john.app.register_blueprint(blueprint, name="again", url_prefix="/again")
    assert john.post(url="/again").get_data(as_text=True) == JOHN_AS_JSON


def test_it_may_be_registered_before_the_extensions():
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", JWT_SECRET_KEY=SECRET)
    app.register_blueprint(ProfileBlueprint())
    db = SQLAlchemy()
    user = user_of(db)
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


def test_its_url_has_a_name(john):
    with john.app.test_request_context():
        assert url_for("profile.profile") == "/api/profile/"


def test_tools_see_its_true_methods(john):
    listing = john.app.test_cli_runner().invoke(routes_command).output
    (line,) = [line for line in listing.splitlines() if "profile.profile" in line]
    assert line.split() == ["profile.profile", "POST", "/api/profile/"]


@pytest.mark.parametrize("url", ["/api/profile/", "/api/profile"])
def test_options_are_answered(url, john):
    response = john.client.options(url)
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Allow"] == "OPTIONS, POST"


class TestHostIsSacred:
    def test_nothing_of_the_app_is_changed(self, host):
        app = host(blueprint=Blueprint("other", __name__)).app
        kept = [
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
        before = {name: copy.copy(getattr(app, name)) for name in kept}
        callbacks = copy.copy(vars(app.extensions["flask-jwt-extended"]))
        app.register_blueprint(ProfileBlueprint())
        assert app.test_client().post("/api/profile/").status_code == 401
        assert before == {name: getattr(app, name) for name in kept}
        assert callbacks == vars(app.extensions["flask-jwt-extended"])

    def test_a_host_that_handles_everything_handles_none_of_ours(self, john):
        @john.app.errorhandler(Exception)
        @john.app.errorhandler(500)
        @john.app.errorhandler(404)
        @john.app.errorhandler(405)
        def everything(error):
            return "mine", 418

        assert john.post("2").status_code == 404
        assert john.client.post("/api/profile/").status_code == 401
        assert john.client.get("/api/profile/").status_code == 405
        assert john.client.get("/nowhere").get_data(as_text=True) == "mine"
        with john.app.app_context():
            john.db.drop_all()
        assert john.post().json == FAILED

    def test_its_own_routes_keep_the_hosts_answers(self, john):
        @john.app.post("/other")
        @jwt_required()
        def other():
            return jsonify(done=True)

        assert john.client.post("/other").json == {"msg": "Missing Authorization Header"}
        bad = john.client.post("/other", headers={"Authorization": "Bearer abc"})
        assert (bad.status_code, bad.json) == (422, {"msg": "Not enough segments"})
        assert john.client.get("/other").content_type.startswith("text/html")

    @pytest.mark.parametrize("first", [True, False])
    def test_a_route_of_the_host_at_the_same_url_keeps_its_methods(self, first, host):
        later = Blueprint("later", __name__)
        made = host(blueprint=later) if first else host()

        @made.app.get("/api/profile/")
        def page():
            return "a page"

        if first:
            made.app.register_blueprint(ProfileBlueprint())
        made.add()
        assert made.client.get("/api/profile/").get_data(as_text=True) == "a page"
        assert made.post().status_code == 200
        refused = made.client.put("/api/profile/")
        assert refused.json == {"detail": 'Method "PUT" not allowed.'}
        assert refused.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        allowed = made.client.options("/api/profile/").headers["Allow"]
        assert sorted(allowed.split(", ")) == ["GET", "HEAD", "OPTIONS", "POST"]

    def test_a_request_that_the_host_stops_is_answered_by_the_host(self, john):
        @john.app.before_request
        def limit():
            abort(429, "slow down")

        @john.app.errorhandler(429)
        def too_many(error):
            return jsonify(host=error.description), 429

        assert john.post().json == {"host": "slow down"}

    def test_a_json_provider_of_the_host_is_used(self, john):
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

    def test_it_answers_the_same_as_post_with_a_strong_etag(self, readable):
        response = readable.client.get("/api/profile/", headers=readable.bearer())
        assert response.get_data(as_text=True) == JOHN_AS_JSON
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.get_etag() == (response.get_etag()[0], False)
        assert "ETag" not in readable.post().headers

    def test_what_is_known_already_is_not_sent_again(self, readable):
        etag = readable.client.get("/api/profile/", headers=readable.bearer()).headers["ETag"]
        for sent, status in ((etag, 304), (f'"x", W/{etag}', 304), ("*", 304), ('"x"', 200)):
            headers = {**readable.bearer(), "If-None-Match": sent}
            response = readable.client.get("/api/profile/", headers=headers)
            assert response.status_code == status
            assert response.headers["ETag"] == etag
            assert (response.data == b"") == (status == 304)
            assert readable.post(headers={"If-None-Match": sent}).status_code == 200

    def test_head_comes_with_it(self, readable):
        get = readable.client.get("/api/profile/", headers=readable.bearer())
        head = readable.client.head("/api/profile/", headers=readable.bearer())
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["ETag"] == get.headers["ETag"]
        assert head.content_length == get.content_length

    def test_an_error_is_kept_by_no_cache(self, readable):
        response = readable.client.get("/api/profile/")
        assert (response.status_code, response.headers["Cache-Control"]) == (401, "no-store")

    def test_post_may_be_left_out(self, host):
        made = host(PROFILE_METHODS="GET").add()
        assert made.client.get("/api/profile/", headers=made.bearer()).status_code == 200
        assert made.post().json == {"detail": 'Method "POST" not allowed.'}
