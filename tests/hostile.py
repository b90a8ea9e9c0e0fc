"""What hostile clients send: one table of tokens, and one of identities.

The tokens are the attacks of RFC 8725 and whatever else a parser may trip over. What is accepted
stands here as well: most of it is the business of Flask-JWT-Extended and PyJWT, and is recorded
so that a change of theirs is seen.
"""

from __future__ import annotations

import base64
import itertools
import json
import uuid
import zlib
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import strategies as st

from conftest import SECRET
from responses import (
    ALGORITHM,
    AUDIENCE,
    EARLY,
    EXPIRED,
    ISSUER,
    LACKS_CLAIM,
    MALFORMED,
    NOBODY,
    PROFILE,
    REFRESH,
    SIGNATURE,
    UNCLAIMED,
)

FAR_FUTURE = 4_102_444_800
KEY = uuid.UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def claims(**changed: Any) -> bytes:
    values = {"sub": "1", "type": "access", "fresh": False, "jti": "x", "exp": FAR_FUTURE}
    return json.dumps(values | changed).encode()


def without(claim: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(claims()).items() if k != claim}).encode()


def sign(signing_input: str, secret: Any = SECRET, algorithm: str = "HS256") -> str:
    """Sign any text at all, as no library would do; the secret may be a private key."""
    made = jwt.get_algorithm_by_name(algorithm)
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signing_input}.{b64(made.sign(signing_input.encode(), key))}"


def signed(
    payload: bytes, header: Any = None, secret: Any = SECRET, algorithm: str = "HS256"
) -> str:
    """Sign any payload under any header: a value, or JSON as bytes."""
    header = {"alg": algorithm, "typ": "JWT"} if header is None else header
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return sign(f"{b64(head)}.{b64(payload)}", secret, algorithm)


def headed(**header: Any) -> str:
    """Sign good claims under a header that says more than it should."""
    return signed(claims(), {"alg": "HS256", "typ": "JWT"} | header)


def forged(**header: Any) -> str:
    """Sign good claims with a key of the attacker's, which the header names."""
    return signed(claims(), {"alg": "HS256", "typ": "JWT"} | header, secret="the attacker's" * 3)


def pem_pair(key: Any) -> dict[str, str]:
    """Return the config of a host that has this private key."""
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {"JWT_PRIVATE_KEY": private.decode(), "JWT_PUBLIC_KEY": public_pem(key)}


def public_pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


NONE = ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")]
TYPS = ["at+jwt", "JWE", "jwt", "dpop+jwt", "", None, 1, ["JWT"], {}]
B64_FALSE = b'{"alg": "HS256", "b64": false, "crit": ["b64"]}'
JWE = b'{"alg": "dir", "enc": "A256GCM"}'

RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
EVIL_RSA, EVIL_EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
EVIL_ED = ed25519.Ed25519PrivateKey.generate()

US = {"aud": "us", "iss": "us"}

# The hosts that the tokens are for, by what stands in their config.
HOSTS: dict[str, dict[str, Any]] = {
    "HS256": {"JWT_SECRET_KEY": SECRET},
    "RS256": {"JWT_ALGORITHM": "RS256", **pem_pair(RSA)},
    "RS256 or HS256": {
        "JWT_ALGORITHM": "RS256",
        "JWT_DECODE_ALGORITHMS": ["RS256", "HS256"],
        **pem_pair(RSA),
    },
    "ES256": {"JWT_ALGORITHM": "ES256", **pem_pair(EC)},
    "us": {
        "JWT_SECRET_KEY": SECRET,
        "JWT_DECODE_AUDIENCE": "us",
        "JWT_DECODE_ISSUER": "us",
    },
}
VALID = {
    "HS256": signed(claims()),
    "RS256": signed(claims(), secret=RSA, algorithm="RS256"),
    "RS256 or HS256": signed(claims(), secret=RSA, algorithm="RS256"),
    "ES256": signed(claims(), secret=EC, algorithm="ES256"),
    "us": signed(claims(**US)),
}

