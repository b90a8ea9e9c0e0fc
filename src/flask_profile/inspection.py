"""Find what a schema reads: attributes, and the host's functions that get the whole user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import getattr_static
from typing import Any

from marshmallow import Schema, fields, missing
from marshmallow.utils import get_value

from . import fields as profile_fields
from .errors import ConfigurationError
from .schemas import ProfileSchema

# Attribute names, each with the names to read from its value: {"id": {}, "team": {"name": {}}}.
AttributeTree = dict[str, "AttributeTree"]
HostFunction = Callable[..., object]


def make_schema(schema_class: type[Schema]) -> Schema:
    """Return a schema of a class, with all nested schemas.

    Raises:
        ConfigurationError: If marshmallow cannot create them.
    """
    try:
        schema = schema_class()
        _collect_attributes(schema, {})
    except Exception as error:
        name = schema_class.__name__
        declared: Any = schema_class._declared_fields  # pyright: ignore[reportPrivateUsage]
        message = (
            f"{name} cannot be created ({type(error).__name__}: {error}). Its Meta, and the "
            "arguments of nested schemas, must name only fields that are declared:\n\n"
            f"    fields = {tuple(declared)}  # in the Meta of {name}"
        )
        raise ConfigurationError(message) from error
    return schema


def inspect_schema(
    schema: Schema, user: object, active: str | None
) -> tuple[AttributeTree, list[HostFunction]]:
    """Return the attributes that a response reads, and the host's functions that get the user.

    Args:
        schema: The schema that dumps the user.
        user: A user, or the model of users.
        active: The attribute that says whether a user is active, if that is required.

    Raises:
        ConfigurationError: If the user lacks an attribute that the schema needs.
    """
    tree: AttributeTree = {}
    _collect_attributes(schema, tree)
    transforms = _input_transforms(schema)
    optional = {
        path[0]
        for path, field in _attribute_fields(schema)
        if transforms or field.dump_default is not missing
    }
    if active:
        tree[active] = {}
        optional.discard(active)
    lacking = [name for name in tree if not has_attribute(user, name)]
    if not optional.issuperset(lacking):
        lacking = [name for name in lacking if name not in optional]
        raise ConfigurationError(_lacks_attributes(user, lacking, schema))
    for name in lacking:
        del tree[name]
    return tree, [*transforms, *_functions_of_user(schema)]


def _lacks_attributes(user: object, lacking: list[str], schema: Schema) -> str:
    """Return the message of a model that lacks attributes, with all of them and the fix."""
    owner = (user if isinstance(user, type) else type(user)).__name__
    name = type(schema).__name__
    lines: list[str] = []
    kept = tuple(
        n for n, f in schema.dump_fields.items() if _attribute_path(n, f)[0] not in lacking
    )
    if len(kept) < len(schema.dump_fields):
        lines.append(
            f"fields = {kept}  # in the Meta of {name}"
            if type(schema) is not ProfileSchema
            else f"class Profile({name}):\n        class Meta:\n            fields = {kept}\n\n"
            '    app.config["PROFILE_SCHEMA"] = Profile'
        )
    if "is_active" in lacking:
        lines.append('app.config["PROFILE_REQUIRE_ACTIVE"] = False')
    return (
        f"{owner} has no attribute {' or '.join(map(repr, lacking))}, which {name} sends or "
        "PROFILE_REQUIRE_ACTIVE needs. If the column has another name, map it in the schema, for "
        'example:\n\n    is_active = fields.Boolean(attribute="…", dump_only=True)\n\n'
        "Or add the attribute to the model. Or do without it:\n\n"
        "    " + "\n    ".join(lines)
    )


def has_attribute(user: object, name: str) -> bool:
    """Tell whether a user, or a model of users, has an attribute."""
    if isinstance(user, type):
        # getattr() would run a hybrid property of the class to build SQL.
        return getattr_static(user, name, missing) is not missing
    return get_value(user, name) is not missing


def is_settable(model: type, name: str) -> bool:
    """Tell whether a model has an attribute that can be set."""
    descriptor: Any = getattr_static(model, name, missing)
    return descriptor is not missing and getattr(descriptor, "fset", True) is not None


def sends_as_declared(schema: Schema) -> bool:
    """Tell whether only the fields of the schema make the response, without hooks."""
    return not (_input_transforms(schema) or hooks(schema, "post_dump"))


def hooks(schema: Schema, tag: str) -> list[HostFunction]:
    """Return the methods of a schema that have a tag of marshmallow's, such as ``pre_dump``."""
    return [getattr(schema, hook[0]) for hook in type(schema).resolve_hooks()[tag]]


def _attribute_fields(schema: Schema) -> list[tuple[list[str], Any]]:
    """Return the fields that read attributes, each with the path of its attribute."""
    return [
        (_attribute_path(name, field), field)
        for name, field in schema.dump_fields.items()
        if not isinstance(field, (fields.Method, fields.Function, fields.Constant))
    ]


def _attribute_path(name: str, field: fields.Field[Any]) -> list[str]:
    return (field.attribute or name).split(".")


def _collect_attributes(
    schema: Schema, tree: AttributeTree, outer: frozenset[object] = frozenset()
) -> None:
    this = (type(schema), frozenset(schema.dump_fields))
    if this in outer:
        return  # The schema nests itself: deeper attributes are loaded when they are read.
    for path, field in _attribute_fields(schema):
        node = tree
        for name in path:
            node = node.setdefault(name, {})
        while isinstance(field, fields.List):
            field = field.inner
        if isinstance(field, fields.Nested):
            _collect_attributes(field.schema, node, outer | {this})


def _input_transforms(schema: Schema) -> list[HostFunction]:
    """Return the host's methods that may pass another object than the user to the fields."""
    names = ("dump", "get_attribute")
    overridden = [n for n in names if getattr(type(schema), n) is not getattr(Schema, n)]
    return hooks(schema, "pre_dump") + [getattr(schema, name) for name in overridden]


def _functions_of_user(schema: Schema) -> Iterator[HostFunction]:
    """Yield the host's other functions that get the user itself as an argument."""
    yield from hooks(schema, "post_dump")
    for field in schema.dump_fields.values():
        if isinstance(field, fields.Method):
            yield getattr(schema, field.serialize_method_name or "dump")
        elif isinstance(field, fields.Function):
            yield field.serialize_func or schema.dump
        for name in ("serialize", "get_value", "_serialize"):
            method = getattr(field, name)
            if method.__module__ not in {fields.__name__, profile_fields.__name__}:
                yield method
