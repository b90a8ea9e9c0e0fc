"""What the tests must know about each app of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from werkzeug.security import generate_password_hash

from conftest import JOHN_AS_JSON
from contract import JOHN_PROFILE

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
        body=json.dumps(JOHN_PROFILE, separators=(",", ":")),
    ),
    "async views": Case(
        module="async_views",
        needs="asgiref",
        own_routes={"/notices": (200, 401), "/error": (500, 500)},
    ),
}
