"""Input from hostile clients: a table of tokens with their expected responses, and identities."""

from __future__ import annotations

from hostile.identities import IDENTITIES, JSON_VALUES, USER_UUID
from hostile.signing import HOSTS, VALID, b64, claims, make_token
from hostile.tokens import TOKENS, fits_in_header

__all__ = [
    "HOSTS",
    "IDENTITIES",
    "JSON_VALUES",
    "TOKENS",
    "USER_UUID",
    "VALID",
    "b64",
    "claims",
    "fits_in_header",
    "make_token",
]
