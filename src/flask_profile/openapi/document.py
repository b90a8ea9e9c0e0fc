"""Describe the registered profiles of an app as paths and components of OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any

from apispec import APISpec
from apispec.core import Components
from apispec.ext.marshmallow import MarshmallowPlugin, resolver

from ..resource import Endpoint, Resource, registered_endpoints
from .objects import JsonObject, refer_to
from .operations import describe_operation
from .responses import Target
from .schemas import ProfileSchemas, describe_patch, describe_shown
from .security import security_schemes

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.routing import Rule

    Route = tuple[Rule, Endpoint]


def describe_profiles(
    app: Flask, openapi_version: str, *, taken_names: Container[str]
) -> Iterator[JsonObject]:
    """Yield the paths and components of each registered profile.

    Args:
        app: The app, in whose context this runs.
        openapi_version: The version of OpenAPI 3 that the descriptions follow.
        taken_names: The names of schemas that other parts of the document use.

    Raises:
        ConfigurationError: If the app cannot serve a profile.
    """
    routes_by_profile: dict[Resource, list[Route]] = {}
    for rule, endpoint in registered_endpoints(app):
        routes_by_profile.setdefault(endpoint.resource, []).append((rule, endpoint))
    for resource, routes in routes_by_profile.items():
        blueprint = routes[0][0].endpoint.rpartition(".")[0]
        name = _choose_name(blueprint, taken_names)
        # Not the host's APISpec: its plugins may need more information about a path.
        plugin = MarshmallowPlugin(_prefixed_resolver(name))
        spec = APISpec("", "", openapi_version, [plugin])
        # Undocumented: the documented way puts the fields that are sent and the fields that are
        # accepted into one JSON Schema.
        converter: Any = plugin.converter
        schemas = _add_schemas(spec.components, name, resource, converter.fields2jsonschema)
        for route in routes:
            _add_path(spec, route, blueprint=blueprint, schemas=schemas)
        described = spec.to_dict()
        yield {part: described[part] for part in ("paths", "components")}


def _choose_name(blueprint: str, taken_names: Container[str]) -> str:
    """Return the name of a profile's schema, such as ``Profile`` or ``CardProfile``."""
    words = re.sub(r"[\W_]+", " ", blueprint).title().replace(" ", "")
    name = words if words.endswith("Profile") else f"{words}Profile"
    while name in taken_names:
        name += "_"
    return name


def _prefixed_resolver(name: str) -> Callable[[Any], str]:
    """Return the function that names the nested schemas of a profile."""
    return lambda schema: f"{name}{resolver(schema)}"


def _add_schemas(
    components: Components, name: str, resource: Resource, convert: Callable[..., JsonObject]
) -> ProfileSchemas:
    """Describe the schemas of a profile, and add them to the components."""
    shown = describe_shown(resource, convert)
    components.schema(name, shown)
    has_patch = "PATCH" in resource.settings.enabled_methods
    patch = describe_patch(resource, convert) if has_patch else {}
    schemas = ProfileSchemas(name, shown, patch, resource.settings.media_url)
    if has_patch:
        components.schema(schemas.patch_name, patch)
    return schemas


def _add_path(spec: APISpec, route: Route, *, blueprint: str, schemas: ProfileSchemas) -> None:
    rule, endpoint = route
    operations: JsonObject = {}
    for method in endpoint.methods:
        target = Target(rule, endpoint, method)
        operation = describe_operation(target, tag=blueprint, schemas=schemas)
        _share_errors(operation["responses"], spec.components, schemas.name)
        spec.components.security_schemes.update(security_schemes(method))
        operations[method.lower()] = operation
    path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
    parameters = [
        {"name": argument, "in": "path", "schema": {"type": "string"}}
        for argument in sorted(rule.arguments)
    ]
    spec.path(path, operations=operations, parameters=parameters)


def _share_errors(responses: JsonObject, components: Components, name: str) -> None:
    """Replace an error response that several methods have by a reference to one component."""
    for status, response in responses.items():
        component = f"{name}{status}"
        is_error = int(status) >= 400
        if is_error and components.responses.setdefault(component, response) == response:
            responses[status] = refer_to("response", component)
