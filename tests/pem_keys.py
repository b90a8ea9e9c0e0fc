"""Private and public keys in PEM, as an app is configured with them."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def make_private_pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def make_public_pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def make_key_config(key: Any) -> dict[str, str]:
    """Return the config of an app that signs tokens with a private key."""
    return {"JWT_PRIVATE_KEY": make_private_pem(key), "JWT_PUBLIC_KEY": make_public_pem(key)}
