"""``flask profile check`` never says "is ready" of a URL whose first request is a 500.

The hosts are generated: models with and without attributes, loaders, schemas, methods, avatars and
settings, many of which do not fit together.
"""

from __future__ import annotations

import re
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace

from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token
from flask_sqlalchemy import SQLAlchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import Schema, fields
from sqlalchemy import Boolean, DateTime, ForeignKey, Integer, String, Uuid, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import mapped_column, relationship

from conftest import JOHN, SECRET
from contract import AVATAR_URL, URL
from flask_profile import ConfigurationError, ProfileBlueprint, ProfileMixin, ProfileSchema
from images import encode

AVATAR = encode()
READY = re.compile(r"^(\S+) is ready for (.+)\.$", re.MULTILINE)
KEYS = {"integer": (Integer, 1), "text": (String(40), "1"), "uuid": (Uuid, uuid.UUID(int=1))}
# How a model without the mixin may have an attribute, and with it a value.
ATTRIBUTES = {
    "username": {"column": (lambda: mapped_column(String(40), unique=True), "john")},
    "email": {"column": (lambda: mapped_column(String(80)), "john@example.com")},
    "first_name": {"column": (lambda: mapped_column(String(40)), "John")},
    "last_name": {"property": (lambda: property(lambda _: "Doe"), None)},
    "number_phone": {"column": (lambda: mapped_column(Integer), 123)},
    "avatar": {
        "column": (lambda: mapped_column(String(500)), None),
        "short": (lambda: mapped_column(String(20)), None),
        "property": (lambda: property(lambda _: "avatars/me.webp"), None),
        "number": (lambda: mapped_column(Integer), None),
    },
    "date_joined": {
        "column": (lambda: mapped_column(DateTime(timezone=True)), JOHN["date_joined"]),
        "text": (lambda: mapped_column(String(40)), "yesterday"),
        "broken": (lambda: property(lambda _: 1 / 0), None),
    },
    "last_login": {"column": (lambda: mapped_column(DateTime), datetime(2024, 1, 1))},
    "is_active": {
        "column": (lambda: mapped_column(Boolean), True),
        "integer": (lambda: mapped_column(Integer), 1),
        "text": (lambda: mapped_column(String(9)), "yes"),
        "property": (lambda: property(lambda _: True), None),
        "hybrid": (lambda: hybrid_property(lambda self: self.id == self.id), None),
    },
    "is_staff": {"column": (lambda: mapped_column(Boolean), False)},
    "is_superuser": {"column": (lambda: mapped_column(Boolean), False)},
}


class Small(ProfileSchema):
    class Meta:
        fields = ("id", "username")


class NoMixinNames(Schema):
    id = fields.String(dump_only=True)
    name = fields.String(attribute="username")


class Active(ProfileSchema):
    class Meta:
        fields = ("id", "is_active", "avatar")


class WithNickname(ProfileSchema):
    nickname = fields.String()


class WithTeam(ProfileSchema):
    team = fields.Nested(Schema.from_dict({"name": fields.String()}))


class WithFunction(ProfileSchema):
    greeting = fields.Function(lambda user: f"Hello {user.first_name.upper()}")


class WithoutMethod(ProfileSchema):
    greeting = fields.Method("make_greeting")


class WithBrokenMethod(Small):
    broken = fields.Method("break_it")

    def break_it(self, _user):
        return {}["nothing"]

    class Meta:
        fields = ("id", "broken")


SCHEMAS = [None, ProfileSchema, Small, NoMixinNames, Active, WithNickname, WithTeam]
SCHEMAS += [WithFunction, WithoutMethod, WithBrokenMethod]


@dataclass(frozen=True)
class Plan:
    """What a generated host is made of."""

    model: str
    key: str
    attributes: dict[str, str | None]
    has_team: bool
    bind: str | None
    is_named: bool
    tables: str
    has_user: bool
    has_db: bool
    loader: str | None
    schema: type[Schema] | None
    config: dict[str, object]


def mostly(usual, *others):
    """Draw the usual value in half of the hosts or more, so that most have only a few faults."""
    return st.sampled_from([usual] * max(len(others), 12) + [*others])


def setting(name, *values):
    return mostly({}, *({name: value} for value in values))


SETTINGS = [
    st.sampled_from(
        [
            {"PROFILE_METHODS": list(methods)}
            for methods in (["POST"], ["GET", "POST"], ["GET", "PATCH"], ["POST", "DELETE"])
        ]
        + [{"PROFILE_METHODS": ["GET", "POST", "PATCH", "DELETE"]}, {"PROFILE_METHODS": ["PATCH"]}]
    ),
    st.sampled_from([{}, {"PROFILE_AVATARS": True, "PROFILE_MEDIA_STORAGE": "memory://"}]),
    setting("PROFILE_IDENTITY_FIELD", "username", "email", "nothing", "team", "last_name"),
    setting("PROFILE_REQUIRE_ACTIVE", False),
    setting("PROFILE_ON_DELETE", "deactivate"),
    setting("PROFILE_FRESH_METHODS", [], ["POST", "DELETE"]),
    setting("PROFILE_MEDIA_STORAGE", "/dev/null/media", "nowhere://here"),
    setting("JWT_TOKEN_LOCATION", ["headers", "cookies"]),
    setting("JWT_IDENTITY_CLAIM", "who"),
    setting("JWT_ALGORITHM", "HS512", "RS256"),
]


