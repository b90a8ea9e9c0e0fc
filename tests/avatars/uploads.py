"""The bodies of uploads, and their limits."""

from __future__ import annotations

import re
from io import BytesIO

from images import encode

AVATAR_NAME = re.compile(r"avatars/[0-9a-f]{32}\.webp")
LIMIT = 20_000
FRAMING = 64 * 1024  # The bytes that a form may have in addition to its file.

FORM_TYPE = "multipart/form-data; boundary=x"
AVATAR_DISPOSITION = b'form-data; name="avatar"; filename="me.png"'


def build_form(disposition, data, boundary=b"x"):
    head = b"--" + boundary + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
    return head + data + b"\r\n--" + boundary + b"--\r\n"


def encode_padded(length, format="PNG"):
    """Return an image padded to this many bytes; decoders ignore the padding."""
    data = encode(format=format)
    return data + bytes(length - len(data))


class CountingBody:
    """A request body that counts the bytes read, and can call a function at the first read."""

    def __init__(self, data, on_first_read=lambda: None, endless=False):
        self.data = BytesIO(data)
        self.read_bytes = 0
        self.endless = endless
        self.on_first_read = on_first_read

    def read(self, size=-1):
        if not self.read_bytes:
            self.on_first_read()
        data = self.data.read(size)
        if self.endless and len(data) < size:
            data += b"x" * (size - len(data))
        self.read_bytes += len(data)
        return data
