"""Runs the commands of ``flask profile``, as a developer does."""

from __future__ import annotations

import json

from flask_profile import (
    ProfileSchema,
)


def run_command(host, *arguments):
    """Run a command of the app and return its result."""
    result = host.app.test_cli_runner().invoke(args=["profile", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def find_problem_codes(host):
    """Return the codes of the problems that ``check`` reports."""
    result = run_command(host, "check", "--json")
    problems = json.loads(result.stdout)["problems"]
    levels = {problem["level"] for problem in problems}
    assert result.exit_code == ("error" in levels)
    assert run_command(host, "check", "--strict").exit_code == bool(levels & {"error", "warning"})
    return [problem["code"] for problem in problems]


def make_schema(**declared_fields):
    return type("Sending", (ProfileSchema,), declared_fields)