def merge(parts):
    return {name: value for part in parts for name, value in part.items()}


PLANS = st.builds(
    Plan,
    model=mostly("mixin", "plain", "plain", "two", "none"),
    key=st.sampled_from([*KEYS]),
    attributes=st.fixed_dictionaries(
        {name: mostly(next(iter(ways)), *ways, None) for name, ways in ATTRIBUTES.items()}
    ),
    has_team=st.booleans(),
    bind=mostly(None, "users", "no such bind"),
    is_named=mostly(True, False),
    tables=mostly("made", "missing", "without a column"),
    has_user=mostly(True, False),
    has_db=mostly(True, False),
    loader=mostly(None, "model", "model", "object", "little", "nobody", "broken"),
    schema=mostly(None, *SCHEMAS),
    config=st.tuples(*SETTINGS).map(merge),
)


def make_model(db, plan):
    """Return the model of a plan, and the values of a user."""
    type_, key = KEYS[plan.key]
    body = {"id": mapped_column(type_, primary_key=True)}
    values = {"id": key}
    bases = (db.Model,)
    if plan.model == "plain":
        for name, way in plan.attributes.items():
            if way is not None:
                make, value = ATTRIBUTES[name][way]
                body[name] = make()
                values |= {} if value is None else {name: value}
    else:
        bases = (ProfileMixin, db.Model)
        values |= {name: value for name, value in JOHN.items() if name != "id"}
    if plan.bind is not None:
        body["__bind_key__"] = plan.bind
    if plan.has_team and plan.bind is None:
        columns = {"id": mapped_column(Integer, primary_key=True), "name": mapped_column(String(9))}
        body["team_id"] = mapped_column(ForeignKey("team.id"))
        body["team"] = relationship(type("Team", (db.Model,), columns))
    if plan.model == "two":
        type("Admin", bases, {})
    return type("User", bases, body), values


def close_connections(app, db):
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def make_app(plan, stack):
    """Return the app of a plan, and the identity of its user; an exit stack closes its database."""
    app, db = Flask("generated"), SQLAlchemy()
    app.config.update(JWT_SECRET_KEY=SECRET * 2, SQLALCHEMY_DATABASE_URI="sqlite://")
    app.config["SQLALCHEMY_BINDS"] = {"users": "sqlite://"}
    app.config.update(plan.config)
    jwt = JWTManager(app)
    model, values = (None, {"id": 1}) if plan.model == "none" else make_model(db, plan)
    if plan.has_db:
        db.init_app(app)
        stack.callback(close_connections, app, db)
    if (
        plan.has_db
        and model is not None
        and plan.tables != "missing"
        and plan.bind != "no such bind"
    ):
        with app.app_context():
            db.create_all()
            if plan.has_user:
                db.session.add(model(**values))
                db.session.commit()
            if plan.tables == "without a column":
                column = "first_name"
                if column in model.__table__.columns:
                    with db.engines[plan.bind].begin() as connection:
                        connection.execute(text(f"ALTER TABLE user DROP COLUMN {column}"))
    loaders = {
        "model": lambda *_: db.session.get(model, values["id"]) if model and plan.has_db else None,
        "object": lambda *_: SimpleNamespace(**JOHN, is_active=True, is_staff=0, is_superuser=0),
        "little": lambda *_: {"id": 1, "is_active": True},
        "nobody": lambda *_: None,
        "broken": lambda *_: 1 / 0,
    }
    # A host with a model of its own loads users of this model.
    loader = plan.loader if model is None or plan.loader != "object" else "model"
    loader = "model" if model is not None and loader == "little" else loader
    if loader is not None:
        jwt.user_lookup_loader(loaders[loader])
    named = model if plan.is_named else None
    app.register_blueprint(ProfileBlueprint(user_model=named, schema=plan.schema))
    field = plan.config.get("PROFILE_IDENTITY_FIELD", "id")
    return app, str(values.get(field, "1"))


def first_requests(method, url):
    """Return the bodies of the requests that are tried, one after another."""
    if url == AVATAR_URL:
        return [{"data": AVATAR}] if method == "PUT" else [{}]
    if method == "PATCH":
        return [{"json": {}}, {"json": {"first_name": "Al"}}, {"json": {"name": "al"}}]
    return [{}]


def failing_requests(app, identity, ready):
    """Return the first requests, of those that are said to be ready, that fail."""
    with app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token(identity, fresh=True)}"}
    requests = [
        (method, url, body)
        for url, methods in ready
        for method in methods.split(", ")
        for body in first_requests(method, url)
    ]
    # What deletes the user comes last.
    requests.sort(key=lambda request: (request[0] == "DELETE", request[1] == URL))
    client = app.test_client(use_cookies=False)
    return [
        (method, url, body.keys())
        for method, url, body in requests
        if client.open(url, method=method, headers=headers, **body).status_code >= 500
    ]


EXAMPLES = settings().max_examples * 3


@given(plan=PLANS)
@settings(max_examples=EXAMPLES, suppress_health_check=[*HealthCheck])
def test_what_is_ready_does_not_fail(plan):
    with ExitStack() as stack:
        try:
            app, identity = make_app(plan, stack)
        except ConfigurationError:
            return
        output = app.test_cli_runner().invoke(args=["profile", "check"]).output
        ready = READY.findall(output)
        if ready:
            assert failing_requests(app, identity, ready) == [], output
