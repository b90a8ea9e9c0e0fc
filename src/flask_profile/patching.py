"""The body of a PATCH: a JSON merge patch (RFC 7396), checked by the schema and the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flask import Flask, request
from marshmallow import RAISE, Schema, ValidationError

from .bodies import PATCH_TYPES, parse_json, read_body, refuse_failures
from .columns import limit_to_column
from .errors import (
    ConfigurationError,
    InvalidFieldsError,
    MalformedBodyError,
    UnsupportedMediaTypeError,
)
from .inspection import has_attribute

if TYPE_CHECKING:
    from marshmallow.fields import Field

    from .queries import ProfileQuery


def require_attribute(model: type, name: str, schema: Schema) -> None:
    """Raise ConfigurationError where a schema loads an attribute that the model lacks."""
    if not has_attribute(model, name):
        message = (
            f"{type(schema).__name__} loads {name!r}, an attribute that {model.__name__} lacks. "
            f"Add the column to the model, or in {type(schema).__name__} write:\n\n"
            f"    {name} = …(dump_only=True)"
        )
        raise ConfigurationError(message)


class PatchReader:
    """Reads merge patches as the schema admits them, within what the columns can hold.

    Args:
        app: The app that the profile is registered on.
        query: The query that reads its users.
        schema: The schema that dumps them.
    """

    def __init__(self, app: Flask, query: ProfileQuery, schema: Schema) -> None:
        self._app = app
        self.schema = schema = type(schema)()  # Its fields get more validators here.
        self._names = {f.attribute or n: f.data_key or n for n, f in schema.load_fields.items()}
        dumped = {field.data_key or name for name, field in schema.dump_fields.items()}
        relationships = {self.field_name(r.key) for r in query.mapper.relationships}
        self._read_only = (dumped - {*self._names.values()}) | relationships
        for name, field in schema.load_fields.items():
            column = query.mapper.columns.get(field.attribute or name)
            limit_to_column(field, column, query.dialect)

    @property
    def writable_fields(self) -> dict[str, Field[Any]]:
        """The fields that a patch may set, by their names in the schema."""
        return {
            name: field
            for name, field in self.schema.load_fields.items()
            if (field.data_key or name) not in self._read_only
        }

    def field_name(self, attribute: str) -> str:
        """Return the name in JSON of an attribute of the model."""
        return self._names.get(attribute, attribute)

    def read(self) -> dict[str, object]:
        """Return the attributes that the request's body sets, with their new values.

        Raises:
            RefusalError: Where the body is no merge patch, or sets what it may not.
        """
        if request.mimetype not in PATCH_TYPES:
            raise UnsupportedMediaTypeError
        body = read_body(broken=MalformedBodyError)
        patch = refuse_failures(lambda: parse_json(body), broken=MalformedBodyError)
        if not isinstance(patch, dict):
            raise MalformedBodyError
        if "json" in self._app.config["JWT_TOKEN_LOCATION"]:
            patch.pop(self._app.config["JWT_JSON_KEY"], None)  # The token is no field.
        return self._validate(cast("dict[str, object]", patch))

    def _validate(self, patch: dict[str, object]) -> dict[str, object]:
        messages: dict[str, Any] = {
            name: ["Read-only field."] for name in patch if name in self._read_only
        }
        writable = {name: value for name, value in patch.items() if name not in messages}
        values: dict[str, object] = {}
        try:
            values = cast("Any", self.schema.load(writable, partial=True, unknown=RAISE))
        except ValidationError as error:
            messages |= cast("Any", error).normalized_messages()
        if messages:
            raise InvalidFieldsError(messages)
        return values
