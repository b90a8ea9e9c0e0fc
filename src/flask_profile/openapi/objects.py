"""Objects of OpenAPI that several descriptions use."""

from __future__ import annotations

from typing import Any

from apispec.utils import build_reference

JSON_TYPE = "application/json"

JsonObject = dict[str, Any]


def refer_to(kind: str, name: str) -> JsonObject:
    """Return the reference to a component.

    Args:
        kind: ``"schema"`` or ``"response"``.
        name: The name of the component.
    """
    return {**build_reference(kind, 3, name)}
