"""The JSON Schemas of a profile: of its responses, and of its merge patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields
from sqlalchemy import Column, Integer, Uuid

from ..auth import has_user_loader
from ..columns import IntegerRange, TextLength, find_column
from ..errors import ConfigurationError
from ..fields import Identifier, MediaUrl, UtcDateTime
from ..inspection import sends_as_declared
from ..patching import PatchReader
from .security import token_property

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

    from ..resource import Resource
    from .objects import JsonObject

# A text without NUL, which no database can store.
_STORABLE_PATTERN = "^[^\\u0000]*$"


@dataclass(frozen=True)
class ProfileSchemas:
    """The JSON Schemas of one registered profile.

    Args:
        name: The name of the schema of responses among the components.
        shown: The schema of responses.
        patch: The schema of merge patches. It is empty if PATCH is not enabled.
        media_url: The URL prefix of stored files.
    """

    name: str
    shown: JsonObject
    patch: JsonObject
    media_url: str

    @property
    def patch_name(self) -> str:
        """The name of the schema of merge patches among the components."""
        return f"{self.name}Patch"


def describe_shown(resource: Resource, convert: Callable[..., JsonObject]) -> JsonObject:
    """Return the JSON Schema of a profile as it is sent.

    Args:
        resource: The registered profile.
        convert: ``fields2jsonschema`` of apispec, which adds nested schemas to its components.

    Raises:
        ConfigurationError: If the app cannot serve a profile.
    """
    mapper = _find_mapper(resource)
    schema = type(resource.schema)()
    _annotate_fields(schema, mapper)
    shown = convert(schema.dump_fields)
    shown.pop("required", None)
    if sends_as_declared(schema):
        shown["required"] = [*shown["properties"]]
    return shown


def describe_patch(resource: Resource, convert: Callable[..., JsonObject]) -> JsonObject:
    """Return the JSON Schema of the merge patches that a profile accepts.

    Args:
        resource: The registered profile.
        convert: ``fields2jsonschema`` of apispec, which adds nested schemas to its components.

    Raises:
        ConfigurationError: If the app has no database to change.
    """
    reader = PatchReader(
        resource.app, resource.query, resource.schema, resource.changes.write_policy
    )
    writable = reader.writable_fields
    for writable_field in writable.values():
        _select_limits(writable_field)
        if isinstance(writable_field, fields.String):
            writable_field.metadata = {"pattern": _STORABLE_PATTERN, **writable_field.metadata}
    patch = convert(writable, partial=True)
    patch["properties"] |= token_property()
    patch["additionalProperties"] = False
    return patch


def _find_mapper(resource: Resource) -> Mapper[Any] | None:
    """Return the mapper of the users, or None if only the host's own loader knows them."""
    is_optional = has_user_loader()
    try:
        return resource.query.mapper
    except ConfigurationError:
        if is_optional:
            return None
        raise


def _annotate_fields(
    schema: Schema, mapper: Mapper[Any] | None, outer: frozenset[type] = frozenset()
) -> None:
    """Let the fields of a schema and its nested schemas describe the types that they send."""
    for name, shown_field in schema.dump_fields.items():
        attribute = shown_field.attribute or name
        _annotate_field(shown_field, find_column(mapper, attribute) if mapper else None)
        inner = shown_field
        if isinstance(shown_field, fields.List):
            inner = shown_field.inner
            inner.allow_none = True
        if isinstance(inner, fields.Nested) and type(inner.schema) not in outer:
            related = mapper.relationships.get(attribute) if mapper else None
            nested_mapper = related.mapper if related else None
            _annotate_fields(inner.schema, nested_mapper, outer | {type(schema)})


def _annotate_field(shown_field: fields.Field[Any], column: object) -> None:
    """Let a field describe which type it sends, and whether it may be null."""
    described: JsonObject = {}
    is_nullable = not isinstance(column, Column) or bool(column.nullable)
    if isinstance(shown_field, Identifier):
        type_ = getattr(column, "type", None)
        described = {"type": "integer" if isinstance(type_, Integer) else "string"}
        described |= {"format": "uuid"} if isinstance(type_, Uuid) else {}
    elif isinstance(shown_field, UtcDateTime):
        described = {"type": "string", "format": "date-time"}
    elif isinstance(shown_field, MediaUrl):
        described = {"type": "string", "format": "uri-reference"}
        is_nullable = True  # An empty name is sent as null.
    shown_field.allow_none = is_nullable
    shown_field.metadata = {**described, **shown_field.metadata}


def _select_limits(writable_field: fields.Field[Any]) -> None:
    """Keep only those limits of the column that JSON Schema can express for the type of a field.

    apispec would describe the length of a text as the number of items of a list, and the range of
    an integer as an ``x-minimum`` of a text; with such a range, it fails for a list.
    """
    applicable: tuple[type, ...] = ()
    if isinstance(writable_field, fields.String):
        applicable = (TextLength,)
    elif isinstance(writable_field, fields.Integer):
        applicable = (IntegerRange,)
    writable_field.validators = [
        validator
        for validator in writable_field.validators
        if isinstance(validator, applicable)
        or not isinstance(validator, (TextLength, IntegerRange))
    ]
