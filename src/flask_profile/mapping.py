"""Find the attributes that the library itself uses (avatar, active), as the schema maps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from .columns import find_column, is_hybrid
from .errors import ConfigurationError
from .inspection import has_attribute, is_settable

if TYPE_CHECKING:
    from marshmallow import Schema
    from sqlalchemy.orm import Mapper

# "avatars/", 32 hexadecimal digits and ".webp".
_NAME_LENGTH = 45


def map_attribute(schema: Schema, name: str, user: object) -> str:
    """Return the attribute that a field of a schema maps, if it is a column.

    Otherwise, return the name of the field.

    Args:
        schema: The schema that dumps the users.
        name: The name of the field.
        user: A user, or the model of users. A user that is not a model has attributes only.
    """
    field = schema.fields.get(name)
    attribute = (field.attribute if field else None) or name
    mapper: Mapper[Any] | None = inspect(
        user if isinstance(user, type) else type(user), raiseerr=False
    )
    is_mapped = has_column(mapper, attribute) if mapper else has_attribute(user, attribute)
    return attribute if is_mapped else name


def has_column(mapper: Mapper[Any], attribute: str) -> bool:
    """Tell whether an attribute of a model is a column, a hybrid property, or a synonym for one."""
    while attribute in mapper.synonyms:
        attribute = mapper.synonyms[attribute].name
    return attribute in mapper.column_attrs or is_hybrid(mapper, attribute)


def is_active(value: object, attribute: str) -> bool:
    """Tell whether the value of an attribute means that a user is active; null means inactive.

    Args:
        value: The value.
        attribute: The name of the attribute.

    Raises:
        ConfigurationError: If the value is neither true nor false, such as a role or a status.
    """
    if any(value == known for known in (True, False, None)):
        return bool(value)
    raise ConfigurationError(
        f"The attribute {attribute!r} decides whether a user is active, but one of its values, a "
        f"{type(value).__name__}, is neither true nor false. In the model, define which values "
        "mean active, and map that in the schema:\n\n"
        f"    is_enabled = hybrid_property(lambda user: user.{attribute} …)\n\n"
        '    is_active = fields.Boolean(attribute="is_enabled", dump_only=True)'
    )


@dataclass(frozen=True)
class AvatarAttribute:
    """The attribute that an upload sets.

    Args:
        name: The name of the attribute.
        absent: The value that means that there is no avatar.
    """

    name: str
    absent: str | None


def find_avatar_attribute(schema: Schema, mapper: Mapper[Any]) -> AvatarAttribute:
    """Return the attribute that an upload sets.

    Args:
        schema: The schema that dumps the users.
        mapper: The mapper of the users.

    Raises:
        ConfigurationError: If no column can hold the name of an avatar.
    """
    name = _find_settable_attribute(schema, "avatar", mapper)
    column = find_column(mapper, name)
    length = getattr(getattr(column, "type", None), "length", None)
    if length and length < _NAME_LENGTH:
        model = mapper.class_.__name__
        message = (
            f"PROFILE_AVATARS is enabled, but the column {name!r} of {model} holds {length} "
            f"characters, and the name of an avatar has {_NAME_LENGTH}. In the model, and in a "
            f"migration, write:\n\n    {column.key} = mapped_column(String(500))"
        )
        raise ConfigurationError(message)
    is_nullable = column is None or bool(getattr(column, "nullable", True))
    return AvatarAttribute(name, absent=None if is_nullable else "")


def find_active_attribute(schema: Schema, mapper: Mapper[Any]) -> str:
    """Return the attribute that a deactivation sets to false.

    Args:
        schema: The schema that dumps the users.
        mapper: The mapper of the users.

    Raises:
        ConfigurationError: If there is none that can be set.
    """
    return _find_settable_attribute(schema, "is_active", mapper)


def require_possible_attribute(schema: Schema, name: str, model: type) -> None:
    """Raise ConfigurationError if a model certainly lacks an attribute that the library sets.

    Other checks need the mapper, and must wait: mapping may fail before all models are imported.

    Args:
        schema: The schema that dumps the users.
        name: The name of the field that maps the attribute, ``"avatar"`` or ``"is_active"``.
        model: The model of the users.
    """
    field = schema.fields.get(name)
    names = {name, (field.attribute if field else None) or name}
    if not any(has_attribute(model, each) for each in names):
        raise _lacks_attribute(schema, name, model)


def _find_settable_attribute(schema: Schema, name: str, mapper: Mapper[Any]) -> str:
    attribute = map_attribute(schema, name, mapper.class_)
    if not (has_column(mapper, attribute) and is_settable(mapper.class_, attribute)):
        raise _lacks_attribute(schema, name, mapper.class_)
    return attribute


# By the name of the field: the setting that needs the column, the purpose of the column, and how a
# schema and a model declare it.
_NEEDS = {
    "avatar": (
        "PROFILE_AVATARS is enabled",
        "that stores the name of an avatar",
        'avatar = MediaUrl(attribute="…", dump_only=True)  # From flask_profile.fields.',
        "avatar: Mapped[str | None] = mapped_column(String(500))",
    ),
    "is_active": (
        'PROFILE_ON_DELETE is "deactivate"',
        "that says whether a user is active",
        'is_active = fields.Boolean(attribute="…", dump_only=True)',
        "is_active: Mapped[bool] = mapped_column(default=True)",
    ),
}


def _lacks_attribute(schema: Schema, name: str, model: type) -> ConfigurationError:
    """Return the error of a model that lacks a column which the library sets."""
    setting, purpose, line_of_schema, line_of_model = _NEEDS[name]
    return ConfigurationError(
        f"{setting}, but {model.__name__} has no column {name!r} {purpose}. If the column has "
        f"another name, map it in {type(schema).__name__}:\n\n    {line_of_schema}\n\n"
        f"Or add it to {model.__name__}, with a migration:\n\n    {line_of_model}"
    )
