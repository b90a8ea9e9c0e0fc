"""Checks of a schema: secrets, privileges, and attributes that the model lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import ConfigurationError
from ...inspection import hooks
from ...patching import require_attribute
from .problem import Problem

if TYPE_CHECKING:
    from marshmallow import Schema

_PRIVILEGES = {
    *("is_active", "is_staff", "is_superuser", "is_admin", "active", "enabled", "verified"),
    *("admin", "superuser", "staff", "role", "roles", "group", "groups", "permissions", "scopes"),
    *("is_verified", "email_verified", "confirmed", "balance", "plan"),
}
_SECRET_WORDS = ("password", "hash", "token", "secret")


def check_sent_names(schema: Schema) -> Iterator[Problem]:
    """Yield a problem for each field that is sent and whose name looks like a secret.

    Args:
        schema: The schema that dumps the users.
    """
    for name, field in schema.dump_fields.items():
        names = {name, field.data_key or name, field.attribute or name}
        if any(word in each.lower() for each in names for word in _SECRET_WORDS):
            yield Problem(
                "secret_sent",
                f"{type(schema).__name__} sends {name!r}, whose name looks like a secret. If it is "
                f"a secret, write:\n\n    {name} = …(load_only=True)\n\nIf it is not, rename it.",
            )


def check_privileges(schema: Schema) -> Iterator[Problem]:
    """Yield a problem for each writable field whose name looks like a privilege.

    Args:
        schema: The schema that loads a PATCH.
    """
    for name, field in schema.load_fields.items():
        names = {name, field.data_key or name, field.attribute or name}
        if any(each.lower() in _PRIVILEGES for each in names):
            yield Problem(
                "privileged_field",
                f"{type(schema).__name__} lets users write {name!r}, whose name looks like a "
                "privilege: they could give it to themselves. If it is a privilege, write:\n\n"
                f"    {name} = {type(field).__name__}(…, dump_only=True)",
                level="warning",
            )


def check_loaded_attributes(schema: Schema, model: type) -> Iterator[Problem]:
    """Yield a problem for each writable field whose attribute the model lacks.

    A schema with a ``post_load`` hook may load other attributes than its fields name.

    Args:
        schema: The schema that loads a PATCH.
        model: The model of the users.
    """
    if hooks(schema, "post_load"):
        return
    for name, field in schema.load_fields.items():
        try:
            require_attribute(model, field.attribute or name, schema)
        except ConfigurationError as error:
            yield Problem("configuration", str(error))
