"""The keys of the hosts and of an attacker, and functions that make any token."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from conftest import SECRET
from pem_keys import make_key_config

FAR_FUTURE = 4_102_444_800


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def claims(**changed: Any) -> bytes:
    values = {"sub": "1", "type": "access", "fresh": False, "jti": "x", "exp": FAR_FUTURE}
    return json.dumps(values | changed).encode()


def claims_without(claim: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(claims()).items() if k != claim}).encode()


def sign(signing_input: str, secret: Any = SECRET, algorithm: str = "HS256") -> str:
    """Sign any text, which JWT libraries refuse to do. The secret may be a private key."""
    signer = jwt.get_algorithm_by_name(algorithm)
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signing_input}.{b64(signer.sign(signing_input.encode(), key))}"


def make_token(
    payload: bytes, header: Any = None, secret: Any = SECRET, algorithm: str = "HS256"
) -> str:
    """Return a signed token with any payload. The header is a value or, as bytes, raw JSON."""
    header = {"alg": algorithm, "typ": "JWT"} if header is None else header
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return sign(f"{b64(head)}.{b64(payload)}", secret, algorithm)


def token_with_header(**header: Any) -> str:
    """Return a token with valid claims and additional header parameters."""
    return make_token(claims(), {"alg": "HS256", "typ": "JWT"} | header)


def forge_token(**header: Any) -> str:
    """Return a token that the attacker signed, with header parameters that name the key."""
    return make_token(
        claims(), {"alg": "HS256", "typ": "JWT"} | header, secret="the attacker's" * 3
    )


RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
ATTACKER_RSA = rsa.generate_private_key(65537, 2048)
ATTACKER_EC = ec.generate_private_key(ec.SECP256R1())
ATTACKER_ED = ed25519.Ed25519PrivateKey.generate()

CHECKED_CLAIMS = {"aud": "us", "iss": "us"}

# The config of the hosts that the tokens are sent to, by name.
HOSTS: dict[str, dict[str, Any]] = {
    "HS256": {"JWT_SECRET_KEY": SECRET},
    "RS256": {"JWT_ALGORITHM": "RS256", **make_key_config(RSA)},
    "RS256 or HS256": {
        "JWT_ALGORITHM": "RS256",
        "JWT_DECODE_ALGORITHMS": ["RS256", "HS256"],
        **make_key_config(RSA),
    },
    "ES256": {"JWT_ALGORITHM": "ES256", **make_key_config(EC)},
    "aud and iss": {
        "JWT_SECRET_KEY": SECRET,
        "JWT_DECODE_AUDIENCE": "us",
        "JWT_DECODE_ISSUER": "us",
    },
}
VALID = {
    "HS256": make_token(claims()),
    "RS256": make_token(claims(), secret=RSA, algorithm="RS256"),
    "RS256 or HS256": make_token(claims(), secret=RSA, algorithm="RS256"),
    "ES256": make_token(claims(), secret=EC, algorithm="ES256"),
    "aud and iss": make_token(claims(**CHECKED_CLAIMS)),
}
