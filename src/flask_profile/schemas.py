"""ProfileSchema: the fields of a profile."""

from __future__ import annotations

from marshmallow import Schema, fields

from .fields import Identifier, MediaUrl, UtcDateTime


class ProfileSchema(Schema):
    """The twelve documented fields of a profile, in their documented order.

    To send other fields, write a subclass with any fields of marshmallow, and pass it as
    ``PROFILE_SCHEMA`` or ``ProfileBlueprint(schema=…)``::

        class PublicProfile(ProfileSchema):
            class Meta:
                exclude = ("email", "number_phone")

    Only the columns that a schema names are read from the database. Datetimes are sent as RFC 3339
    in UTC. If PATCH is enabled, users can write the fields that are not ``dump_only``.
    """

    id = Identifier(dump_only=True)
    username = fields.String(dump_only=True)
    email = fields.String(dump_only=True)
    first_name = fields.String()
    last_name = fields.String()
    number_phone = fields.String(allow_none=True)
    avatar = MediaUrl(dump_only=True)
    date_joined = UtcDateTime(dump_only=True)
    last_login = UtcDateTime(dump_only=True)
    is_active = fields.Boolean(dump_only=True)
    is_staff = fields.Boolean(dump_only=True)
    is_superuser = fields.Boolean(dump_only=True)
