"""The body of a request: bounded, whole, and of an accepted media type."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from .errors import BodyTooLargeError, RefusalError

# JSON, and a merge patch by its own name (RFC 7396 section 4).
PATCH_TYPES = ("application/json", "application/merge-patch+json")
# The formats of an avatar: their names in Pillow, and their media types.
IMAGE_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
FORM_TYPE = "multipart/form-data"

_T = TypeVar("_T")


def read_body(*, broken: type[RefusalError]) -> bytes:
    """Return the whole body of the request.

    Args:
        broken: What to raise for a body that breaks off.

    Raises:
        BodyTooLargeError: Where the body is larger than ``request.max_content_length``.
    """
    limit = request.max_content_length
    if request.content_length is None and limit is not None:
        # Werkzeug would silently cut a body of unknown length at its limit.
        request.max_content_length = limit + 1
    body = refuse_failures(request.get_data, broken=broken)
    if limit is not None and len(body) > limit:
        raise BodyTooLargeError
    return body


def refuse_failures(read: Callable[[], _T], *, broken: type[RefusalError]) -> _T:
    """Return what a function reads of the body; raise ``broken`` for any failure.

    For a body that breaks off, each WSGI server raises exceptions of its own.
    """
    try:
        return read()
    except RequestEntityTooLarge as error:
        raise BodyTooLargeError from error
    except Exception as error:
        raise broken from error


def parse_json(body: bytes) -> object:
    """Return the value of a JSON text (RFC 8259) that has only one meaning.

    Raises:
        ValueError: Where it is not JSON in UTF-8, or an object has a name twice.
        RecursionError: Where it is nested too deep.
    """
    return json.loads(
        body.decode(), object_pairs_hook=_object_of_unique_names, parse_constant=_refuse_constant
    )


def _object_of_unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(pairs)
    return made


def _refuse_constant(constant: str) -> object:
    raise ValueError(constant)  # RFC 8259 has no NaN and no Infinity.
