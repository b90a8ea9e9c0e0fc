"""Which attributes of a user the library itself uses: those that the schema maps."""

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
    """Return the attribute that a field of a schema names, where a column is behind it.

    Otherwise, it is the attribute with the name of the field.

    Args:
        schema: The schema that dumps the users.
        name: The name of the field.
        user: A user, or the model of users. A user that is no model has no columns, but attributes.
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


@dataclass(frozen=True)
class AvatarAttribute:
    """The attribute that an upload sets.

    Args:
        name: The name of the attribute.
        absent: What it has where there is no avatar.
    """

    name: str
    absent: str | None


def find_avatar_attribute(schema: Schema, mapper: Mapper[Any]) -> AvatarAttribute:
    """Return the attribute that an upload sets.

    Args:
        schema: The schema that dumps the users.
        mapper: The mapper of the users.

    Raises:
        ConfigurationError: Where no column can hold the name of an avatar.
    """
    name = map_attribute(schema, "avatar", mapper.class_)
    if not (has_column(mapper, name) and is_settable(mapper.class_, name)):
        raise _lacks_avatar(schema, mapper.class_)
    column = find_column(mapper, name)
    length = getattr(getattr(column, "type", None), "length", None)
    if length and length < _NAME_LENGTH:
        model = mapper.class_.__name__
        message = (
            f"PROFILE_AVATARS is enabled, and the name of an avatar has {_NAME_LENGTH} characters, "
            f"but the column {name!r} of {model} holds {length}. In the model, and in a migration, "
            f"write:\n\n    {column.key} = mapped_column(String(500))"
        )
        raise ConfigurationError(message)
    is_nullable = column is None or bool(getattr(column, "nullable", True))
    return AvatarAttribute(name, absent=None if is_nullable else "")


def require_avatar_attribute(schema: Schema, model: type) -> None:
    """Raise ConfigurationError where it is certain that a model has no attribute for an avatar.

    What only the mapped model tells must wait: to map it before all models are imported may fail.

    Args:
        schema: The schema that dumps the users.
        model: The model of the users.
    """
    field = schema.fields.get("avatar")
    names = {"avatar", (field.attribute if field else None) or "avatar"}
    if not any(has_attribute(model, name) for name in names):
        raise _lacks_avatar(schema, model)


def _lacks_avatar(schema: Schema, model: type) -> ConfigurationError:
    """Return the error of a model that has no column for the name of an avatar."""
    name = type(schema).__name__
    message = (
        f"PROFILE_AVATARS is enabled, and {model.__name__} has no column 'avatar' for the name of "
        f"an avatar. Name the column in {name}, with MediaUrl of flask_profile.fields:\n\n"
        f'    avatar = MediaUrl(attribute="…", dump_only=True)\n\n'
        f"Or add one to {model.__name__}, and write a migration:\n\n"
        "    avatar: Mapped[str | None] = mapped_column(String(500))"
    )
    return ConfigurationError(message)
