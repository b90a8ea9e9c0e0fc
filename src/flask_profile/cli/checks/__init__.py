"""The problems that ``flask profile check`` finds in an app and in each of its profiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from ...auth import has_user_loader
from ...discovery import find_user_model
from ...errors import ConfigurationError
from ..failures import describe_failure
from ..profiles import registered_profiles
from .deletion import check_deletion
from .mode import check_mode
from .problem import Problem
from .responses import check_response
from .schema import check_loaded_attributes, check_privileges, check_sent_names
from .settings import check_other_keys, check_settings, check_storage
from .tables import check_index, check_tables
from .tokens import check_tokens

if TYPE_CHECKING:
    from flask import Flask

    from ...resource import Endpoint

__all__ = ["Problem", "find_problems"]

_NOT_CHECKED = (
    "The users come from the user_lookup_loader of this app. It was not checked whether they have "
    "all fields that the schema sends. To check that, name their model:\n\n"
    '    app.config["PROFILE_USER_MODEL"] = "package.module:User"'
)


def find_problems(app: Flask) -> Iterator[Problem]:
    """Yield the problems of an app, in its context.

    Args:
        app: The app.
    """
    yield from check_tokens(app)
    yield from check_mode(app)
    yield from check_other_keys(app)
    for blueprint, profile in registered_profiles(app).items():
        problems = [*_check_profile(app, profile.endpoint)]
        if not any(each.level == "error" or each.code == "not_checked" for each in problems):
            problems += check_response(app, profile)
        for problem in problems:
            yield replace(problem, blueprint=blueprint)


def _check_profile(app: Flask, endpoint: Endpoint) -> Iterator[Problem]:
    yield from check_settings(endpoint.resource)
    try:
        schema = endpoint.resource.schema
    except ConfigurationError as error:
        yield Problem("configuration", str(error))
        return
    yield from check_sent_names(schema)
    try:
        query = endpoint.resource.query
    except ConfigurationError as error:
        only_reads = not endpoint.resource.settings.changes_users
        if only_reads and _loads_users_itself(app) and not _knows_model(app, endpoint):
            yield Problem("not_checked", _NOT_CHECKED, level="note")
        else:
            yield Problem("configuration", str(error))
        return
    except SQLAlchemyError as error:  # Mappers that do not fit together, or a bind without a URL.
        yield Problem("database", f"The users cannot be read: {describe_failure(error)}")
        return
    if endpoint.resource.settings.changes_users:
        try:
            endpoint.resource.changes.require_possible()
        except ConfigurationError as error:
            yield Problem("configuration", str(error))
    if "PATCH" in endpoint.methods:
        yield from check_privileges(schema)
        yield from check_loaded_attributes(schema, query.mapper.class_)
    yield from check_tables(app, query)
    yield from check_index(query)
    yield from check_deletion(endpoint.resource.settings, query)
    yield from check_storage(endpoint.resource)


def _knows_model(app: Flask, endpoint: Endpoint) -> bool:
    """Tell whether the model of the users is named, or the only one with the mixin."""
    if endpoint.resource.settings.user_model or "sqlalchemy" not in app.extensions:
        return endpoint.resource.settings.user_model is not None
    try:
        return bool(find_user_model(app.extensions["sqlalchemy"]))
    except ConfigurationError:
        return False


def _loads_users_itself(app: Flask) -> bool:
    """Tell whether an app has a ``user_lookup_loader``; one without a JWTManager has none."""
    return "flask-jwt-extended" in app.extensions and has_user_loader()
