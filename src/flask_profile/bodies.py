"""The body of a request: bounded, whole, and of an accepted media type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

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

# What a schema, a database and another client can still work with.
_MAX_DEPTH = 100

_T = TypeVar("_T")


def limit_body(max_bytes: int) -> None:
    """Let no more of the request's body be read than this, or than the host allows.

    Must be called before anything reads the body, such as for a token in it.
    """
    limits = (request.max_content_length, max_bytes)
    limit = min(limit for limit in limits if limit is not None)
    # Werkzeug silently cuts a body of unknown length at its limit: one byte more reveals that.
    request.max_content_length = limit + (request.content_length is None)


def read_body(*, broken: type[RefusalError]) -> bytes:
    """Return the whole body of the request.

    Args:
        broken: What to raise for a body that breaks off.

    Raises:
        BodyTooLargeError: Where the body is larger than its limit.
    """
    body = refuse_failures(request.get_data, broken=broken)
    if is_cut(body):
        raise too_large()
    if len(body) < (request.content_length or 0):
        raise broken  # Not every WSGI server raises an exception for it.
    return body


def is_cut(body: bytes) -> bool:
    """Tell whether what was read of the request's body is more than its limit."""
    limit = request.max_content_length
    return request.content_length is None and limit is not None and len(body) >= limit


def too_large() -> BodyTooLargeError:
    """Return the refusal of the request's body, with its limit."""
    limit = request.max_content_length or 0
    return BodyTooLargeError(limit - (request.content_length is None))


def refuse_failures(read: Callable[[], _T], *, broken: type[RefusalError]) -> _T:
    """Return what a function reads of the body; raise ``broken`` for any failure.

    For a body that breaks off, each WSGI server raises exceptions of its own.
    """
    try:
        return read()
    except RequestEntityTooLarge as error:
        raise too_large() from error
    except Exception as error:
        raise broken from error


def parse_json(body: bytes) -> object:
    """Return the value of a JSON text (RFC 8259) that has only one meaning.

    Raises:
        ValueError: Where it is not JSON in UTF-8, an object has a name twice, or it is nested
            deeper than 100 levels.
        RecursionError: Where it is nested far deeper.
    """
    value: object = json.loads(
        body.decode(), object_pairs_hook=_object_of_unique_names, parse_constant=_refuse_constant
    )
    level, depth = [value], 0
    while level:
        if depth == _MAX_DEPTH:
            raise ValueError(level)
        level, depth = [inner for outer in level for inner in _members(outer)], depth + 1
    return value


def _members(value: Any) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _object_of_unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(pairs)
    return made


def _refuse_constant(constant: str) -> object:
    raise ValueError(constant)  # RFC 8259 has no NaN and no Infinity.
