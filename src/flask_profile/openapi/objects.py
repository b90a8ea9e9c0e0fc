"""The objects of OpenAPI that several descriptions are made of."""

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


def describe_header(name: str) -> JsonObject:
    """Return the ``headers`` of a response that always has this header."""
    return {name: {"required": True, "schema": {"type": "string"}}}
