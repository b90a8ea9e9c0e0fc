"""The routes of the avatar, and uploads with a token in a cookie."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import pytest
from flask import Blueprint
from flask_jwt_extended import get_csrf_token

from avatars.uploads import FORM_TYPE, FRAMING, LIMIT, CountingBody, encode_padded
from contract import AVATAR_URL, INACTIVE, NOT_FOUND, NOT_PROVIDED, too_large
from flask_profile import ConfigurationError, ProfileBlueprint
from images import encode


class TestRoute:
    def test_by_default_it_does_not_exist_and_nothing_is_imported(self):
        code = f"""
import sys
from flask import Flask
from flask_jwt_extended import JWTManager
from flask_profile import ProfileBlueprint
app = Flask("host")
app.config.update(JWT_SECRET_KEY="x" * 32)
JWTManager(app)
app.register_blueprint(ProfileBlueprint())
client = app.test_client()
methods = ("PUT", "DELETE", "OPTIONS", "GET")
print(*(client.open({AVATAR_URL!r}, method=method).status_code for method in methods))
opt_in = {{f"flask_profile.{{name}}" for name in ("avatars", "images", "storage")}}
print(*sorted({{"PIL", "obstore", *opt_in}} & {{*sys.modules}}))
"""
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout == "404 404 404 404\n\n"

    @pytest.mark.parametrize("url", [AVATAR_URL, AVATAR_URL.rstrip("/")])
    def test_it_exists_with_and_without_a_trailing_slash(self, url, avatars):
        assert avatars.put(encode(), url=url).status_code == 200
        headers = avatars.host.bearer()
        assert avatars.host.client.delete(url, headers=headers).status_code == 204

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "TRACE", "BREW"])
    def test_any_other_method_is_not_allowed(self, method, avatars):
        response = avatars.host.client.open(
            AVATAR_URL, method=method, headers=avatars.host.bearer()
        )
        assert response.status_code == 405
        assert response.headers["Allow"] == "DELETE, OPTIONS, PUT"
        if method != "HEAD":
            assert response.json == {"detail": f'Method "{method}" not allowed.'}

    def test_options_returns_the_allowed_methods(self, avatars):
        response = avatars.host.client.options(AVATAR_URL)
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Allow"] == "DELETE, OPTIONS, PUT"
        assert "Accept-Patch" not in response.headers

    @pytest.mark.parametrize("in_form", [False, True])
    def test_an_unauthorized_request_is_rejected_before_its_body_is_read(self, in_form, avatars):
        avatars.host.add(id=2, username="ann", email="ann@example.com", is_active=False)
        body = CountingBody(b"", endless=True)
        for headers, status, expected in (
            ({}, 401, NOT_PROVIDED),
            (avatars.host.bearer("2"), 401, INACTIVE),
            (avatars.host.bearer("3"), 404, NOT_FOUND),
        ):
            environ = {"wsgi.input": body, "CONTENT_LENGTH": "1000"}
            environ["CONTENT_TYPE"] = FORM_TYPE if in_form else "image/png"
            client = avatars.host.client
            response = client.put(AVATAR_URL, headers=headers, environ_overrides=environ)
            assert (response.status_code, response.json) == (status, expected)
            response = avatars.host.client.delete(AVATAR_URL, headers=headers)
            assert (response.status_code, response.json) == (status, expected)
        assert body.read_bytes == 0
        assert avatars.list_files() == []

    def test_a_user_from_the_user_lookup_loader_is_updated(self, avatars):
        host = avatars.host

        @host.jwt.user_lookup_loader
        def load(_header, claims):
            return host.db.session.get(host.User, claims["sub"])

        assert avatars.upload(encode())

    def test_require_json_does_not_apply_to_it(self, make_avatars):
        avatars = make_avatars(PROFILE_REQUIRE_JSON=True)
        assert avatars.put(encode()).status_code == 200
        assert avatars.put_form(encode()).status_code == 200
        assert avatars.delete().status_code == 204
        assert avatars.host.post().status_code == 415

    def test_the_url_prefix_of_the_registration_applies(self, avatars):
        avatars.host.app.register_blueprint(ProfileBlueprint("mine"), url_prefix="/mine")
        assert avatars.put(encode(), url="/mine/avatar").status_code == 200
        assert avatars.put(encode(), url="/mine/avatar/").status_code == 200

    def test_the_configured_url_prefix_applies(self, make_avatars):
        avatars = make_avatars(PROFILE_URL_PREFIX="/me")
        assert avatars.put(encode(), url="/me/avatar/").status_code == 200
        assert avatars.put(encode()).status_code == 404

    def test_it_may_be_nested_in_a_blueprint_of_the_host(self, make_avatars):
        parent = Blueprint("parent", __name__, url_prefix="/host")
        parent.register_blueprint(ProfileBlueprint("child"))
        avatars = make_avatars(blueprint=parent)
        assert avatars.put(encode(), url=f"/host{AVATAR_URL}").status_code == 200

    @pytest.mark.parametrize("missing", ["PIL", "obstore.exceptions"])
    def test_a_missing_package_is_a_configuration_error_that_names_the_extra(
        self, missing, host, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, missing, None)
        for module in ("avatars", "images", "storage"):
            monkeypatch.delitem(sys.modules, f"flask_profile.{module}", raising=False)
        with pytest.raises(ConfigurationError, match=r"flask-profile-api\[avatars\]"):
            host(PROFILE_AVATARS=True)
        assert host().add().post().status_code == 200


class TestCookies:
    @pytest.fixture
    def avatars(self, make_avatars):
        return make_avatars(
            JWT_TOKEN_LOCATION=["cookies"],
            JWT_CSRF_CHECK_FORM=True,
            JWT_COOKIE_CSRF_PROTECT=True,
            PROFILE_AVATAR_MAX_BYTES=LIMIT,
        )

    def put(self, avatars, data, csrf=None):
        host = avatars.host
        token = host.token()
        with host.app.app_context():
            fields = {"csrf_token": csrf or get_csrf_token(token)}
        fields["avatar"] = (BytesIO(data), "me.png")
        headers = {"Cookie": f"access_token_cookie={token}"}
        return host.client.put(AVATAR_URL, data=fields, headers=headers)

    def test_a_form_may_have_both_the_image_and_the_csrf_token(self, avatars):
        assert self.put(avatars, encode()).status_code == 200
        assert avatars.list_files() == [avatars.read_column()]

    def test_a_wrong_csrf_token_is_rejected(self, avatars):
        response = self.put(avatars, encode(), csrf="wrong")
        assert response.status_code == 401
        assert avatars.list_files() == []

    def test_an_image_that_is_too_large_is_a_413(self, avatars):
        response = self.put(avatars, encode_padded(LIMIT + 1))
        assert (response.status_code, response.json) == (413, too_large(LIMIT))

    def test_the_token_of_a_form_that_is_far_too_long_is_not_read(self, avatars):
        response = self.put(avatars, encode_padded(LIMIT + FRAMING))
        assert (response.status_code, avatars.list_files()) == (413, [])
