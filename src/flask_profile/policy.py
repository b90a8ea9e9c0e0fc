"""What a schema must not be able to write where PATCH is enabled: it would endanger other users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .columns import find_column
from .errors import ConfigurationError
from .fields import Identifier, MediaUrl

if TYPE_CHECKING:
    from marshmallow import Schema
    from sqlalchemy.orm import Mapper

_IDENTITY = (
    "a token finds its user by it, and another user who takes the old value would get what the "
    "token allows"
)
_AVATAR = "a user could name the file of another user, which the next upload would remove"
_FOR_DUMPING = "a field of this class can only be sent"


class WritePolicy:
    """What a PATCH must not write.

    Args:
        mapper: The mapper of the users.
        identity: The attribute by which a token finds its user.
        avatar: The attribute that uploads set, where users may upload avatars.
    """

    def __init__(self, mapper: Mapper[Any], *, identity: str, avatar: str | None) -> None:
        self._mapper = mapper
        # By columns, and by attributes, since a hybrid property may hide its column.
        protected = [*mapper.primary_key, identity, find_column(mapper, identity)]
        self._reasons: dict[Any, str] = dict.fromkeys(protected, _IDENTITY)
        if avatar:
            self._reasons |= dict.fromkeys((avatar, find_column(mapper, avatar)), _AVATAR)
        self._reasons.pop(None, None)

    def require_safe_schema(self, schema: Schema) -> None:
        """Raise ConfigurationError where a schema may write what it must not."""
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
                f"{' and '.join(problems)}. Write:\n\n"
            )
            raise ConfigurationError(message + "\n".join(lines))

    def require_safe_attribute(self, schema: Schema, attribute: str) -> None:
        """Raise ConfigurationError for an attribute that a method of a schema has added."""
        reason = self._reason(attribute)
        if reason:
            message = (
                f"A post_load method of {type(schema).__name__} adds {attribute!r} to what a PATCH "
                f"writes, which it must not: {reason}."
            )
            raise ConfigurationError(message)

    def _reason(self, attribute: str) -> str | None:
        column = find_column(self._mapper, attribute)
        return self._reasons.get(attribute) or self._reasons.get(column)


def not_a_dict(schema: Schema, loaded: str) -> str:
    """Return the message of a schema that makes another object than a dict.

    Args:
        schema: The schema.
        loaded: What it makes, with an article.
    """
    return (
        f"{type(schema).__name__}.load returns {loaded}, and a PATCH needs the dict of what it "
        "sets. Remove the post_load method that makes an object; of marshmallow-sqlalchemy, write "
        f"in the Meta of {type(schema).__name__}:\n\n    load_instance = False"
    )
