"""The headers of requests and responses, with their descriptions and examples."""

from __future__ import annotations

from .objects import JsonObject

_ETAG = '"87a25bdeee3cd6b9b49f1b1aec4a6c1b4b90f91c"'
_NO_STORE, _NO_CACHE = "no-store", "private, no-cache"
_CACHE_CONTROL = {
    _NO_STORE: "No cache may store this response.",
    _NO_CACHE: (
        "Only the client may store this response, and it must send `If-None-Match` before it uses "
        "the response again."
    ),
}
_CONDITIONS = {
    "If-Match": (
        "An `ETag` of the profile, or several with commas between them. If the profile has changed "
        "since, the response is a 412, and nothing changes."
    ),
    "If-None-Match": (
        "The `ETag` of a stored profile, or several with commas between them. If the profile has "
        "not changed since, the response is a 304 without a body."
    ),
}


def describe_condition(name: str) -> JsonObject:
    """Return the parameter of a header of conditional requests (RFC 9110 section 13)."""
    return {
        "name": name,
        "in": "header",
        "description": _CONDITIONS[name],
        "schema": {"type": "string"},
        # Not an example: a viewer would send it, and the response would be a 412.
    }


def describe_cache_control(*, is_cacheable: bool) -> JsonObject:
    """Return the ``headers`` with the ``Cache-Control`` of a response."""
    value = _NO_CACHE if is_cacheable else _NO_STORE
    return _describe("Cache-Control", _CACHE_CONTROL[value], value)


def describe_etag() -> JsonObject:
    """Return the ``headers`` with the ``ETag`` of a profile."""
    description = (
        "The version of the profile. Send it in `If-Match` to change only this version, and in "
        "`If-None-Match` to read the profile only if it has changed."
    )
    return _describe("ETag", description, _ETAG)


def describe_challenge(example: str) -> JsonObject:
    """Return the ``headers`` of a 401 response."""
    description = (
        "The scheme and the realm of the tokens (RFC 6750). If a token was sent, also the code of "
        "the error and the reason why the token is refused."
    )
    return _describe("WWW-Authenticate", description, example)


def describe_allow(methods: list[str]) -> JsonObject:
    """Return the ``headers`` of a 405 response, for a URL with these methods."""
    return _describe("Allow", "The methods that this URL allows.", ", ".join(methods))


def describe_retry_after() -> JsonObject:
    """Return the ``headers`` of a 503 response."""
    description = "The number of seconds to wait before the request is sent again."
    return _describe("Retry-After", description, "1")


def _describe(name: str, description: str, example: str) -> JsonObject:
    """Return the ``headers`` of a response that always has this header."""
    header = {
        "description": description,
        "required": True,
        "schema": {"type": "string"},
        "example": example,
    }
    return {name: header}
