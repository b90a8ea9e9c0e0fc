"""The attributes that no schema may write if PATCH is enabled, to protect other users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .columns import find_column
from .errors import ConfigurationError
from .fields import Identifier, MediaUrl

if TYPE_CHECKING:
    from marshmallow import Schema
    from sqlalchemy.orm import Mapper

_IDENTITY = (
    "tokens are matched against it, so an old token would be valid for another user who takes the "
    "old value"
)
_AVATAR = "a user could enter the name of another user's file, which the next upload would remove"
_FOR_DUMPING = "fields of this class must be read-only"


class WritePolicy:
    """The attributes that a PATCH must not write.

    Args:
        mapper: The mapper of the users.
        identity: The attribute that a token's identity is matched against.
        avatar: The attribute that uploads set, if users may upload avatars.
    """

    def __init__(self, mapper: Mapper[Any], *, identity: str, avatar: str | None) -> None:
        self._mapper = mapper
        # Columns and attributes, because a hybrid property may hide its column.
        protected = [*mapper.primary_key, identity, find_column(mapper, identity)]
        self._reasons: dict[Any, str] = dict.fromkeys(protected, _IDENTITY)
        if avatar:
            self._reasons |= dict.fromkeys((avatar, find_column(mapper, avatar)), _AVATAR)
        self._reasons.pop(None, None)

    def require_safe_schema(self, schema: Schema) -> None:
        """Raise ConfigurationError if a schema may write an attribute that it must not write."""
        if getattr(type(schema).opts, "load_instance", False):
            raise ConfigurationError(not_a_dict(schema, "an instance of the model"))
        problems: list[str] = []
        lines: list[str] = []
        for name, field in schema.load_fields.items():
            reason = self._reason(field.attribute or name)
            if reason is None and isinstance(field, (Identifier, MediaUrl)):
                reason = _FOR_DUMPING
            if reason:
                problems.append(f"{name!r} ({reason})")
                lines.append(f"    {name} = {type(field).__name__}(…, dump_only=True)")
        if problems:
            message = (
                f"PATCH is enabled, and {type(schema).__name__} lets a user write "
                f"{' and '.join(problems)}. In the schema, write:\n\n"
            )
            raise ConfigurationError(message + "\n".join(lines))

    def require_safe_attribute(self, schema: Schema, attribute: str) -> None:
        """Raise ConfigurationError for an attribute that a method of a schema has added."""
        reason = self._reason(attribute)
        if reason:
            message = (
                f"A post_load method of {type(schema).__name__} adds {attribute!r} to the values "
                f"of a PATCH, which must not write it: {reason}."
            )
            raise ConfigurationError(message)

    def _reason(self, attribute: str) -> str | None:
        column = find_column(self._mapper, attribute)
        return self._reasons.get(attribute) or self._reasons.get(column)


def not_a_dict(schema: Schema, loaded: str) -> str:
    """Return the message of a schema that does not load a dict.

    Args:
        schema: The schema.
        loaded: What it loads instead, with an article.
    """
    return (
        f"{type(schema).__name__}.load returns {loaded}, but a PATCH needs a dict of the values to "
        "set. Remove the post_load method that creates an object. In the Meta of a schema of "
        "marshmallow-sqlalchemy, write:\n\n    load_instance = False"
    )
