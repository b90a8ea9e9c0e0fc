"""Identities that match no user of any host."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import strategies as st

USER_UUID = uuid.UUID("6f1c2a51-93b5-4b6e-8f0e-3f6f3a2f1c0d")

# A hypothesis strategy for any JSON value.
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)

# Identities that match no user of any host: strings that are not the canonical form of an id,
# values of other types, and ids without a user.
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
    *(
        str(USER_UUID).upper(),
        USER_UUID.hex,
        f"{{{USER_UUID}}}",
        f"urn:uuid:{USER_UUID}",
        f"{USER_UUID} ",
        f"{USER_UUID}\n",
    ),
    *(
        str(USER_UUID)[:-1],
        f"{USER_UUID}0",
        str(USER_UUID).replace("-", "_"),
        str(USER_UUID.int),
        str(uuid.UUID(int=0)),
    ),
    *("0", "-1", "2", str(2**15), str(2**31), str(-(2**31) - 1), str(2**32), str(2**32 + 1)),
    *(str(2**63), str(-(2**63) - 1), str(2**64), str(2**64 + 1), str(10**30)),
    *(0, -1, 2, 2**31, 2**32 + 1, 2**63, -(2**63) - 1, 2**64 + 1, 10**30, 10**4_000),
    *(None, True, False, 1.0, 1.5, -0.0, 1e300, float("inf"), float("nan")),
    *([], ["1"], [1], [[]], [None], {}, {"id": 1}, {"": {}}, {"sub": "1"}),
]
