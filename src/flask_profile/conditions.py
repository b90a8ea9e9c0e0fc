"""Conditional requests (RFC 9110 section 13): ETag, If-Match and If-None-Match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import request

from .errors import PreconditionFailedError

if TYPE_CHECKING:
    from werkzeug.datastructures import ETags
    from werkzeug.wrappers import Response

# The suffixes that servers add to the ETag when they compress a response.
_CODING = re.compile(r"[-:;](gzip|br|deflate|zstd)$")


def is_conditional() -> bool:
    """Tell whether the request has ``If-Match``."""
    return "If-Match" in request.headers


def require_match(response: Response) -> None:
    """Raise PreconditionFailedError if ``If-Match`` does not contain the response's ETag."""
    if is_conditional() and not _names(request.if_match, response):
        raise PreconditionFailedError


def make_conditional(response: Response) -> None:
    """Make the response a 304 if ``If-None-Match`` contains its ETag."""
    condition = {}
    if _names(request.if_none_match, response):
        condition["HTTP_IF_NONE_MATCH"] = "*"
    # Without the request's other headers, which Werkzeug would process too.
    response.make_conditional({"REQUEST_METHOD": request.method, **condition})
    response.headers.pop("Date", None)  # The server sends one already.


def _names(tags: ETags, response: Response) -> bool:
    """Tell whether a condition contains a response's ETag, even if a proxy has changed the ETag.

    RFC 9110 section 13.1.1 requires the strong comparison for ``If-Match``. But a proxy that
    compresses the response makes the ETag weak, or adds the coding to it. With the strong
    comparison, each edit with such an ETag would be refused. The ETag is made from the profile, not
    from the bytes that are sent.
    """
    etag = response.get_etag()[0]
    named = {*filter(None, tags.as_set(include_weak=True))}  # Werkzeug reads "" as None.
    return tags.star_tag or etag in named or etag in {_CODING.sub("", tag) for tag in named}
