"""Tokens of hostile clients, each with the host that it is sent to and the expected response.

The tokens cover the attacks of RFC 8725 and other input that parsers handle badly. The table also
has unusual tokens that are accepted. Flask-JWT-Extended and PyJWT decide most of these cases. They
are recorded so that a test fails when a new version of either decides differently.
"""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from contract import (
    BAD_ALGORITHM,
    BAD_AUDIENCE,
    BAD_ISSUE_TIME,
    BAD_ISSUER,
    BAD_JWT_ID,
    BAD_KEY,
    BAD_SIGNATURE,
    BAD_SUBJECT,
    EXPIRED,
    MALFORMED,
    MISSING_CLAIM,
    NOT_ACCESS_TOKEN,
    NOT_YET_VALID,
    PROFILE,
    USER_NOT_FOUND,
)
from hostile.signing import (
    ATTACKER_EC,
    ATTACKER_ED,
    ATTACKER_RSA,
    CHECKED_CLAIMS,
    EC,
    FAR_FUTURE,
    RSA,
    VALID,
    b64,
    claims,
    claims_without,
    forge_token,
    from_b64,
    make_token,
    sign,
    token_with_header,
)
from pem_keys import make_public_pem

NONE_SPELLINGS = ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")]
TYP_VALUES = ["at+jwt", "JWE", "jwt", "dpop+jwt", "", None, 1, ["JWT"], {}]
UNENCODED_HEADER = b'{"alg": "HS256", "b64": false, "crit": ["b64"]}'
JWE_HEADER = b64(b'{"alg": "dir", "enc": "A256GCM"}')

HEADER, PAYLOAD, SIGNATURE = VALID["HS256"].split(".")
MAC = from_b64(SIGNATURE)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Lenient decoders read the same bytes from it.
LENIENT_SIGNATURE = SIGNATURE[:-1] + ALPHABET[ALPHABET.index(SIGNATURE[-1]) + 1]
FLATTENED = {"payload": PAYLOAD, "protected": HEADER, "signature": SIGNATURE}
GENERAL = {"payload": PAYLOAD, "signatures": [{"protected": HEADER, "signature": SIGNATURE}]}
# Its signature has both characters that are in base64url and not in base64.
URLSAFE_TOKEN = next(
    token
    for token in (make_token(claims(jti=str(number))) for number in itertools.count())
    if {"-", "_"} <= {*token.rpartition(".")[2]}
)

RS256_INPUT, _, RS256_SIGNATURE = VALID["RS256"].rpartition(".")
RS256_BYTES = from_b64(RS256_SIGNATURE)
ES256_INPUT, _, ES256_SIGNATURE = VALID["ES256"].rpartition(".")
ES256_BYTES = from_b64(ES256_SIGNATURE)
R, S = (int.from_bytes(half, "big") for half in (ES256_BYTES[:32], ES256_BYTES[32:]))
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def es256_token(r: int, s: int, size: int = 32) -> str:
    """Return the valid token of the ES256 host with its signature replaced by these numbers."""
    return f"{ES256_INPUT}.{b64(r.to_bytes(size, 'big') + s.to_bytes(size, 'big'))}"


