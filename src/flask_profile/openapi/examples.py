"""Examples of values that are valid for a JSON Schema."""

from __future__ import annotations

from ..settings import Settings
from .objects import JsonObject

# Values by the name of a field, by a format, and by a type. A name may also be a format.
_EXAMPLES: dict[str | None, object] = {
    "id": 42,
    "username": "alice_wonder",
    "email": "alice@example.com",
    "first_name": "Alice",
    "last_name": "Wonder",
    "number_phone": "5551234567",
    "avatar": "/media/avatars/alice.png",
    "date_joined": "2024-02-01T08:15:30Z",
    "last_login": "2024-03-10T11:45:22Z",
    "is_active": True,
    "is_staff": False,
    "is_superuser": False,
    "date": "2024-02-01",
    "date-time": "2024-02-01T08:15:30Z",
    "uuid": "7f9c24e8-3b12-4fef-91e0-56a2d5a3c1b4",
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
}
# The types whose examples are chosen by the name of a field.
_PYTHON_TYPES: dict[str | None, type] = {"string": str, "integer": int, "boolean": bool}


def make_example(
    schema: JsonObject, name: str = "", *, media_url: str = Settings.media_url
) -> object:
    """Return a value that is valid for a schema, and a realistic one if the name is known.

    Args:
        schema: The JSON Schema.
        name: The name of the field that has this schema.
        media_url: The URL prefix of stored files.
    """
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:  # A nested schema, or null.
        return None if {"type": "null"} in schema["anyOf"] else {}
    types = schema.get("type")
    type_ = types[0] if isinstance(types, list) else types
    if type_ == "object":
        properties = schema.get("properties", {})
        return {
            key: make_example(value, key, media_url=media_url) for key, value in properties.items()
        }
    if schema.get("format") == "uri-reference":  # A MediaUrl.
        return f"{media_url}avatars/alice.png"
    by_name = _EXAMPLES.get(name)
    if isinstance(by_name, _PYTHON_TYPES.get(type_, ())):
        return by_name
    return _EXAMPLES.get(schema.get("format", type_), _EXAMPLES.get(type_))
