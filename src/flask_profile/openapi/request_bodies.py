"""The bodies of requests: a merge patch, an image, or JSON with the token in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_jwt_extended.config import config as jwt_config

from ..bodies import FORM_TYPE, IMAGE_TYPES, PATCH_TYPES
from .examples import make_example
from .objects import JSON_TYPE, JsonObject, refer_to
from .security import token_property

if TYPE_CHECKING:
    from ..settings import Settings
    from .schemas import ProfileSchemas


def describe_post_body(_schemas: ProfileSchemas, settings: Settings) -> JsonObject:
    """Return the body of a POST: none, unless it has the token or a type is required."""
    token = token_property()
    if not (token or settings.require_json):
        return {}
    schema: JsonObject = {"type": "object", "properties": token} if token else {}
    is_only_location = len(jwt_config.token_location) == 1
    return {
        "required": settings.require_json or is_only_location,
        "content": {JSON_TYPE: {"schema": schema, "example": make_example(schema)}},
    }


def describe_patch_body(schemas: ProfileSchemas, _settings: Settings) -> JsonObject:
    """Return the body of a merge patch."""
    patch = {
        "schema": refer_to("schema", schemas.patch_name),
        "example": make_example(schemas.patch),
    }
    return {"required": True, "content": dict.fromkeys(PATCH_TYPES, patch)}


def describe_image_body(_schemas: ProfileSchemas, _settings: Settings) -> JsonObject:
    """Return the body that is an image, or a form with an image in its field ``avatar``."""
    types = IMAGE_TYPES.values()
    image = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"avatar": image}, "required": ["avatar"]}
    encoding = {"avatar": {"contentType": ", ".join(types)}}
    content: JsonObject = dict.fromkeys(types, {"schema": image})
    content[FORM_TYPE] = {"schema": form, "encoding": encoding}
    return {"required": True, "content": content}