HEAD, PAYLOAD, TAIL = VALID["HS256"].split(".")
MAC = from_b64(TAIL)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LENIENT_TAIL = TAIL[:-1] + ALPHABET[ALPHABET.index(TAIL[-1]) + 1]  # The same bytes to some.
FLATTENED = {"payload": PAYLOAD, "protected": HEAD, "signature": TAIL}
GENERAL = {"payload": PAYLOAD, "signatures": [{"protected": HEAD, "signature": TAIL}]}
MARKED = next(  # A signature with both marks that base64url has and base64 has not.
    token
    for token in (signed(claims(jti=str(number))) for number in itertools.count())
    if {"-", "_"} <= {*token.rpartition(".")[2]}
)

RS_REST, _, RS_TAIL = VALID["RS256"].rpartition(".")
ES_REST, _, ES_TAIL = VALID["ES256"].rpartition(".")
ES_BYTES = from_b64(ES_TAIL)
R, S = (int.from_bytes(half, "big") for half in (ES_BYTES[:32], ES_BYTES[32:]))
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def es256(r: int, s: int, size: int = 32) -> str:
    """Return the valid token of the ES256 host with these numbers as its signature."""
    return f"{ES_REST}.{b64(r.to_bytes(size, 'big') + s.to_bytes(size, 'big'))}"


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(payload) + compressor.flush()


