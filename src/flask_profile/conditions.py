"""Conditional requests (RFC 9110 section 13): ETag, If-Match and If-None-Match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from .errors import PreconditionFailedError

if TYPE_CHECKING:
    from werkzeug.wrappers import Response


def require_match(response: Response) -> None:
    """Raise PreconditionFailedError where ``If-Match`` does not name the response's ETag."""
    tags = request.if_match
    if "If-Match" in request.headers and not (
        tags.star_tag or tags.is_strong(response.get_etag()[0] or "")
    ):
        raise PreconditionFailedError


def make_conditional(response: Response) -> None:
    """Make a response 304 where ``If-None-Match`` names its ETag."""
    # Werkzeug's response to If-Match is not ours; require_match() has decided that.
    response.make_conditional({**request.environ, "HTTP_IF_MATCH": ""})
    response.headers.pop("Date", None)  # The server sends one, and Werkzeug's would send two.
