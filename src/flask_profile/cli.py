"""The commands of ``flask profile``: is the app right, and what would a user get."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click
import jwt
from flask import Flask, current_app, url_for
from flask.cli import AppGroup
from flask_jwt_extended import create_access_token, decode_token, get_csrf_token
from flask_jwt_extended.config import config as jwt_config
from flask_jwt_extended.default_callbacks import default_decode_key_callback
from sqlalchemy import UniqueConstraint, inspect, or_, select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.routing import BuildError, Rule

from .auth import has_user_loader
from .blueprint import Resource, mounted
from .queries import NOT_STORABLE, ProfileQuery, UserNotFoundError
from .schemas import hooks, value_of
from .settings import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_SECRET_WORDS = ("password", "hash", "token", "secret")
_MIGRATE = "flask db upgrade"
_CREATE = "with app.app_context():\n        db.create_all()"
_RANDOM = (
    "Make a secret and keep it out of the code:\n\n"
    "    python -c 'import secrets; print(secrets.token_hex(64))'"
)
_READING = ("POST", "GET", "PATCH")  # A merge patch of nothing answers the profile too.

profile = AppGroup("profile", short_help="Check and try the profile of a user.")
profile.help = (
    "Check and try the profile of a user.\n\n"
    "Each command ends with 0 if all is well, 1 if something is wrong, 2 if it is used wrongly."
)

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, on one line.")
_blueprint = click.option(
    "--blueprint", metavar="NAME", help="The blueprint to ask, where the app has several."
)
_user = click.argument("user")


def _failing(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command end with 1 and a message, where it has --json as JSON."""

    @wraps(command)
    def run(as_json: bool, **arguments: Any) -> None:
        try:
            command(as_json=as_json, **arguments)
        except (click.ClickException, ConfigurationError, SQLAlchemyError) as error:
            if isinstance(error, click.UsageError):
                raise
            message = getattr(error, "message", None) or str(getattr(error, "orig", error))
            if not as_json:
                raise click.ClickException(message) from error
            click.echo(json.dumps({"error": message}))
            raise click.exceptions.Exit(1) from error

    return run


@profile.command()
@_as_json
@_failing
def check(*, as_json: bool) -> None:
    """Tell what is wrong with the app, and how to mend it."""
    problems = [*_problems(current_app)]
    if as_json:
        click.echo(json.dumps({"problems": [asdict(problem) for problem in problems]}))
    for problem in [] if as_json else problems:
        of = f" ({problem.blueprint})" if problem.blueprint else ""
        click.secho(f"{problem.code}{of}", bold=True)
        click.echo(f"{problem.message}\n")
    if problems:
        raise click.exceptions.Exit(1)
    for rule, resource in [] if as_json else mounted(current_app):
        methods = ", ".join(resource.views[_view_of(rule)])
        click.echo(f"{rule.rule} is ready for {methods}.")


@profile.command()
@_user
@_blueprint
@_as_json
@_failing
def show(*, user: str, blueprint: str | None, as_json: bool) -> None:
    """Print the answer that USER would get, an identity, a username or an email."""
    rule, resource = _chosen(blueprint)
    request = _request(rule, resource, _access_token(resource, user))
    answer = current_app.test_client(use_cookies=False).open(**asdict(request))
    body = answer.get_data(as_text=True)
    if not as_json and answer.is_json:
        body = json.dumps(answer.json, indent=2, ensure_ascii=False)
    click.echo(body)
    if answer.status_code != 200:
        click.echo(f"This is the body of an answer {answer.status}.", err=True)
        raise click.exceptions.Exit(1)


@profile.command()
@_user
@_blueprint
@_as_json
@_failing
def token(*, user: str, blueprint: str | None, as_json: bool) -> None:
    """Print an access token of USER, and the curl command that uses it.

    USER is an identity, a username or an email.
    """
    rule, resource = _chosen(blueprint)
    made = _access_token(resource, user)
    curl = _request(rule, resource, made).curl()
    if as_json:
        click.echo(json.dumps({"access_token": made, "curl": curl}))
    else:
        click.echo(f"{made}\n\n{curl}")


@profile.command()
@_as_json
@_failing
def openapi(*, as_json: bool) -> None:
    """Print the OpenAPI document of what is mounted."""
    from .openapi import openapi_spec

    click.echo(json.dumps(openapi_spec(current_app), indent=None if as_json else 2))


@dataclass(frozen=True)
class _Problem:
    """What is wrong with an app, or with one of its profiles, and what mends it."""

    code: str
    message: str
    blueprint: str | None = None


