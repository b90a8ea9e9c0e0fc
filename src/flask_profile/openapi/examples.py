"""The examples of values that a JSON Schema admits."""

from __future__ import annotations

from .objects import JsonObject

# Values by the name of a field, by a format, and by a type: a name may be that of a format too.
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


def make_example(schema: JsonObject, name: str = "") -> object:
    """Return a value that a schema admits, and a realistic one where the name is known.

    Args:
        schema: The JSON Schema.
        name: The name of the field that it is the schema of.
    """
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:  # A nested schema, or null.
        return None if {"type": "null"} in schema["anyOf"] else {}
    types = schema.get("type")
    type_ = types[0] if isinstance(types, list) else types
    if type_ == "object":
        properties = schema.get("properties", {})
        return {key: make_example(value, key) for key, value in properties.items()}
    by_name = _EXAMPLES.get(name)
    if isinstance(by_name, _PYTHON_TYPES.get(type_, ())):
        return by_name
    return _EXAMPLES.get(schema.get("format", type_), _EXAMPLES.get(type_))
