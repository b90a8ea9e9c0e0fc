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


def require_safe_schema(
    schema: Schema, mapper: Mapper[Any], *, identity_field: str, avatar_field: str | None
) -> None:
    """Raise ConfigurationError where a PATCH with a schema could endanger other users.

    Args:
        schema: The schema that loads a PATCH.
        mapper: The mapper of the users.
        identity_field: The attribute by which a token finds its user.
        avatar_field: The attribute that uploads set, where users may upload avatars.
    """
    if getattr(type(schema).opts, "load_instance", False):
        raise ConfigurationError(not_a_dict(schema, "an instance of the model"))
    reasons = dict.fromkeys([*mapper.primary_key, find_column(mapper, identity_field)], _IDENTITY)
    if avatar_field:
        reasons[find_column(mapper, avatar_field)] = _AVATAR
    problems: list[str] = []
    lines: list[str] = []
    for name, field in schema.load_fields.items():
        column = find_column(mapper, field.attribute or name)
        default = _FOR_DUMPING if isinstance(field, (Identifier, MediaUrl)) else None
        reason = default if column is None else reasons.get(column, default)
        if reason:
            problems.append(f"{name!r} ({reason})")
            lines.append(f"    {name} = {type(field).__name__}(…, dump_only=True)")
    if problems:
        message = (
            f"PATCH is enabled, and {type(schema).__name__} lets a user write "
            f"{' and '.join(problems)}. Write:\n\n"
        )
        raise ConfigurationError(message + "\n".join(lines))


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
