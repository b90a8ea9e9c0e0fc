"""Read the body of a request, with a limit, and check that it is complete."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from .errors import (
    BodyTooLargeError,
    DuplicateKeysError,
    MalformedJSONError,
    RefusalError,
    TooDeepError,
)

# JSON, and the media type of merge patches (RFC 7396 section 4).
PATCH_TYPES = ("application/json", "application/merge-patch+json")
# The formats of an avatar: their names in Pillow, and their media types.
IMAGE_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
FORM_TYPE = "multipart/form-data"

# A depth that a schema, a database and another client can still process.
_MAX_DEPTH = 100

_T = TypeVar("_T")


def limit_body(max_bytes: int) -> None:
    """Limit how much of the request's body is read. A lower limit of the host wins.

    Must be called before anything reads the body, for example to find a token in it.
    """
    limits = (request.max_content_length, max_bytes)
    limit = min(limit for limit in limits if limit is not None)
    # Werkzeug silently cuts a body of unknown length at its limit. One byte more reveals that.
    request.max_content_length = limit + (request.content_length is None)


def read_body(*, broken: type[RefusalError]) -> bytes:
    """Return the whole body of the request.

    Args:
        broken: What to raise for an incomplete body.

    Raises:
        BodyTooLargeError: If the body is larger than its limit.
    """
    body = refuse_failures(request.get_data, broken=broken)
    if is_cut(body):
        raise too_large()
    if len(body) < (request.content_length or 0):
        raise broken  # Not every WSGI server raises an exception for an incomplete body.
    return body


def is_cut(body: bytes) -> bool:
    """Tell whether the part of the request's body that was read is longer than the limit."""
    limit = request.max_content_length
    return request.content_length is None and limit is not None and len(body) >= limit


def too_large() -> BodyTooLargeError:
    """Return the refusal of the request's body, with its limit."""
    limit = request.max_content_length or 0
    return BodyTooLargeError(limit - (request.content_length is None))


# The failures of this machine, such as a full disk for the temporary file of an upload.
_OWN_FAILURES = {errno.EACCES, errno.EMFILE, errno.ENOENT, errno.ENOSPC, errno.EROFS}


def refuse_failures(read: Callable[[], _T], *, broken: type[RefusalError]) -> _T:
    """Return what a function reads from the body, and raise ``broken`` for any failure.

    For an incomplete body, each WSGI server raises exceptions of its own. Failures of this machine
    are raised as they are.
    """
    try:
        return read()
    except RequestEntityTooLarge as error:
        raise too_large() from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OWN_FAILURES:
            raise
        raise broken from error


def parse_json(body: bytes) -> object:
    """Return the value of a JSON text (RFC 8259) that has only one meaning.

    Raises:
        MalformedJSONError: If it is not JSON in UTF-8.
        DuplicateKeysError: If an object has a key twice.
        TooDeepError: If it is nested deeper than 100 levels.
    """
    try:
        value: object = json.loads(
            body.decode(), object_pairs_hook=_make_object, parse_constant=_refuse_constant
        )
    except ValueError as error:
        raise MalformedJSONError from error
    except RecursionError as error:
        raise TooDeepError from error
    level, depth = [value], 0
    while level:
        if depth == _MAX_DEPTH:
            raise TooDeepError
        level, depth = [inner for outer in level for inner in _members(outer)], depth + 1
    return value


def _members(value: Any) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _make_object(members: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(members)
    if len(made) < len(members):
        raise DuplicateKeysError
    return made


def _refuse_constant(constant: str) -> object:
    raise ValueError(constant)  # RFC 8259 has no NaN and no Infinity.
