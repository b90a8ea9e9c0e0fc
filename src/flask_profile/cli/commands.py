"""The four commands of ``flask profile``: their options, and what they print."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from ..resource import registered_endpoints
from .access_tokens import create_token
from .failures import report_failures
from .profiles import choose_profile
from .requests import build_request, reading_method
from .users import find_user

if TYPE_CHECKING:
    from .checks import Problem
    from .requests import ClientRequest

profile_commands = AppGroup(
    "profile",
    short_help="Check the app, and try the profile of a user.",
    help=(
        "Check the app, and try the profile of a user.\n\n"
        "Each command exits with status 0 if all is well, 1 if something is wrong, and 2 if it is "
        "used wrongly."
    ),
)

_user_argument = click.argument("user")
_blueprint_option = click.option(
    "--blueprint", metavar="NAME", help="The blueprint to use, where the app has several."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, on one line.")


@profile_commands.command()
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings, too.")
@_json_option
@report_failures
def check(*, strict: bool, as_json: bool) -> None:
    """Report what is wrong with the app, and how to fix it.

    It exits with status 1 if there is an error; warnings and notes are only printed.
    """
    # It imports what PATCH needs, which an app without PATCH should not import to start.
    from .checks import find_problems

    problems = [*find_problems(current_app)]
    levels = {problem.level for problem in problems}
    if as_json:
        click.echo(json.dumps({"problems": [asdict(problem) for problem in problems]}))
    else:
        _print_problems(problems)
        if "error" not in levels:
            _print_endpoints({each.blueprint for each in problems if each.code == "not_checked"})
    if "error" in levels or (strict and "warning" in levels):
        raise click.exceptions.Exit(1)


@profile_commands.command()
@_user_argument
@_blueprint_option
@_json_option
@report_failures
def show(*, user: str, blueprint: str | None, as_json: bool) -> None:
    """Print the response that USER would get.

    USER is an identity, a username or an email.
    """
    _, request = _prepare_request(user, blueprint)
    response = current_app.test_client(use_cookies=False).open(**asdict(request))
    body = response.get_data(as_text=True)
    if not as_json and response.is_json:
        body = json.dumps(response.json, indent=2, ensure_ascii=False)
    click.echo(body)
    if response.status_code != 200:
        click.echo(f"This is the body of a {response.status} response.", err=True)
        raise click.exceptions.Exit(1)


@profile_commands.command("token")
@_user_argument
@_blueprint_option
@_json_option
@report_failures
def print_token(*, user: str, blueprint: str | None, as_json: bool) -> None:
    """Print an access token for USER, and the curl command that sends it.

    USER is an identity, a username or an email.
    """
    token, request = _prepare_request(user, blueprint)
    if as_json:
        click.echo(json.dumps({"access_token": token, "curl": request.curl()}))
    else:
        click.echo(f"{token}\n\n{request.curl()}")


@profile_commands.command()
@_json_option
@report_failures
def openapi(*, as_json: bool) -> None:
    """Print the OpenAPI document of the registered endpoints."""
    from ..openapi import openapi_spec

    click.echo(json.dumps(openapi_spec(current_app), indent=None if as_json else 2))


def _prepare_request(user: str, blueprint: str | None) -> tuple[str, ClientRequest]:
    """Return an access token for a user, and the request that reads the profile with it."""
    profile = choose_profile(current_app, blueprint)
    resource = profile.endpoint.resource
    fresh = reading_method(profile) in resource.settings.methods_with_fresh_token
    token = create_token(find_user(resource, user), fresh=fresh)
    return token, build_request(profile, token)


def _print_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        suffix = f" ({problem.blueprint})" if problem.blueprint else ""
        click.secho(f"{problem.level}: {problem.code}{suffix}", bold=True)
        click.echo(f"{problem.message}\n")


def _print_endpoints(not_checked: Container[str | None]) -> None:
    for rule, endpoint in registered_endpoints(current_app):
        is_unknown = rule.endpoint.rpartition(".")[0] in not_checked
        state = "was not checked" if is_unknown else "is ready"
        click.echo(f"{rule.rule} {state} for {', '.join(endpoint.methods)}.")