PEM = public_pem(RSA)
KEY_AS_SECRET = {
    "a public key": PEM,
    "a public key without its last newline": PEM.strip(),
    "a public key with a newline more": PEM + "\n",
    "a public key with CRLF": PEM.replace("\n", "\r\n"),
    "a public key on one line": PEM.replace("\n", ""),
    "a public key without its frame": "".join(PEM.splitlines()[1:-1]),
    "an empty key": "",
}
KEY_HEADERS = {
    "jku": "https://attacker.example/jwks.json",
    "x5u": "https://attacker.example/chain.pem",
    "jwk": jwt.get_algorithm_by_name("RS256").to_jwk(EVIL_RSA.public_key(), as_dict=True),
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
OF_EACH_TYPE = {
    "null": None,
    "a boolean": True,
    "a number": 1,
    "text": "x",
    "a list": ["x"],
    "an object": {"x": 1},
}
# What is answered to a claim of each of these types, in their order.
CLAIMS_OF_EACH_TYPE = {
    "sub": [MALFORMED, MALFORMED, MALFORMED, NOBODY, MALFORMED, MALFORMED],
    "exp": [MALFORMED, EXPIRED, EXPIRED, MALFORMED, MALFORMED, MALFORMED],
    "nbf": [MALFORMED, PROFILE, PROFILE, MALFORMED, MALFORMED, MALFORMED],
    "iat": [MALFORMED, PROFILE, PROFILE, MALFORMED, MALFORMED, MALFORMED],
    "jti": [MALFORMED, MALFORMED, MALFORMED, PROFILE, MALFORMED, MALFORMED],
    "aud": [PROFILE] * 6,
    "iss": [PROFILE] * 6,
    "type": [PROFILE] * 6,
    "fresh": [PROFILE] * 6,
    "csrf": [PROFILE] * 6,
}
CLAIMS_FOR_US = {"aud": [UNCLAIMED] + [AUDIENCE] * 5, "iss": [ISSUER] * 6}


class Hostile(NamedTuple):
    """A token, the host that it is sent to, and how this answers (see responses.py)."""

    token: str
    host: str
    answer: str


_TABLE: list[tuple[str, str, dict[str, str]]] = [
    (
        "HS256",
        ALGORITHM,
        {
            f"{none}, unsigned": signed(claims(), {"alg": none}).rpartition(".")[0] + "."
            for none in NONE
        }
        | {f"{none}, signed": signed(claims(), {"alg": none}) for none in NONE}
        | {
            f"alg {alg!r}": signed(claims(), {"alg": alg})
            for alg in ("hs256", "HS256 ", "HS\0", "", None, True, 0, 256, ["HS256"], {}, {"a": 1})
        }
        | {
            "HS384 with the secret": signed(claims(), algorithm="HS384"),
            "HS512 with the secret": signed(claims(), algorithm="HS512"),
            "RS256 of the attacker's": signed(claims(), secret=EVIL_RSA, algorithm="RS256"),
            "PS256 of the attacker's": signed(claims(), secret=EVIL_RSA, algorithm="PS256"),
            "ES256 of the attacker's": signed(claims(), secret=EVIL_EC, algorithm="ES256"),
            "EdDSA of the attacker's": signed(claims(), secret=EVIL_ED, algorithm="EdDSA"),
            "no alg": signed(claims(), {"typ": "JWT"}),
            "an empty header": signed(claims(), {}),
            "alg twice, none the last": signed(claims(), b'{"alg": "HS256", "alg": "none"}'),
            "Alg for alg": signed(claims(), {"Alg": "HS256"}),
        },
    ),
    (
        "HS256",
        SIGNATURE,
        {
            f"{name} as the secret": signed(claims(), secret=key)
            for name, key in KEY_AS_SECRET.items()
        }
        | {f"a kid that is {name}": forged(kid=kid) for name, kid in KIDS.items()}
        | {f"{name} of the attacker's": forged(**{name: v}) for name, v in KEY_HEADERS.items()}
        | {
            "another secret": signed(claims(), secret="not the secret of the host, but as long"),
            "another payload": f"{HEAD}.{b64(claims(sub='2'))}.{TAIL}",
            "another header": f"{b64(json.dumps({'alg': 'HS256'}).encode())}.{PAYLOAD}.{TAIL}",
            "no signature": f"{HEAD}.{PAYLOAD}.",
            "a signature of one byte": f"{HEAD}.{PAYLOAD}.AA",
            "a signature that lacks three characters": VALID["HS256"][:-3],
            "a signature that lacks a byte": f"{HEAD}.{PAYLOAD}.{b64(MAC[:-1])}",
            "a signature with a byte more": f"{HEAD}.{PAYLOAD}.{b64(MAC + bytes(1))}",
            "a signature of zeros": f"{HEAD}.{PAYLOAD}.{b64(bytes(32))}",
            "a signature in hexadecimal": f"{HEAD}.{PAYLOAD}.{MAC.hex()}",
            "a signature encoded twice": f"{HEAD}.{PAYLOAD}.{b64(TAIL.encode())}",
            "a signature of the payload alone": f"{HEAD}.{PAYLOAD}.{sign(PAYLOAD).split('.')[1]}",
            "the signature of another token": f"{HEAD}.{PAYLOAD}.{MARKED.rpartition('.')[2]}",
        },
    ),
    (
        "HS256",
        MALFORMED,
        {
            f"a kid that is {name}": headed(kid=kid)
            for name, kid in OF_EACH_TYPE.items()
            if kid != "x"
        }
        | {
            f"crit {crit!r}": headed(crit=crit)
            for crit in (["exp"], ["alg"], ["b64"], [""], [1], [None], [], None, "b64", {"b64": 1})
        }
        | {
            "b64 false": headed(b64=False),
            "b64 false and critical": headed(b64=False, crit=["b64"]),
            "b64 false and a raw payload": sign(f"{b64(B64_FALSE)}.{claims().decode()}"),
            "b64 false and a payload apart": sign(f"{b64(B64_FALSE)}."),
            "zip": signed(deflated(claims()), {"alg": "HS256", "zip": "DEF"}),
            "zip of a bomb": signed(deflated(bytes(4_000_000)), {"alg": "HS256", "zip": "DEF"}),
            "a token in a token": signed(VALID["HS256"].encode(), {"alg": "HS256", "cty": "JWT"}),
            "a compact JWE": f"{b64(JWE)}.{b64(bytes(32))}.{b64(bytes(12))}.{b64(bytes(40))}.AAAA",
            "a compact JWE without a key": f"{b64(JWE)}..{b64(bytes(12))}.{b64(bytes(40))}.AAAA",
            "a flattened JWS": json.dumps(FLATTENED, separators=(",", ":")),
            "a general JWS": json.dumps(GENERAL, separators=(",", ":")),
            "a general JWE": '{"protected":"e30","recipients":[{}],"iv":"AA","ciphertext":"AA"}',
            "a word": "abc",
            "one dot": "a.b",
            "dots": "..",
            "four segments": "a.b.c.d",
            "a segment more": f"{VALID['HS256']}.{TAIL}",
            "a dot more": f"{VALID['HS256']}.",
            "a dot before it": f".{VALID['HS256']}",
            "no header": f".{PAYLOAD}.{TAIL}",
            "no payload": sign(f"{HEAD}."),
            "latin-1": "\xe9.\xe9.\xe9",
            "beyond latin-1": f"{HEAD}.{PAYLOAD}.😀",
            "a surrogate": f"{HEAD}.{PAYLOAD}.\ud800",
            "not base64": "!!!.???.###",
            "a signature with a lenient end": f"{HEAD}.{PAYLOAD}.{LENIENT_TAIL}",
            "a signature that lacks two characters": VALID["HS256"][:-2],
            "a signature in base64": MARKED.replace("-", "+").replace("_", "/"),
            "a signature with too much padding": VALID["HS256"] + "==",
            "a signature that is all padding": f"{HEAD}.{PAYLOAD}.====",
            "padding within the signature": f"{HEAD}.{PAYLOAD}.{TAIL[:20]}={TAIL[20:]}",
            "a space behind it": VALID["HS256"] + " ",
            "a newline behind it": VALID["HS256"] + "\n",
            "a newline before it": "\n" + VALID["HS256"],
            "a newline in the signature": f"{HEAD}.{PAYLOAD}.{TAIL[:20]}\n{TAIL[20:]}",
            "a tab in the payload": f"{HEAD}.{PAYLOAD[:8]}\t{PAYLOAD[8:]}.{TAIL}",
            "a NUL behind it": VALID["HS256"] + "\0",
            "quotes around it": f'"{VALID["HS256"]}"',
            "percent-encoded": VALID["HS256"].replace(".", "%2E"),
            "a header that is a list": f"{b64(b'[]')}.{b64(b'{}')}.",
            "a header that is a number": f"{b64(b'1')}.{b64(b'{}')}.",
            "a header that is null": f"{b64(b'null')}.{b64(b'{}')}.",
            "a header that is text": signed(claims(), b'"HS256"'),
            "a header that is no JSON": signed(claims(), b'{"alg": "HS256"'),
            "a header that is no UTF-8": signed(claims(), b'{"alg": "HS256", "x": "\xff"}'),
            "a header of deep lists": f"{b64(b'[' * 40_000)}.{b64(b'{}')}.",
            "a header of deep objects": signed(claims(), b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
            "a payload that is a list": signed(b"[]"),
            "a payload that is a number": signed(b"1"),
            "a payload that is null": signed(b"null"),
            "a payload that is text": signed(b'"1"'),
            "a payload that is no JSON": signed(b"{"),
            "a payload of two objects": signed(claims() + claims()),
            "a payload that is no UTF-8": signed(b"\xff\xfe"),
            "a payload of overlong UTF-8": signed(claims(sub="_").replace(b"_", b"\xc0\xb1")),
            "a payload of deep lists": signed(b"[" * 40_000),
            "a payload of deep objects": signed(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
            "a payload with a huge number": signed(b'{"sub": "1", "exp": ' + b"9" * 5_000 + b"}"),
            "a payload of 8 kB": signed(b"x" * 6_000),
            "a payload of 60 kB": signed(b"x" * 45_000),
            "exp that is infinite": signed(claims(exp=float("inf"))),
            "exp that is no number": signed(claims(exp=float("nan"))),
            "exp with an exponent beyond a float": signed(b'{"sub": "1", "exp": 1e999}'),
            "exp that is a date": signed(claims(exp="2100-01-01T00:00:00Z")),
        },
    ),
    ("HS256", LACKS_CLAIM, {"no sub": signed(without("sub")), "no claims": signed(b"{}")}),
    ("HS256", REFRESH, {"a refresh token": signed(claims(type="refresh"))}),
    (
        "HS256",
        EXPIRED,
        {f"exp {exp!r}": signed(claims(exp=exp)) for exp in (0, -1, -1e300, 1e9, "1", False)},
    ),
    (
        "HS256",
        EARLY,
        {
            "nbf of the future": signed(claims(nbf=FAR_FUTURE)),
            "nbf of the far future": signed(claims(nbf=1e300)),
            "nbf of the future as text": signed(claims(nbf=str(FAR_FUTURE))),
            "iat of the future": signed(claims(iat=FAR_FUTURE)),
        },
    ),
    ("HS256", NOBODY, {"a sub that is a surrogate": signed(claims(sub="\ud800"))}),
    (
        "HS256",
        PROFILE,
        {f"without {claim}": signed(without(claim)) for claim in ("exp", "jti", "type", "fresh")}
        | {f"typ {typ!r}": headed(typ=typ) for typ in TYPS}
        | {f"{name} that nobody asks for": headed(**{name: v}) for name, v in KEY_HEADERS.items()}
        | {
            "a kid that nobody asks for": headed(kid="../../../../dev/null"),
            "crit b64": headed(b64=True, crit=["b64"]),
            "b64 that is a number": headed(b64=0),
            "zip that is not": headed(zip="DEF"),
            "alg twice, HS256 the last": signed(claims(), b'{"alg": "none", "alg": "HS256"}'),
            "sub twice, John the last": signed(b'{"sub": "2", ' + claims()[1:]),
            "a header in UTF-16": signed(claims(), '{"alg": "HS256"}'.encode("utf-16")),
            "a payload in UTF-16": signed(claims().decode().encode("utf-16")),
            "a payload in UTF-32": signed(claims().decode().encode("utf-32")),
            "a payload with a byte order mark": signed(claims().decode().encode("utf-8-sig")),
            "a payload with white space": signed(b"\r\n\t " + claims() + b" \n"),
            "a signature with padding": VALID["HS256"] + "=",
            "a deep claim": signed(claims(x=json.loads("[" * 100 + "]" * 100))),
            "a long claim": signed(claims(x="x" * 5_900)),
            "a claim in many scripts": signed(claims(x="josé 😀 \u202e")),
            "exp as text": signed(claims(exp=str(FAR_FUTURE))),
        },
    ),
    (
        "RS256",
        ALGORITHM,
        {
            f"HS256 with {name} for RS256": signed(claims(), secret=key)
            for name, key in KEY_AS_SECRET.items()
        }
        | {
            "none for RS256": signed(claims(), {"alg": "none"}, RSA, "RS256"),
            "RS384 with the key of RS256": signed(claims(), secret=RSA, algorithm="RS384"),
            "PS256 with the key of RS256": signed(claims(), secret=RSA, algorithm="PS256"),
        },
    ),
    (
        "RS256",
        SIGNATURE,
        {
            f"RS256 with {name} of the attacker's": signed(
                claims(), {"alg": "RS256", name: value}, EVIL_RSA, "RS256"
            )
            for name, value in KEY_HEADERS.items()
        }
        | {
            "no RS256 signature": f"{RS_REST}.",
            "an RS256 signature of zeros": f"{RS_REST}.{b64(bytes(256))}",
            "an RS256 signature that is 1": f"{RS_REST}.{b64(bytes(255) + bytes([1]))}",
            "an RS256 signature that lacks a byte": f"{RS_REST}.{b64(from_b64(RS_TAIL)[:-1])}",
            "an RS256 signature with a byte more": f"{RS_REST}.{b64(bytes(1) + from_b64(RS_TAIL))}",
            "HS256 under the name of RS256": signed(claims(), {"alg": "RS256"}, PEM),
        },
    ),
    (
        "RS256 or HS256",
        MALFORMED,
        {
            f"HS256 with {name} where both are allowed": signed(claims(), secret=key)
            for name, key in KEY_AS_SECRET.items()
        },
    ),
    ("us", PROFILE, {"one audience of several": signed(claims(**US | {"aud": ["them", "us"]}))}),
    (
        "us",
        AUDIENCE,
        {f"aud {aud!r}": signed(claims(**US | {"aud": aud})) for aud in ("US", "us ", ["us", 1])},
    ),
    ("us", ISSUER, {f"iss {iss!r}": signed(claims(**US | {"iss": iss})) for iss in ("US", ["us"])}),
    ("us", UNCLAIMED, {"neither": signed(claims()), "no aud": signed(claims(iss="us"))}),
    (
        "ES256",
        ALGORITHM,
        {
            "HS256 with the public key for ES256": signed(claims(), secret=public_pem(EC)),
            "none for ES256": signed(claims(), {"alg": "none"}, EC, "ES256"),
            "RS256 for ES256": signed(claims(), secret=EVIL_RSA, algorithm="RS256"),
        },
    ),
    (
        "ES256",
        SIGNATURE,
        {
            "an ES256 signature in DER": f"{ES_REST}.{b64(encode_dss_signature(R, S))}",
            "an ES256 signature of zeros": es256(0, 0),
            "an ES256 signature of ones": es256(1, 1),
            "an ES256 signature of the order": es256(ORDER, ORDER),
            "an ES256 signature with its halves swapped": es256(S, R),
            "an ES256 signature of wider numbers": es256(R, S, 33),
            "an ES256 signature that lacks a byte": f"{ES_REST}.{b64(ES_BYTES[:-1])}",
            "an ES256 signature with a byte more": f"{ES_REST}.{b64(ES_BYTES + bytes(1))}",
            "no ES256 signature": f"{ES_REST}.",
            "ES256 of the attacker's for ES256": signed(
                claims(), secret=EVIL_EC, algorithm="ES256"
            ),
        },
    ),
    ("ES256", PROFILE, {"an ES256 signature with the other s": es256(R, ORDER - S)}),
]
_TABLE += [
    (host, answer, {f"{claim} that is {name} to {host}": signed(claims(**base | {claim: value}))})
    for host, base, table in (("HS256", {}, CLAIMS_OF_EACH_TYPE), ("us", US, CLAIMS_FOR_US))
    for claim, answers in table.items()
    for (name, value), answer in zip(OF_EACH_TYPE.items(), answers, strict=True)
]
TOKENS = {
    name: Hostile(token, host, answer)
    for host, answer, rows in _TABLE
    for name, token in rows.items()
}
if len(TOKENS) != sum(len(rows) for *_, rows in _TABLE):
    raise ValueError("Two hostile tokens have the same name.")


def fits_a_header(token: str) -> bool:
    """Tell whether a client library would send it, as one word."""
    return token.isprintable() and " " not in token and max(token) <= "\xff"


# Whatever JSON can say, to hypothesis.
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)

# No user of any host: texts that are not the text of a key, values of other types, and keys of
# nobody.
IDENTITIES: list[Any] = [
    *("", " ", "\0", "1\0", "\0001", "\ud800", "1\udfff", "\ufeff1", "1\u200b", "\u202e1", "\xa01"),
    *(" 1", "1 ", "1\n", "\r\n1", "\t1", "+1", "01", "--1", "1-", "1_0", "_1", "1.", "1.0", ".1"),
    *("1e0", "1E0", "-0", "+0", "0x1", "0b1", "0o1", "1L", "1j", "１", "١", "¹", "Ⅰ", "1\u0307"),
    *("1,2", "1;2", "1 OR 1=1", "1' OR '1'='1", "1'--", "1/*", "'; DROP TABLE", '"1"', "'1'"),
    *("%", "_", "*", "%31", "&#49;", "\\x31", "\\u0031", "${1}", "{{1}}", "{0}", "%s", "$1", ":id"),
    *("true", "null", "None", "NaN", "Infinity", "-Infinity", "[]", "[1]", "{}", '{"id": 1}'),
    *("../1", "/1", "1/", "file:///etc/passwd", "<script>", "admin", "root", "A", "A7 ", "B7"),
    f"A{2**63}",
    *("A07", "A+7", "A７", "a7", "JOHN_DOE", "john_doe ", "john_doe\0", "jose\u0301 😀", "josé"),
    *("9" * 5_000, "-" + "9" * 5_000, "x" * 10_000, "😀" * 5_000, "1" + " " * 5_000),
    *(str(KEY).upper(), KEY.hex, f"{{{KEY}}}", f"urn:uuid:{KEY}", f"{KEY} ", f"{KEY}\n"),
    *(str(KEY)[:-1], f"{KEY}0", str(KEY).replace("-", "_"), str(KEY.int), str(uuid.UUID(int=0))),
    *("0", "-1", "2", str(2**15), str(2**31), str(-(2**31) - 1), str(2**32), str(2**32 + 1)),
    *(str(2**63), str(-(2**63) - 1), str(2**64), str(2**64 + 1), str(10**30)),
    *(0, -1, 2, 2**31, 2**32 + 1, 2**63, -(2**63) - 1, 2**64 + 1, 10**30, 10**4_000),
    *(None, True, False, 1.0, 1.5, -0.0, 1e300, float("inf"), float("nan")),
    *([], ["1"], [1], [[]], [None], {}, {"id": 1}, {"": {}}, {"sub": "1"}),
]
