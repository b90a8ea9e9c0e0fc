"""The OpenAPI document describes the responses of an app, and can be added to a host's own."""

from __future__ import annotations

import json
import sys

import pytest
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint
from jsonschema import Draft202012Validator
from marshmallow import Schema, fields, post_dump, validate
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

import flask_profile
from conftest import model_with_id
from contract import JOHN_PROFILE
from documents import render_errors
from flask_profile import (
    ConfigurationError,
    ProfileBlueprint,
    ProfileMixin,
    ProfileSchema,
    openapi_spec,
)

ALL_FEATURES = {
    "PROFILE_METHODS": ["DELETE", "GET", "PATCH", "POST"],
    "PROFILE_AVATARS": True,
    "PROFILE_MEDIA_STORAGE": "memory://",
}


def resolve(document, part):
    """Return a part of a document, after following its references."""
    while "$ref" in part:
        target = document
        for key in part["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        part = target
    return part


def list_responses(document):
    """Yield the status and the JSON media type object of each response of each operation."""
    for path in document["paths"].values():
        for method in path.keys() - {"parameters"}:
            for status, response in path[method]["responses"].items():
                response = resolve(document, response)
                yield int(status), response.get("content", {}).get("application/json")


def list_examples(media):
    return (
        [media["example"]]
        if "example" in media
        else [e["value"] for e in media["examples"].values()]
    )


@pytest.mark.parametrize(
    "config", [{}, ALL_FEATURES, ALL_FEATURES | {"PROFILE_REQUIRE_JSON": True}]
)
def test_the_document_and_its_examples_are_valid(config, host):
    document = openapi_spec(host(**config).app)
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    for _, media in list_responses(document):
        for example in list_examples(media) if media else []:
            schema = {**media["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(example)


def test_it_has_every_response_of_the_registered_endpoints_and_no_other(host):
    document = openapi_spec(host(**ALL_FEATURES).app)
    expected = render_errors("PUT", "PATCH")
    documented = {
        (status, json.dumps(example))
        for status, media in list_responses(document)
        for example in (list_examples(media) if media and status >= 400 else [])
    }
    assert expected <= documented
    assert {status for status, _ in list_responses(document)} == {
        200, 204, 304, 400, 401, 404, 405, 409, 412, 413, 415, 500, 503,
    }  # fmt: skip
    default_document = openapi_spec(host().app)
    assert {status for status, _ in list_responses(default_document)} == {
        200, 401, 404, 405, 500, 503,
    }  # fmt: skip


def list_headers(document):
    """Yield each header and parameter of the document with its name."""
    for path in document["paths"].values():
        for method in path.keys() - {"parameters"}:
            for parameter in path[method]["parameters"]:
                yield parameter["name"], parameter
            for response in path[method]["responses"].values():
                yield from resolve(document, response).get("headers", {}).items()


def test_each_header_has_a_description_and_those_of_responses_an_example(host):
    headers = [*list_headers(openapi_spec(host(**ALL_FEATURES).app))]
    assert {name for name, _ in headers} == {
        "Allow", "Cache-Control", "ETag", "If-Match", "If-None-Match", "Retry-After",
        "WWW-Authenticate",
    }  # fmt: skip
    for name, header in headers:
        assert header["description"].endswith("."), name
        assert ("example" in header) != name.startswith("If-"), name


@pytest.mark.parametrize(
    ("methods", "url", "method"),
    [
        (["POST"], "/api/profile/", "GET"),
        (["DELETE", "GET", "PATCH", "POST"], "/api/profile/", "PUT"),
        (["POST"], "/api/profile/avatar/", "GET"),
    ],
)
def test_the_example_of_a_405_is_the_response_to_a_method_that_is_not_allowed(
    methods, url, method, host
):
    host_app = host(**ALL_FEATURES | {"PROFILE_METHODS": methods})
    document = openapi_spec(host_app.app)
    for name, operation in document["paths"][url].items():
        if name == "parameters":
            continue
        documented = resolve(document, operation["responses"]["405"])
        response = host_app.client.open(url, method=method)
        assert response.status_code == 405
        assert list_examples(documented["content"]["application/json"]) == [response.json]
        assert documented["headers"]["Allow"]["example"] == response.headers["Allow"]


def test_responses_have_their_documented_headers(host):
    host_app = host(**ALL_FEATURES, PROFILE_REALM="shop").add()
    document = openapi_spec(host_app.app)
    path = document["paths"]["/api/profile/"]
    requests = [
        ("GET", host_app.bearer(), {}, 200),
        ("GET", host_app.bearer(), {"If-None-Match": "*"}, 304),
        ("POST", host_app.bearer(), {}, 200),
    ]
    for method, token, headers, status in requests:
        response = host_app.client.open("/api/profile/", method=method, headers=token | headers)
        assert response.status_code == status
        documented = resolve(document, path[method.lower()]["responses"][str(status)])["headers"]
        assert documented.keys() <= {*response.headers.keys()}, (method, status)
        cache_control = documented["Cache-Control"]["example"]
        assert cache_control == response.headers["Cache-Control"], (method, status)
    documented = resolve(document, path["get"]["responses"]["401"])["headers"]
    assert documented["WWW-Authenticate"]["example"] == (
        'Bearer realm="shop", error="invalid_token", error_description="The token has expired"'
    )


def test_the_examples_have_the_prefix_of_media_and_the_limits_of_the_app(host):
    config = {"PROFILE_MEDIA_URL": "https://cdn.example.com/", "PROFILE_MAX_CONTENT_LENGTH": 7}
    document = openapi_spec(host(**ALL_FEATURES, **config, PROFILE_AVATAR_MAX_BYTES=8).app)
    examples = {
        (status, json.dumps(example))
        for status, media in list_responses(document)
        for example in (list_examples(media) if media else [])
    }
    for _, profile in [found for found in examples if found[0] == 200]:
        assert json.loads(profile)["avatar"] == "https://cdn.example.com/avatars/alice.png"
    assert [text for status, text in sorted(examples) if status == 413] == [
        f'{{"detail": "The body of the request is larger than {limit} bytes."}}' for limit in (7, 8)
    ]


def test_by_default_it_has_one_operation_with_twelve_fields(john):
    document = openapi_spec(john.app)
    assert {p: [*operations] for p, operations in document["paths"].items()} == {
        "/api/profile/": ["post"]
    }
    profile = document["components"]["schemas"]["Profile"]
    assert profile["required"] == [*profile["properties"]] == [*JOHN_PROFILE]
    Draft202012Validator(profile).validate(john.post().json)
    types = {name: field["type"] for name, field in profile["properties"].items()}
    assert types["id"] == "integer"
    assert types["username"] == "string"
    assert types["last_login"] == ["string", "null"]
    assert profile["properties"]["date_joined"]["format"] == "date-time"
    assert "ProfilePatch" not in document["components"]["schemas"]


def test_it_has_the_prefix_and_the_methods_of_the_app(host):
    host_app = host(**ALL_FEATURES, PROFILE_URL_PREFIX="/v2/me")
    paths = openapi_spec(host_app.app)["paths"]
    assert {p: {*operations} for p, operations in paths.items()} == {
        "/v2/me/": {"delete", "get", "head", "patch", "post"},
        "/v2/me/avatar/": {"put", "delete"},
    }
    assert len({o["operationId"] for path in paths.values() for o in path.values()}) == 7


def test_it_has_the_parameters_of_the_url_prefix(host):
    parent = Blueprint("site", __name__, url_prefix="/<lang>/<int:site>")
    parent.register_blueprint(ProfileBlueprint("me"))
    host_app = host()
    host_app.app.register_blueprint(parent)
    item = openapi_spec(host_app.app)["paths"]["/{lang}/{site}/api/profile/"]
    assert [p["name"] for p in item["parameters"]] == ["lang", "site"]
    assert all(parameter["required"] for parameter in item["parameters"])
    assert item["post"]["tags"] == ["site.me"]


def test_a_primary_key_that_is_not_an_integer_is_a_string(host):
    document = openapi_spec(host(model=model_with_id(Uuid)).app)
    profile = document["components"]["schemas"]["Profile"]
    expected = {"type": "string", "format": "uuid", "readOnly": True}
    assert profile["properties"]["id"] == expected


class Team(Schema):
    name = fields.String()
    motto = fields.String()


class RichSchema(ProfileSchema):
    username = fields.String()
    nickname = fields.String(allow_none=True, validate=validate.Length(min=2))
    level = fields.Integer()
    points = fields.Integer()
    kind = fields.String(validate=validate.OneOf(["a", "b"]))
    team = fields.Nested(Team, dump_only=True)
    teams = fields.List(fields.Nested(Team), dump_only=True, attribute="team_list")
    shout = fields.Function(lambda user: user.username.upper())
    born = fields.Date(data_key="birthDay")
    bio = fields.String()


def make_rich_model(db):
    class Group(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50))
        motto: Mapped[str | None] = mapped_column(String(50))

    class User(ProfileMixin, db.Model):
        nickname: Mapped[str | None] = mapped_column(String(30))
        level: Mapped[int] = mapped_column(Integer, default=1)
        points: Mapped[int] = mapped_column(BigInteger, default=1)
        kind: Mapped[str] = mapped_column(String(1), default="a")
        born: Mapped[str | None] = mapped_column(String(10))
        bio: Mapped[str] = mapped_column(Text, default="")
        group_id: Mapped[int | None] = mapped_column(ForeignKey(Group.id))
        team: Mapped[Group | None] = relationship()

        @property
        def team_list(self):
            return [self.team]

    User.Group = Group
    return User


def test_a_schema_of_the_host_is_described_with_the_limits_of_its_columns(host):
    host_app = host(model=make_rich_model, PROFILE_SCHEMA=RichSchema, **ALL_FEATURES)
    document = openapi_spec(host_app.app)
    OpenAPIV31SpecValidator(document).validate()
    properties = document["components"]["schemas"]["Profile"]["properties"]
    assert properties["nickname"]["type"] == ["string", "null"]
    assert properties["team"]["anyOf"][-1] == {"type": "null"}
    assert properties["shout"] == {"readOnly": True}
    assert "birthDay" in properties
    nested = document["components"]["schemas"]["ProfileTeam"]["properties"]
    assert (nested["name"]["type"], nested["motto"]["type"]) == ("string", ["string", "null"])
    patch = document["components"]["schemas"]["ProfilePatch"]
    assert patch["additionalProperties"] is False
    writable = patch["properties"]
    assert {*writable} == {
        "username", "first_name", "last_name", "number_phone",
        "nickname", "level", "points", "kind", "birthDay", "bio",
    }  # fmt: skip
    assert (writable["nickname"]["minLength"], writable["nickname"]["maxLength"]) == (2, 30)
    assert writable["points"]["maximum"] == 2**63 - 1
    assert writable["kind"]["enum"] == ["a", "b"]
    assert writable["first_name"]["pattern"]


def test_a_response_matches_its_documented_schema(host):
    host_app = host(model=make_rich_model, PROFILE_SCHEMA=RichSchema, **ALL_FEATURES).add()
    document = openapi_spec(host_app.app)
    schema = {"$ref": "#/components/schemas/Profile", "components": document["components"]}
    Draft202012Validator(schema).validate(host_app.post().json)


def test_a_schema_with_a_post_dump_hook_has_no_required_fields(host):
    class Wrapped(ProfileSchema):
        @post_dump
        def wrap(self, data, **_):
            return {"data": data}

    document = openapi_spec(host(PROFILE_SCHEMA=Wrapped).app)
    assert "required" not in document["components"]["schemas"]["Profile"]


def test_a_schema_may_be_recursive(host):
    class Tree(Schema):
        name = fields.String()
        parent = fields.Nested(lambda: Tree())

    class Nesting(ProfileSchema):
        tree = fields.Nested(Tree, dump_default=None, dump_only=True)

    document = openapi_spec(host(PROFILE_SCHEMA=Nesting).app)
    OpenAPIV31SpecValidator(document).validate()


LOCATIONS = [
    ({}, {"bearer": "Authorization"}, [{"bearer": []}]),
    ({"JWT_HEADER_TYPE": ""}, {"access_token_header": "Authorization"}, None),
    ({"JWT_HEADER_NAME": "X-Token"}, {"access_token_header": "X-Token"}, None),
    (
        {"JWT_TOKEN_LOCATION": ["cookies"]},
        {"access_token_cookie": "access_token_cookie", "csrf_token": "X-CSRF-TOKEN"},
        [{"access_token_cookie": [], "csrf_token": []}],
    ),
    (
        {"JWT_TOKEN_LOCATION": "cookies", "JWT_COOKIE_CSRF_PROTECT": False},
        {"access_token_cookie": "access_token_cookie"},
        None,
    ),
    ({"JWT_TOKEN_LOCATION": ["query_string"]}, {"access_token_query": "jwt"}, None),
    (
        {"JWT_TOKEN_LOCATION": ["headers", "query_string"]},
        {"bearer": "Authorization", "access_token_query": "jwt"},
        [{"bearer": []}, {"access_token_query": []}],
    ),
]


@pytest.mark.parametrize(
    ("config", "methods"),
    [
        ({}, {"patch"}),
        ({"JWT_TOKEN_LOCATION": ["json"]}, {"get", "post", "patch", "head"}),
        ({"JWT_TOKEN_LOCATION": ["cookies"]}, {"patch"}),
        (
            {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_CSRF_CHECK_FORM": True},
            {"post", "patch"},
        ),
        ({"JWT_CSRF_CHECK_FORM": True}, {"patch"}),
    ],
)
def test_a_body_that_may_have_a_token_may_be_too_large(config, methods, host):
    app = host(PROFILE_METHODS=["GET", "POST", "PATCH"], **config).app
    path = openapi_spec(app)["paths"]["/api/profile/"]
    assert {name for name in path if "413" in path[name]["responses"]} == methods


@pytest.mark.parametrize(("config", "schemes", "security"), LOCATIONS)
def test_the_token_locations_are_security_schemes(config, schemes, security, host):
    document = openapi_spec(host(**config).app)
    OpenAPIV31SpecValidator(document).validate()
    documented = document["components"]["securitySchemes"]
    assert {name: s.get("name", "Authorization") for name, s in documented.items()} == schemes
    operation = document["paths"]["/api/profile/"]["post"]
    assert operation["security"] == (security or [{name: []} for name in schemes])


def test_get_requires_no_csrf_token(host):
    host_app = host(**ALL_FEATURES, JWT_TOKEN_LOCATION=["cookies"])
    path = openapi_spec(host_app.app)["paths"]["/api/profile/"]
    assert path["get"]["security"] == [{"access_token_cookie": []}]
    assert "csrf_token" in path["patch"]["security"][0]


def test_a_token_in_the_body_is_part_of_the_body_schema(host):
    host_app = host(JWT_TOKEN_LOCATION=["json", "headers"], JWT_JSON_KEY="t", **ALL_FEATURES)
    document = openapi_spec(host_app.app)
    path = document["paths"]["/api/profile/"]
    body = path["post"]["requestBody"]
    assert "t" in body["content"]["application/json"]["schema"]["properties"]
    assert not body["required"]
    assert path["post"]["security"] == [{}, {"bearer": []}]
    assert path["get"]["security"] == [{"bearer": []}]
    assert "t" in document["components"]["schemas"]["ProfilePatch"]["properties"]
    path = openapi_spec(host(JWT_TOKEN_LOCATION=["json"]).app)["paths"]["/api/profile/"]
    assert path["post"]["requestBody"]["required"]
    get_host = host(JWT_TOKEN_LOCATION=["json"], PROFILE_METHODS=["GET"])
    assert "security" not in openapi_spec(get_host.app)["paths"]["/api/profile/"]["get"]


def test_inactive_users_are_mentioned_only_if_they_are_rejected(host):
    texts = [json.dumps(openapi_spec(host(PROFILE_REQUIRE_ACTIVE=v).app)) for v in (True, False)]
    assert ["user_inactive" in text for text in texts] == [True, False]


def test_each_profile_of_an_app_has_its_own_schemas(host):
    class Card(ProfileSchema):
        class Meta:
            fields = ("id", "avatar")

    host_app = host()
    host_app.app.register_blueprint(ProfileBlueprint("card", schema=Card), url_prefix="/card")
    document = openapi_spec(host_app.app)
    OpenAPIV31SpecValidator(document).validate()
    assert {*document["paths"]} == {"/api/profile/", "/card/"}
    card = document["components"]["schemas"]["CardProfile"]
    assert [*card["properties"]] == ["id", "avatar"]


@pytest.mark.parametrize(
    ("version", "validator"),
    [("3.0.3", OpenAPIV30SpecValidator), ("3.1.0", OpenAPIV31SpecValidator)],
)
def test_a_host_can_add_it_to_its_own_document(version, validator, host):
    host_app = host(**ALL_FEATURES)
    spec = APISpec("Shop", "7", version, [MarshmallowPlugin()])
    spec.components.schema("Profile", {"type": "object", "title": "The host's own"})
    spec.path("/pets/", operations={"get": {"responses": {"200": {"description": "Pets"}}}})
    assert openapi_spec(host_app.app, spec) == spec.to_dict()
    document = spec.to_dict()
    validator(document).validate()
    assert document["info"] == {"title": "Shop", "version": "7"}
    assert {"/pets/", "/api/profile/", "/api/profile/avatar/"} == {*document["paths"]}
    assert document["components"]["schemas"]["Profile"]["title"] == "The host's own"
    assert "id" in document["components"]["schemas"]["Profile_"]["properties"]
    assert openapi_spec(host_app.app, spec) == document


def test_a_host_with_a_user_lookup_loader_needs_no_database(host):
    host_app = host(model=None, with_db=False)
    host_app.jwt.user_lookup_loader(lambda _header, _claims: None)
    profile = openapi_spec(host_app.app)["components"]["schemas"]["Profile"]
    assert profile["properties"]["username"]["type"] == ["string", "null"]


def test_a_misconfigured_app_has_no_document(host):
    with pytest.raises(ConfigurationError, match=r"JWTManager\(app\)"):
        openapi_spec(host(with_jwt=False).app)
    with pytest.raises(ConfigurationError, match=r"db\.init_app\(app\)"):
        openapi_spec(host(model=None, with_db=False).app)


def test_an_app_without_a_profile_has_an_empty_document(host):
    from flask import Flask
    from flask_jwt_extended import JWTManager

    app = Flask("none")
    JWTManager(app)
    assert openapi_spec(app)["paths"] == {}


def test_it_does_not_change_what_is_served(host):
    host_app = host(**ALL_FEATURES).add()
    before = host_app.post().data
    openapi_spec(host_app.app)
    openapi_spec(host_app.app)
    assert host_app.post().data == before
    assert host_app.client.patch(
        "/api/profile/", json={"number_phone": "1" * 11}, headers=host_app.bearer()
    ).json == {"number_phone": ["Longer than maximum length 10."]}


def test_without_apispec_the_call_fails_and_names_the_extra(john, monkeypatch):
    monkeypatch.setitem(sys.modules, "apispec", None)
    for name in [name for name in sys.modules if name.startswith("flask_profile.openapi")]:
        monkeypatch.delitem(sys.modules, name)
    names = {}
    exec("from flask_profile import *", names)
    assert hasattr(flask_profile, "openapi_spec")
    with pytest.raises(ConfigurationError, match=r'pip install "flask-profile-api\[openapi\]"'):
        names["openapi_spec"](john.app)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = flask_profile.nothing
