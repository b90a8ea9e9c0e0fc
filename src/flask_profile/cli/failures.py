"""Print a message for an expected error of a command, and exit with status 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ConfigurationError


def report_failures(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command print a message for an error and exit with status 1.

    With ``--json``, the message is JSON on standard output.

    Args:
        command: The function of a command.
    """

    @wraps(command)
    def run(**arguments: Any) -> None:
        as_json = arguments.get("as_json", False)
        try:
            command(**arguments)
        except click.UsageError:
            raise  # Click prints it with the usage, and exits with status 2.
        except (click.ClickException, ConfigurationError, SQLAlchemyError) as error:
            message = describe_failure(error)
            if not as_json:
                raise click.ClickException(message) from error
            click.echo(json.dumps({"error": message}))
            raise click.exceptions.Exit(1) from error

    return run


def describe_failure(error: Exception) -> str:
    """Return the message of an error. For an error of the database, it is that of the driver."""
    if isinstance(error, click.ClickException):
        return error.message
    return str(getattr(error, "orig", error))
