"""The commands of ``flask profile``: their options, and what they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Container, Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from ..resource import registered_endpoints
from .failures import report_failures
from .profiles import choose_profile
from .pruning import find_places, parse_age
from .trials import try_profile
from .users import find_user

if TYPE_CHECKING:
    from .checks import Problem
    from .trials import Trial

profile_commands = AppGroup(
    "profile",
    short_help="Check the app, and show profiles as clients get them.",
    help=(
        "Check the app, and show profiles as clients get them.\n\n"
        "Each command exits with status 0 for success, 1 if something is wrong, and 2 for wrong "
        "arguments."
    ),
)

_user_argument = click.argument("user")
_blueprint_option = click.option(
    "--blueprint", metavar="NAME", help="The blueprint to use, if the app has several."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, on one line.")


@profile_commands.command()
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings too.")
@_json_option
@report_failures
def check(*, strict: bool, as_json: bool) -> None:
    """Report what is wrong with the app, and how to fix it.

    It exits with status 1 if there is an error. Warnings and notes are only printed.
    """
    # It imports the modules of PATCH, which an app without PATCH should not import at its start.
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
    trial = _try_profile(user, blueprint, fresh=False)
    response = trial.response
    body = response.get_data(as_text=True)
    if not as_json and response.is_json:
        body = json.dumps(response.json, indent=2, ensure_ascii=False)
    click.echo(body)
    if not trial.succeeded:
        click.echo(f"This is the body of a {trial.describe_refusal()}", err=True)
        raise click.exceptions.Exit(1)


@profile_commands.command("token")
@_user_argument
@click.option("--fresh", is_flag=True, help="Print a fresh token, as after a sign-in.")
@_blueprint_option
@_json_option
@report_failures
def print_token(*, user: str, fresh: bool, blueprint: str | None, as_json: bool) -> None:
    """Print an access token for USER, and the curl command that sends it.

    USER is an identity, a username or an email. The command checks first that the app accepts
    the token.
    """
    trial = _try_profile(user, blueprint, fresh=fresh)
    if not trial.succeeded:
        raise click.ClickException(
            f"With an access token for {user!r}, the app returns a {trial.describe_refusal()}\n"
            + trial.response.get_data(as_text=True)
        )
    curl = trial.request.curl()
    if as_json:
        click.echo(json.dumps({"access_token": trial.token, "curl": curl}))
    else:
        click.echo(f"{trial.token}\n\n{curl}")


@profile_commands.command()
@_json_option
@report_failures
def openapi(*, as_json: bool) -> None:
    """Print the OpenAPI document of the registered endpoints."""
    from ..openapi import openapi_spec

    click.echo(json.dumps(openapi_spec(current_app), indent=None if as_json else 2))


@profile_commands.command("prune-avatars")
@click.option(
    "--older-than",
    callback=parse_age,
    default="1d",
    show_default=True,
    help="The minimum age of a file, such as 12h, because an upload may still be running.",
)
@click.option("--delete", is_flag=True, help="Remove the files instead of only listing them.")
@report_failures
def prune_avatars(*, older_than: timedelta, delete: bool) -> None:
    """List or remove stored avatars that no user has.

    It lists or removes only files that the library has stored.
    """
    places = find_places(current_app)
    if not places:
        raise click.ClickException("This app has no profile with PROFILE_AVATARS enabled.")
    foreign = [place.storage.location for place in places if delete and not place.is_in_use()]
    if foreign:
        raise click.ClickException(
            f"No row names a file in {foreign[0]!r}, so this may be the wrong database. "
            "Nothing was removed."
        )
    number = 0
    for place in places:
        with click.progressbar(
            place.find_unused(older_than), file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as batches:
            for names in batches:
                number += len(names)
                if delete:
                    place.storage.remove_all(names)
                for name in names:
                    click.echo(name)
    click.echo(f"Avatars {'removed' if delete else 'not in use'}: {number}", err=True)


def _try_profile(name: str, blueprint: str | None, *, fresh: bool) -> Trial:
    """Return the response of the app to the user whom a developer has named."""
    profile = choose_profile(current_app, blueprint)
    user = find_user(profile.endpoint.resource, name)
    return try_profile(current_app, profile, user, fresh=fresh)


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
