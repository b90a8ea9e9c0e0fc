"""Conditional requests (RFC 9110 section 13): ETag, If-Match and If-None-Match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import request

from .errors import PreconditionFailedError

if TYPE_CHECKING:
    from werkzeug.datastructures import ETags
    from werkzeug.wrappers import Response

# What servers that compress a response add to its ETag.
_CODING = re.compile(r"[-:;](gzip|br|deflate|zstd)$")


def is_conditional() -> bool:
    """Tell whether the request has ``If-Match``."""
    return "If-Match" in request.headers


def require_match(response: Response) -> None:
    """Raise PreconditionFailedError where ``If-Match`` does not name the response's ETag."""
    if is_conditional() and not _names(request.if_match, response):
        raise PreconditionFailedError


def make_conditional(response: Response) -> None:
    """Make a response 304 where ``If-None-Match`` names its ETag."""
    condition = {}
    if _names(request.if_none_match, response):
        condition["HTTP_IF_NONE_MATCH"] = "*"
    # Without the request's other headers, which Werkzeug would respond to in another way.
    response.make_conditional({"REQUEST_METHOD": request.method, **condition})
    response.headers.pop("Date", None)  # The server sends one, and Werkzeug's would send two.


def _names(tags: ETags, response: Response) -> bool:
    """Tell whether a condition names a response's ETag, even if it was changed on its way.

    RFC 9110 section 13.1.1 wants ``If-Match`` to compare strongly. But a proxy that compresses the
    response marks the ETag as weak or adds the coding to it, and it is of the profile, not of the
    bytes that are sent: an edit with it would be refused for ever.
    """
    etag = response.get_etag()[0]
    named = {*filter(None, tags.as_set(include_weak=True))}  # Werkzeug reads "" as None.
    return tags.star_tag or etag in named or etag in {_CODING.sub("", tag) for tag in named}