def _problems(app: Flask) -> Iterator[_Problem]:
    for code, message in _problems_of_tokens(app):
        yield _Problem(code, message)
    if app.debug or app.testing:
        yield _Problem(
            "debug",
            "The app is in debug or testing mode, in which a failure is not answered but shown: to "
            "everybody, where the app is in production. There, set neither:\n\n"
            "    flask --no-debug profile check",
        )
    for rule, resource in mounted(app):
        if _view_of(rule) == "profile":
            for code, message in _problems_of_profile(resource):
                yield _Problem(code, message, rule.endpoint.rpartition(".")[0])


def _problems_of_tokens(app: Flask) -> Iterator[tuple[str, str]]:
    try:
        has_user_loader()
    except ConfigurationError as error:
        yield "no_jwt_manager", str(error)
        return
    if "cookies" in jwt_config.token_location and not jwt_config.cookie_csrf_protect:
        yield (
            "no_csrf",
            "Tokens are read from cookies, without protection against forged requests (CSRF): any "
            "site can change the profile of its visitors. Write:\n\n"
            '    app.config["JWT_COOKIE_CSRF_PROTECT"] = True',
        )
    manager = app.extensions["flask-jwt-extended"]
    if manager._decode_key_callback is not default_decode_key_callback:
        return  # Which key that will return, only a token tells.
    try:
        key = jwt_config.decode_key
    except RuntimeError as error:
        yield "no_secret", f"No token can be verified: {error}. {_RANDOM}"
        return
    for name in jwt_config.decode_algorithms:
        try:
            prepared = jwt.get_algorithm_by_name(name).prepare_key(key)
        except (NotImplementedError, TypeError, ValueError, jwt.PyJWTError) as error:
            yield "wrong_key", f"No {name} token can be verified with the key of this app: {error}"
            continue
        has = len(prepared) * 8 if isinstance(prepared, bytes) else prepared.key_size
        # RFC 7518 sections 3.2, 3.3 and 3.5; the other algorithms come with a size of their own.
        asked = int(name[2:]) if name[:2] == "HS" else 2048 if name[:2] in {"RS", "PS"} else 0
        if has < asked:
            yield (
                "weak_secret",
                f"The key of this app has {has} bits, {name} asks for {asked} (RFC 7518): who "
                f"guesses it can be any user. {_RANDOM if name[:2] == 'HS' else ''}",
            )


def _problems_of_profile(resource: Resource) -> Iterator[tuple[str, str]]:
    for name, field in resource.schema.dump_fields.items():
        sent = {name, field.data_key or name, field.attribute or name}
        if any(word in part.lower() for part in sent for word in _SECRET_WORDS):
            yield (
                "secret_sent",
                f"{type(resource.schema).__name__} sends {name!r}, whose name is that of a secret. "
                f"If it is one, write:\n\n    {name} = …(load_only=True)\n\n"
                "If it is none, rename it.",
            )
    try:
        query = resource.query
    except ConfigurationError as error:
        if not _loads_by_host():
            yield "configuration", str(error)
        return
    if "PATCH" in resource.views["profile"] and not hooks(resource.schema, "post_load"):
        from .editing import require_attribute

        for name, field in resource.schema.load_fields.items():
            try:
                require_attribute(query.mapper.class_, field.attribute or name, resource.schema)
            except ConfigurationError as error:
                yield "configuration", str(error)
    yield from _problems_of_tables(query, current_app.extensions["sqlalchemy"].session())
    if not _is_indexed(query.mapper.columns[query.key]):
        yield (
            "no_index",
            f"{query.mapper.class_.__name__}.{query.key} has no index, so that each request reads "
            f"all users. In the model, and in a migration:\n\n"
            f"    {query.key} = mapped_column(unique=True)",
        )


def _is_indexed(column: Any) -> bool:
    table = column.table
    groups = [table.primary_key.columns, *(index.expressions for index in table.indexes)]
    groups += [c.columns for c in table.constraints if isinstance(c, UniqueConstraint)]
    return any(next(iter(group), None) is column for group in groups)


def _problems_of_tables(query: ProfileQuery, session: Session) -> Iterator[tuple[str, str]]:
    bind = query.writing(session)["bind"]
    migrated = "migrate" in current_app.extensions
    try:
        inspector = inspect(bind)
        for table in query.mapper.tables:
            if not inspector.has_table(table.name, table.schema):
                yield (
                    "missing_table",
                    f"The database has no table {table.fullname!r}. Make it:\n\n"
                    f"    {_MIGRATE if migrated else _CREATE}",
                )
                continue
            present = {c["name"] for c in inspector.get_columns(table.name, table.schema)}
            lacking = [column.name for column in table.columns if column.name not in present]
            if lacking:
                yield (
                    "missing_column",
                    f"The table {table.fullname!r} lacks {', '.join(lacking)}. Run the migration "
                    f"that adds them, such as:\n\n    {_MIGRATE}",
                )
    except SQLAlchemyError as error:
        url = bind.engine.url.render_as_string()
        yield "database", f"The database {url} cannot be read: {getattr(error, 'orig', error)}"


