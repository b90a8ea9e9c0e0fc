"""Apply a JSON merge patch (RFC 7396) to a value that is stored in a JSON column.

A patch has the names that clients use. If the field nests a schema, the stored value has the
attributes that the schema loads, and may have members that it cannot write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from marshmallow import INCLUDE, Schema, fields

_Members = Mapping[str, object]


def merge_patch(target: object, patch: object) -> object:
    """Return a JSON value with a merge patch applied to it (RFC 7396 section 2)."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[object, object] = {**target} if isinstance(target, dict) else {}
    for name, value in cast("dict[object, object]", patch).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def to_loadable(field: fields.Field[Any], stored: object) -> object:
    """Return the JSON value from which a field would load the stored value."""
    schema = _nested_schema(field)
    if schema is None or not isinstance(stored, Mapping):
        return field.serialize("value", {field.attribute or "value": stored})
    members = cast("_Members", stored)
    loadable = _unknown_members(field, schema, members)
    for name, inner in schema.load_fields.items():
        attribute = inner.attribute or name
        if attribute in members:
            loadable[inner.data_key or name] = to_loadable(inner, members[attribute])
    return loadable


def keep_unwritable(field: fields.Field[Any], stored: object, loaded: object) -> object:
    """Return a loaded value, with the stored members that the field cannot write."""
    schema = _nested_schema(field)
    if schema is None or not isinstance(stored, Mapping) or not isinstance(loaded, Mapping):
        return loaded
    members = cast("_Members", stored)
    writable = {inner.attribute or name: inner for name, inner in schema.load_fields.items()}
    replaced = {*writable, *_unknown_members(field, schema, members)}
    kept = {name: value for name, value in members.items() if name not in replaced}
    for name, value in cast("_Members", loaded).items():
        inner = writable.get(name)
        kept[name] = keep_unwritable(inner, members.get(name), value) if inner else value
    return kept


def _nested_schema(field: fields.Field[Any]) -> Schema | None:
    """Return the schema of a field that nests one object."""
    if not isinstance(field, fields.Nested) or field.schema.many:
        return None
    return field.schema


def _unknown_members(
    field: fields.Field[Any], schema: Schema, members: _Members
) -> dict[str, object]:
    """Return the members that no field declares, if the schema includes them."""
    if (getattr(field, "unknown", None) or schema.unknown) != INCLUDE:
        return {}
    declared = {inner.attribute or name for name, inner in schema.fields.items()}
    return {name: value for name, value in members.items() if name not in declared}
