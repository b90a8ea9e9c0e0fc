"""What is special about each app of this folder, as its clients see it."""

from __future__ import annotations

import pytest
from flask_jwt_extended import create_access_token
from werkzeug.test import Client

from conftest import JOHN_AS_JSON
from contract import FAILED, NOT_PROVIDED, NOT_VALID
from flask_profile import ConfigurationError, ProfileMixin, openapi_spec
from hosts.cases import PASSWORD, PASSWORD_HASH, read_bearer_headers
from hosts.clients import check_and_parse


class TestLogin:
    def test_a_session_cookie_is_not_accepted_as_a_token(self, start_host):
        host = start_host("Flask-Login")
        browser = host.browser()
        form = {"username": "john_doe", "password": PASSWORD}
        assert browser.post("/login", data=form).status_code == 204
        assert "Settings of john_doe" in browser.get("/settings").text
        assert check_and_parse(browser.post("/api/profile/")) == (401, NOT_PROVIDED)
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
            assert check_and_parse(response)

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
        assert check_and_parse(rejected) == (401, NOT_VALID)
        assert "The token has been revoked" in rejected.headers["WWW-Authenticate"]
        assert host.request(laptop).text == JOHN_AS_JSON

    def test_without_redis_no_token_is_accepted(self, start_host, caplog):
        host = start_host("a blocklist in Redis", REDIS_URL="redis://127.0.0.1:1/0")
        assert check_and_parse(host.request(host.sign_in_john())) == (500, FAILED)
        assert "redis.exceptions.ConnectionError" in caplog.text
        assert check_and_parse(host.request()) == (401, NOT_PROVIDED)


class TestKeys:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_a_token_signed_with_a_secret_is_not_valid(self, algorithm, start_host):
        host = start_host(f"{algorithm} keys")
        forger = start_host(f"{algorithm} keys", JWT_ALGORITHM="HS256")
        forged_headers = forger.sign_in_john()
        assert forger.request(forged_headers).status_code == 200
        rejected = host.request(forged_headers)
        assert check_and_parse(rejected) == (401, NOT_VALID)
        assert "The algorithm is not allowed" in rejected.headers["WWW-Authenticate"]

    def test_a_token_signed_with_another_type_of_key_is_not_valid(self, start_host):
        rsa_host, ec_host = start_host("RS256 keys"), start_host("ES256 keys")
        assert check_and_parse(rsa_host.request(ec_host.sign_in_john())) == (401, NOT_VALID)
        assert check_and_parse(ec_host.request(rsa_host.sign_in_john())) == (401, NOT_VALID)


class TestCookies:
    @pytest.mark.parametrize("csrf", [None, "", "wrong"])
    def test_a_cookie_without_its_csrf_token_is_rejected(self, csrf, start_host):
        host = start_host("cookies")
        cookie = {"Cookie": host.sign_in_john()["Cookie"]}
        rejected = host.request(cookie if csrf is None else {**cookie, "X-CSRF-TOKEN": csrf})
        assert check_and_parse(rejected) == (401, NOT_VALID)
        assert "CSRF" in rejected.headers["WWW-Authenticate"]

    def test_a_csrf_token_that_is_not_ascii_is_rejected(self, start_host):
        host = start_host("cookies")
        headers = {**host.sign_in_john(), "X-CSRF-TOKEN": "caf\xe9"}
        assert check_and_parse(host.request(headers)) == (401, NOT_VALID)

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
        assert check_and_parse(browser.post("/api/profile/", headers=csrf)) == (401, NOT_PROVIDED)

    def test_a_token_in_a_header_is_not_read(self, start_host):
        host = start_host("cookies")
        with host.app.app_context():
            headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        assert check_and_parse(host.request(headers)) == (401, NOT_PROVIDED)


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
