"""The body of a PATCH: a JSON merge patch (RFC 7396), checked by the schema and the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, request
from marshmallow import RAISE, Schema, ValidationError, missing
from marshmallow.utils import get_value
from sqlalchemy import JSON

from .bodies import PATCH_TYPES, parse_json, read_body
from .columns import NOT_VALID, accepts, find_column, is_hybrid, limit_to_column, stored_type
from .errors import (
    ConfigurationError,
    IncompleteBodyError,
    InvalidFieldsError,
    NotAnObjectError,
    RefusalError,
    UnsupportedMediaTypeError,
)
from .inspection import is_settable
from .merging import keep_unwritable, merge_patch, to_loadable
from .policy import WritePolicy, not_a_dict

if TYPE_CHECKING:
    from marshmallow.fields import Field

    from .queries import ProfileQuery


@dataclass(frozen=True)
class Patch:
    """The values that an edit sets.

    Args:
        values: The attributes to set, with their new values.
        merges: The objects to merge into JSON columns, by the names of their fields.
    """

    values: Mapping[str, object]
    merges: Mapping[str, object] = field(default_factory=dict[str, object])


def require_attribute(model: type, name: str, schema: Schema) -> None:
    """Raise ConfigurationError if a schema loads an attribute that the model cannot set."""
    if not is_settable(model, name):
        message = (
            f"{type(schema).__name__} loads {name!r}, but {model.__name__} has no such attribute, "
            "or the attribute has no setter. Add the column or the setter to the model, or make "
            f"the field read-only in {type(schema).__name__}:\n\n    {name} = …(dump_only=True)"
        )
        raise ConfigurationError(message)


class PatchReader:
    """Reads merge patches, which the schema and the limits of the columns validate.

    Args:
        app: The app that the profile is registered on.
        query: The query that reads its users.
        schema: The schema that dumps them.
        policy: The attributes that a PATCH must not write.
    """

    def __init__(
        self, app: Flask, query: ProfileQuery, schema: Schema, policy: WritePolicy
    ) -> None:
        self._app = app
        self._policy = policy
        self._mapper = query.mapper
        self._dialect = query.dialect
        self.schema = schema = type(schema)()  # Its fields get more validators here.
        self._names = {f.attribute or n: f.data_key or n for n, f in schema.load_fields.items()}
        dumped = {field.data_key or name for name, field in schema.dump_fields.items()}
        relationships = {self.field_name(r.key) for r in query.mapper.relationships}
        self._read_only = (dumped - {*self._names.values()}) | relationships
        self._mergeable: dict[str, str] = {}
        for name, field_ in schema.load_fields.items():
            column = find_column(query.mapper, field_.attribute or name)
            limit_to_column(field_, column, query.dialect)
            type_ = getattr(column, "type", None)
            if type_ is not None and isinstance(stored_type(type_, query.dialect), JSON):
                self._mergeable[field_.data_key or name] = name

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

    def read_body(self) -> bytes | RefusalError:
        """Return the body of the request, or the exception that the caller raises later."""
        if request.mimetype not in PATCH_TYPES:
            return UnsupportedMediaTypeError()
        try:
            return read_body(broken=IncompleteBodyError)
        except RefusalError as refusal:
            return refusal

    def parse(self, body: bytes | RefusalError) -> Patch:
        """Return the values that a body sets, validated as far as that needs no stored value.

        Args:
            body: The result of ``read_body``.

        Raises:
            RefusalError: If the body is not a merge patch, or sets a field that it must not set.
            ConfigurationError: If the schema does not load a dict.
        """
        if isinstance(body, RefusalError):
            raise body
        patch = parse_json(body)
        if not isinstance(patch, dict):
            raise NotAnObjectError
        members = cast("dict[str, object]", patch)
        if "json" in self._app.config["JWT_TOKEN_LOCATION"]:
            members.pop(self._app.config["JWT_JSON_KEY"], None)  # The token is not a field.
        merges = {
            name: value
            for name, value in members.items()
            if name in self._mergeable and isinstance(value, dict)
        }
        values = self._load({n: v for n, v in members.items() if n not in merges})
        return Patch(values, merges)

    def merge(self, user: Any, merges: Mapping[str, object]) -> dict[str, object]:
        """Merge objects into the attributes of a user, and return the new values.

        Args:
            user: The user, as stored and locked.
            merges: The objects, by the names of their fields.

        Raises:
            InvalidFieldsError: If the schema refuses a merged value.
        """
        if not merges:
            return {}
        stored: dict[str, tuple[Field[Any], object]] = {}
        merged: dict[str, object] = {}
        for data_key, patch in merges.items():
            name = self._mergeable[data_key]
            field = self.schema.load_fields[name]
            attribute = field.attribute or name
            value = get_value(user, attribute)
            value = None if value is missing else value
            stored[attribute] = (field, value)
            merged[data_key] = merge_patch(to_loadable(field, value), patch)
        return {
            attribute: keep_unwritable(*stored[attribute], loaded)
            if attribute in stored
            else loaded
            for attribute, loaded in self._load(merged).items()
        }

    def assign(self, user: Any, values: Mapping[str, object]) -> None:
        """Set attributes of a user.

        Raises:
            InvalidFieldsError: If a validator or a setter of the model refuses a value.
        """
        messages: dict[str, object] = {}
        for name, value in values.items():
            try:
                setattr(user, name, value)
            except ValidationError as error:
                messages[self.field_name(name)] = error.messages
            except ValueError:
                messages[self.field_name(name)] = [NOT_VALID]
        if messages:
            raise InvalidFieldsError(messages)

    def require_accepted(self, values: Mapping[str, object]) -> None:
        """Raise InvalidFieldsError if the types of columns do not accept values.

        Hybrid properties are skipped: they may store a different value.
        """
        columns = {
            name: find_column(self._mapper, name)
            for name in values
            if not is_hybrid(self._mapper, name)
        }
        refused = {
            self.field_name(name): [NOT_VALID]
            for name, column in columns.items()
            if column is not None and not accepts(column.type, self._dialect, values[name])
        }
        if refused:
            raise InvalidFieldsError(refused)

    def _load(self, members: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes of members, or raise InvalidFieldsError with all messages."""
        messages: dict[str, Any] = {
            name: ["Read-only field."] for name in members if name in self._read_only
        }
        writable = {name: value for name, value in members.items() if name not in messages}
        values: Any = {}
        # With the names instead of True, a nested object must still be complete.
        partial = (*self.schema.load_fields,)
        try:
            values = self.schema.load(writable, partial=partial, unknown=RAISE)
        except ValidationError as error:
            messages |= cast("Any", error).normalized_messages()
        if messages:
            raise InvalidFieldsError(messages)
        if not isinstance(values, dict):
            raise ConfigurationError(not_a_dict(self.schema, f"a {type(values).__name__}"))
        loaded = cast("dict[str, object]", values)
        for name in loaded.keys() - self._names.keys():
            self._policy.require_safe_attribute(self.schema, name)
        return loaded