def _loads_by_host() -> bool:
    try:
        return has_user_loader()
    except ConfigurationError:
        return False


def _view_of(rule: Rule) -> str:
    return str(rule.endpoint).rpartition(".")[2]


def _chosen(blueprint: str | None) -> tuple[Rule, Resource]:
    """Return the profile that is asked for, or the only one."""
    profiles = {
        rule.endpoint.rpartition(".")[0]: (rule, resource)
        for rule, resource in mounted(current_app)
        if _view_of(rule) == "profile"
    }
    if blueprint is None and len(profiles) == 1:
        return next(iter(profiles.values()))
    if blueprint not in profiles:
        names = ", ".join(profiles)
        said = "has several profiles" if blueprint is None else f"has no profile {blueprint!r}"
        raise click.UsageError(f"This app {said}. Name one of {names} with --blueprint.")
    return profiles[blueprint]


def _access_token(resource: Resource, user: str) -> str:
    """Make the access token of a user, of whichever kind the host's user_identity_loader takes."""
    identity, load = _found(resource, user)
    failure: object = "its user_identity_loader takes neither an identity nor a user."
    for subject in (lambda: identity, load):
        try:
            made: str = create_access_token(subject())
            named = decode_token(made)[current_app.config["JWT_IDENTITY_CLAIM"]]
        except Exception as error:  # The host's callbacks raise what they like.
            failure = error
            continue
        if str(named) == identity or (subject is load and isinstance(named, (int, str))):
            return made
    raise click.ClickException(f"This app makes no access token for {user!r}: {failure}")


def _found(resource: Resource, user: str) -> tuple[str, Callable[[], object]]:
    """Return the identity of a user, and what loads that user."""
    try:
        query = resource.query
    except ConfigurationError:
        if not has_user_loader():
            raise
        return user, lambda: user  # Only the host knows its users.
    session = current_app.extensions["sqlalchemy"].session
    model = query.mapper.class_
    key = getattr(model, query.key)
    names = [name for name in ("username", "email") if name in query.mapper.column_attrs]
    try:
        value = value_of(query.load(user), query.key)
    except UserNotFoundError:
        values: list[Any] = []
        if names and not NOT_STORABLE.search(user):
            named = or_(*(getattr(model, name) == user for name in names))
            values = session.scalars(select(key).where(named)).all()
        if len(values) != 1:
            owner = "Several users have" if values else "No user has"
            raise click.ClickException(
                f"{owner} {user!r} as {', '.join(['identity', *names])}."
            ) from None
        value = values[0]
    return str(value), lambda: session.scalars(select(model).where(key == value)).unique().one()


@dataclass(frozen=True)
class _Request:
    """What a client sends to read its profile."""

    method: str
    path: str
    headers: dict[str, str]
    data: str | None

    def curl(self) -> str:
        """Return the command that sends it, to be pasted into a shell."""
        command = ["curl", "-X", self.method, self.path]
        for header in self.headers.items():
            command += ["-H", ": ".join(header)]
        return shlex.join(command + (["-d", self.data] if self.data else []))


def _request(rule: Rule, resource: Resource, token: str) -> _Request:
    """Put a token where this app reads it first."""
    views = resource.views["profile"]
    method = next(method for method in _READING if method in views)
    url, headers = _url(rule), {"Content-Type": "application/json"}
    body: dict[str, str] = {}
    location = next(iter(jwt_config.token_location))
    if location == "headers":
        header = f"{jwt_config.header_type} {token}".strip()
        headers[jwt_config.header_name] = header
    elif location == "cookies":
        headers["Cookie"] = f"{jwt_config.access_cookie_name}={token}"
        if jwt_config.cookie_csrf_protect and method in jwt_config.csrf_request_methods:
            headers[jwt_config.access_csrf_header_name] = get_csrf_token(token)
    elif location == "query_string":
        prefix = jwt_config.query_string_value_prefix
        url += "?" + urlencode({jwt_config.query_string_name: f"{prefix}{token}"})
    else:
        body = {jwt_config.json_key: token}
    data = json.dumps(body) if body or method == "PATCH" else None
    return _Request(method, url, headers, data)


def _url(rule: Rule) -> str:
    app = current_app
    try:
        if app.config["SERVER_NAME"]:
            return url_for(rule.endpoint, _external=True)
        port = os.environ.get("FLASK_RUN_PORT", "5000")
        with app.test_request_context(base_url=f"http://127.0.0.1:{port}"):
            return url_for(rule.endpoint, _external=True)
    except BuildError as error:
        raise click.ClickException(f"{rule.rule} has parts that only a request knows.") from error