def deflate(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(payload) + compressor.flush()


PEM = make_public_pem(RSA)
PUBLIC_KEYS_AS_SECRETS = {
    "a public key": PEM,
    "a public key without its last newline": PEM.strip(),
    "a public key with an extra newline": PEM + "\n",
    "a public key with CRLF": PEM.replace("\n", "\r\n"),
    "a public key on one line": PEM.replace("\n", ""),
    "a public key without its PEM header and footer": "".join(PEM.splitlines()[1:-1]),
    "an empty key": "",
}
KEY_HEADERS = {
    "jku": "https://attacker.example/jwks.json",
    "x5u": "https://attacker.example/chain.pem",
    "jwk": jwt.get_algorithm_by_name("RS256").to_jwk(ATTACKER_RSA.public_key(), as_dict=True),
    "x5c": [base64.b64encode(b"a certificate of the attacker's").decode()],
    "x5t": "dGh1bWJwcmludA",
}
KIDS = {
    "SQL": "x' UNION SELECT 'secret' --",
    "a path": "../../../../dev/null",
    "a NUL": "key\0.pem",
    "a URL": "https://attacker.example/key",
    "a command": "key; id | sh",
    "nothing": "",
}
VALUES_BY_TYPE = {
    "null": None,
    "a boolean": True,
    "a number": 1,
    "a string": "x",
    "a list": ["x"],
    "an object": {"x": 1},
}
# The expected responses to a claim with each of these values, in the same order.
RESPONSES_BY_CLAIM = {
    "sub": [BAD_SUBJECT, BAD_SUBJECT, BAD_SUBJECT, USER_NOT_FOUND, BAD_SUBJECT, BAD_SUBJECT],
    "exp": [MALFORMED, EXPIRED, EXPIRED, MALFORMED, MALFORMED, MALFORMED],
    "nbf": [MALFORMED, PROFILE, PROFILE, MALFORMED, MALFORMED, MALFORMED],
    "iat": [BAD_ISSUE_TIME, PROFILE, PROFILE, BAD_ISSUE_TIME, BAD_ISSUE_TIME, BAD_ISSUE_TIME],
    "jti": [BAD_JWT_ID, BAD_JWT_ID, BAD_JWT_ID, PROFILE, BAD_JWT_ID, BAD_JWT_ID],
    "aud": [PROFILE] * 6,
    "iss": [PROFILE] * 6,
    "type": [PROFILE] * 6,
    "fresh": [PROFILE] * 6,
    "csrf": [PROFILE] * 6,
}
RESPONSES_BY_CHECKED_CLAIM = {"aud": [MISSING_CLAIM] + [BAD_AUDIENCE] * 5, "iss": [BAD_ISSUER] * 6}


class HostileToken(NamedTuple):
    """A token, the host that it is sent to, and the expected response (see contract.py)."""

    token: str
    host: str
    response: str


_TABLE: list[tuple[str, str, dict[str, str]]] = [
    (
        "HS256",
        BAD_ALGORITHM,
        {
            f"{none}, unsigned": make_token(claims(), {"alg": none}).rpartition(".")[0] + "."
            for none in NONE_SPELLINGS
        }
        | {f"{none}, signed": make_token(claims(), {"alg": none}) for none in NONE_SPELLINGS}
        | {
            f"alg {alg!r}": make_token(claims(), {"alg": alg})
            for alg in ("hs256", "HS256 ", "HS\0", "", None, True, 0, 256, ["HS256"], {}, {"a": 1})
        }
        | {
            "HS384 with the secret": make_token(claims(), algorithm="HS384"),
            "HS512 with the secret": make_token(claims(), algorithm="HS512"),
            "RS256 with the attacker's key": make_token(
                claims(), secret=ATTACKER_RSA, algorithm="RS256"
            ),
            "PS256 with the attacker's key": make_token(
                claims(), secret=ATTACKER_RSA, algorithm="PS256"
            ),
            "ES256 with the attacker's key": make_token(
                claims(), secret=ATTACKER_EC, algorithm="ES256"
            ),
            "EdDSA with the attacker's key": make_token(
                claims(), secret=ATTACKER_ED, algorithm="EdDSA"
            ),
            "no alg": make_token(claims(), {"typ": "JWT"}),
            "an empty header": make_token(claims(), {}),
            "alg twice, none last": make_token(claims(), b'{"alg": "HS256", "alg": "none"}'),
            "Alg instead of alg": make_token(claims(), {"Alg": "HS256"}),
        },
    ),
    (
        "HS256",
        BAD_SIGNATURE,
        {
            f"{name} as the secret": make_token(claims(), secret=key)
            for name, key in PUBLIC_KEYS_AS_SECRETS.items()
        }
        | {f"a kid that is {name}": forge_token(kid=kid) for name, kid in KIDS.items()}
        | {
            f"{name} that names the attacker's key": forge_token(**{name: v})
            for name, v in KEY_HEADERS.items()
        }
        | {
            "another secret": make_token(
                claims(), secret="not the secret of the host, but as long"
            ),
            "another payload": f"{HEADER}.{b64(claims(sub='2'))}.{SIGNATURE}",
            "another header": f"{b64(json.dumps({'alg': 'HS256'}).encode())}.{PAYLOAD}.{SIGNATURE}",
            "no signature": f"{HEADER}.{PAYLOAD}.",
            "a signature of one byte": f"{HEADER}.{PAYLOAD}.AA",
            "a signature that lacks three characters": VALID["HS256"][:-3],
            "a signature that lacks a byte": f"{HEADER}.{PAYLOAD}.{b64(MAC[:-1])}",
            "a signature with an extra byte": f"{HEADER}.{PAYLOAD}.{b64(MAC + bytes(1))}",
            "a signature of zeros": f"{HEADER}.{PAYLOAD}.{b64(bytes(32))}",
            "a signature in hexadecimal": f"{HEADER}.{PAYLOAD}.{MAC.hex()}",
            "a signature encoded twice": f"{HEADER}.{PAYLOAD}.{b64(SIGNATURE.encode())}",
            "a signature of the payload only": f"{HEADER}.{PAYLOAD}.{sign(PAYLOAD).split('.')[1]}",
            "another token's signature": f"{HEADER}.{PAYLOAD}.{URLSAFE_TOKEN.rpartition('.')[2]}",
        },
    ),
    (
        "HS256",
        MALFORMED,
        {
            f"a kid that is {name}": token_with_header(kid=kid)
            for name, kid in VALUES_BY_TYPE.items()
            if kid != "x"
        }
        | {
            f"crit {crit!r}": token_with_header(crit=crit)
            for crit in (["exp"], ["alg"], ["b64"], [""], [1], [None], [], None, "b64", {"b64": 1})
        }
        | {
            "b64 false": token_with_header(b64=False),
            "b64 false and in crit": token_with_header(b64=False, crit=["b64"]),
            "b64 false and a raw payload": sign(f"{b64(UNENCODED_HEADER)}.{claims().decode()}"),
            "b64 false and a detached payload": sign(f"{b64(UNENCODED_HEADER)}."),
            "zip": make_token(deflate(claims()), {"alg": "HS256", "zip": "DEF"}),
            "zip with a decompression bomb": make_token(
                deflate(bytes(4_000_000)), {"alg": "HS256", "zip": "DEF"}
            ),
            "a token in a token": make_token(
                VALID["HS256"].encode(), {"alg": "HS256", "cty": "JWT"}
            ),
            "compact JWE": f"{JWE_HEADER}.{b64(bytes(32))}.{b64(bytes(12))}.{b64(bytes(40))}.AAAA",
            "compact JWE without a key": f"{JWE_HEADER}..{b64(bytes(12))}.{b64(bytes(40))}.AAAA",
            "a flattened JWS": json.dumps(FLATTENED, separators=(",", ":")),
            "a general JWS": json.dumps(GENERAL, separators=(",", ":")),
            "a general JWE": '{"protected":"e30","recipients":[{}],"iv":"AA","ciphertext":"AA"}',
            "a word": "abc",
            "one dot": "a.b",
            "only dots": "..",
            "four segments": "a.b.c.d",
            "an extra segment": f"{VALID['HS256']}.{SIGNATURE}",
            "a dot after it": f"{VALID['HS256']}.",
            "a dot before it": f".{VALID['HS256']}",
            "no header": f".{PAYLOAD}.{SIGNATURE}",
            "no payload": sign(f"{HEADER}."),
            "characters of Latin-1": "\xe9.\xe9.\xe9",
            "a character outside Latin-1": f"{HEADER}.{PAYLOAD}.😀",
            "a surrogate": f"{HEADER}.{PAYLOAD}.\ud800",
            "not base64": "!!!.???.###",
            "a signature with nonzero trailing bits": f"{HEADER}.{PAYLOAD}.{LENIENT_SIGNATURE}",
            "a signature that lacks two characters": VALID["HS256"][:-2],
            "a signature in base64": URLSAFE_TOKEN.replace("-", "+").replace("_", "/"),
            "a signature with too much padding": VALID["HS256"] + "==",
            "a signature that is only padding": f"{HEADER}.{PAYLOAD}.====",
            "padding within the signature": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:20]}={SIGNATURE[20:]}",
            "a space after it": VALID["HS256"] + " ",
            "a newline after it": VALID["HS256"] + "\n",
            "a newline before it": "\n" + VALID["HS256"],
            "a newline in the signature": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:20]}\n{SIGNATURE[20:]}",
            "a tab in the payload": f"{HEADER}.{PAYLOAD[:8]}\t{PAYLOAD[8:]}.{SIGNATURE}",
            "a NUL after it": VALID["HS256"] + "\0",
            "quotes around it": f'"{VALID["HS256"]}"',
            "percent-encoded": VALID["HS256"].replace(".", "%2E"),
            "a header that is a list": f"{b64(b'[]')}.{b64(b'{}')}.",
            "a header that is a number": f"{b64(b'1')}.{b64(b'{}')}.",
            "a header that is null": f"{b64(b'null')}.{b64(b'{}')}.",
            "a header that is a string": make_token(claims(), b'"HS256"'),
            "a header that is not JSON": make_token(claims(), b'{"alg": "HS256"'),
            "a header that is not UTF-8": make_token(claims(), b'{"alg": "HS256", "x": "\xff"}'),
            "a header of deeply nested lists": f"{b64(b'[' * 40_000)}.{b64(b'{}')}.",
            "a header of deeply nested objects": make_token(
                claims(), b'{"a":' * 10_000 + b"1" + b"}" * 10_000
            ),
            "a payload that is a list": make_token(b"[]"),
            "a payload that is a number": make_token(b"1"),
            "a payload that is null": make_token(b"null"),
            "a payload that is a string": make_token(b'"1"'),
            "a payload that is not JSON": make_token(b"{"),
            "a payload of two objects": make_token(claims() + claims()),
            "a payload that is not UTF-8": make_token(b"\xff\xfe"),
            "a payload of overlong UTF-8": make_token(claims(sub="_").replace(b"_", b"\xc0\xb1")),
            "a payload of deeply nested lists": make_token(b"[" * 40_000),
            "a payload of deeply nested objects": make_token(
                b'{"a":' * 10_000 + b"1" + b"}" * 10_000
            ),
            "a payload with a huge number": make_token(
                b'{"sub": "1", "exp": ' + b"9" * 5_000 + b"}"
            ),
            "a payload of 8 kB": make_token(b"x" * 6_000),
            "a payload of 60 kB": make_token(b"x" * 45_000),
            "exp that is infinite": make_token(claims(exp=float("inf"))),
            "exp that is NaN": make_token(claims(exp=float("nan"))),
            "exp that overflows a float": make_token(b'{"sub": "1", "exp": 1e999}'),
            "exp that is a date string": make_token(claims(exp="2100-01-01T00:00:00Z")),
        },
    ),
    (
        "HS256",
        MISSING_CLAIM,
        {"no sub": make_token(claims_without("sub")), "no claims": make_token(b"{}")},
    ),
    ("HS256", NOT_ACCESS_TOKEN, {"a refresh token": make_token(claims(type="refresh"))}),
    (
        "HS256",
        EXPIRED,
        {f"exp {exp!r}": make_token(claims(exp=exp)) for exp in (0, -1, -1e300, 1e9, "1", False)},
    ),
    (
        "HS256",
        NOT_YET_VALID,
        {
            "nbf in the future": make_token(claims(nbf=FAR_FUTURE)),
            "nbf in the far future": make_token(claims(nbf=1e300)),
            "nbf in the future as a string": make_token(claims(nbf=str(FAR_FUTURE))),
            "iat in the future": make_token(claims(iat=FAR_FUTURE)),
        },
    ),
    ("HS256", USER_NOT_FOUND, {"a sub that is a surrogate": make_token(claims(sub="\ud800"))}),
    (
        "HS256",
        PROFILE,
        {
            f"without {claim}": make_token(claims_without(claim))
            for claim in ("exp", "jti", "type", "fresh")
        }
        | {f"typ {typ!r}": token_with_header(typ=typ) for typ in TYP_VALUES}
        | {
            f"{name} that is ignored": token_with_header(**{name: v})
            for name, v in KEY_HEADERS.items()
        }
        | {
            "a kid that is ignored": token_with_header(kid="../../../../dev/null"),
            "crit b64": token_with_header(b64=True, crit=["b64"]),
            "b64 that is a number": token_with_header(b64=0),
            "zip without compression": token_with_header(zip="DEF"),
            "alg twice, HS256 last": make_token(claims(), b'{"alg": "none", "alg": "HS256"}'),
            "sub twice, John last": make_token(b'{"sub": "2", ' + claims()[1:]),
            "a header in UTF-16": make_token(claims(), '{"alg": "HS256"}'.encode("utf-16")),
            "a payload in UTF-16": make_token(claims().decode().encode("utf-16")),
            "a payload in UTF-32": make_token(claims().decode().encode("utf-32")),
            "a payload with a byte order mark": make_token(claims().decode().encode("utf-8-sig")),
            "a payload with white space": make_token(b"\r\n\t " + claims() + b" \n"),
            "a signature with padding": VALID["HS256"] + "=",
            "a deeply nested claim": make_token(claims(x=json.loads("[" * 100 + "]" * 100))),
            "a long claim": make_token(claims(x="x" * 5_900)),
            "a claim in many scripts": make_token(claims(x="josé 😀 \u202e")),
            "exp as a string": make_token(claims(exp=str(FAR_FUTURE))),
        },
    ),
    (
        "RS256",
        BAD_ALGORITHM,
        {
            f"HS256 with {name} for RS256": make_token(claims(), secret=key)
            for name, key in PUBLIC_KEYS_AS_SECRETS.items()
        }
        | {
            "none for RS256": make_token(claims(), {"alg": "none"}, RSA, "RS256"),
            "RS384 with the RS256 key": make_token(claims(), secret=RSA, algorithm="RS384"),
            "PS256 with the RS256 key": make_token(claims(), secret=RSA, algorithm="PS256"),
        },
    ),
    (
        "RS256",
        BAD_SIGNATURE,
        {
            f"RS256 with {name} that names the attacker's key": make_token(
                claims(), {"alg": "RS256", name: value}, ATTACKER_RSA, "RS256"
            )
            for name, value in KEY_HEADERS.items()
        }
        | {
            "no RS256 signature": f"{RS256_INPUT}.",
            "an RS256 signature of zeros": f"{RS256_INPUT}.{b64(bytes(256))}",
            "an RS256 signature that is 1": f"{RS256_INPUT}.{b64(bytes(255) + bytes([1]))}",
            "an RS256 signature that lacks a byte": f"{RS256_INPUT}.{b64(RS256_BYTES[:-1])}",
            "an RS256 signature with an extra byte": f"{RS256_INPUT}.{b64(bytes(1) + RS256_BYTES)}",
            "HS256 with RS256 as its alg": make_token(claims(), {"alg": "RS256"}, PEM),
        },
    ),
    (
        "RS256 or HS256",
        BAD_KEY,
        {
            f"HS256 with {name} where both are allowed": make_token(claims(), secret=key)
            for name, key in PUBLIC_KEYS_AS_SECRETS.items()
        },
    ),
    (
        "aud and iss",
        PROFILE,
        {"the audience in a list": make_token(claims(**CHECKED_CLAIMS | {"aud": ["them", "us"]}))},
    ),
    (
        "aud and iss",
        BAD_AUDIENCE,
        {
            f"aud {aud!r}": make_token(claims(**CHECKED_CLAIMS | {"aud": aud}))
            for aud in ("US", "us ", ["us", 1])
        },
    ),
    (
        "aud and iss",
        BAD_ISSUER,
        {
            f"iss {iss!r}": make_token(claims(**CHECKED_CLAIMS | {"iss": iss}))
            for iss in ("US", ["us"])
        },
    ),
    (
        "aud and iss",
        MISSING_CLAIM,
        {"neither aud nor iss": make_token(claims()), "no aud": make_token(claims(iss="us"))},
    ),
    (
        "ES256",
        BAD_ALGORITHM,
        {
            "HS256 with the public key for ES256": make_token(claims(), secret=make_public_pem(EC)),
            "none for ES256": make_token(claims(), {"alg": "none"}, EC, "ES256"),
            "RS256 for ES256": make_token(claims(), secret=ATTACKER_RSA, algorithm="RS256"),
        },
    ),
    (
        "ES256",
        BAD_SIGNATURE,
        {
            "an ES256 signature in DER": f"{ES256_INPUT}.{b64(encode_dss_signature(R, S))}",
            "an ES256 signature of zeros": es256_token(0, 0),
            "an ES256 signature of ones": es256_token(1, 1),
            "an ES256 signature of the curve order": es256_token(CURVE_ORDER, CURVE_ORDER),
            "an ES256 signature with its halves swapped": es256_token(S, R),
            "an ES256 signature of longer numbers": es256_token(R, S, 33),
            "an ES256 signature that lacks a byte": f"{ES256_INPUT}.{b64(ES256_BYTES[:-1])}",
            "an ES256 signature with an extra byte": f"{ES256_INPUT}.{b64(ES256_BYTES + bytes(1))}",
            "no ES256 signature": f"{ES256_INPUT}.",
            "ES256 with the attacker's key for ES256": make_token(
                claims(), secret=ATTACKER_EC, algorithm="ES256"
            ),
        },
    ),
    ("ES256", PROFILE, {"an ES256 signature with the other s": es256_token(R, CURVE_ORDER - S)}),
]
_TABLE += [
    (
        host,
        response,
        {f"{claim} that is {name} (host: {host})": make_token(claims(**base | {claim: value}))},
    )
    for host, base, table in (
        ("HS256", {}, RESPONSES_BY_CLAIM),
        ("aud and iss", CHECKED_CLAIMS, RESPONSES_BY_CHECKED_CLAIM),
    )
    for claim, responses in table.items()
    for (name, value), response in zip(VALUES_BY_TYPE.items(), responses, strict=True)
]
TOKENS = {
    name: HostileToken(token, host, response)
    for host, response, rows in _TABLE
    for name, token in rows.items()
}
if len(TOKENS) != sum(len(rows) for *_, rows in _TABLE):
    raise ValueError("Two hostile tokens have the same name.")


def fits_in_header(token: str) -> bool:
    """Return whether HTTP clients would send the token as one word of a header."""
    return token.isprintable() and " " not in token and max(token) <= "\xff"
