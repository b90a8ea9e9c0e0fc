"""Every exception of the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast


class ConfigurationError(Exception):
    """The configuration of your app is wrong.

    ``register_blueprint`` raises it for a wrong ``PROFILE_*`` value. The first request raises it
    for problems that can only be found then, such as a missing ``JWTManager`` or user model. The
    message says what is wrong, and which line of code or config fixes it.
    """


class UserNotFoundError(Exception):
    """No user in the database has the identity."""


class UserInactiveError(Exception):
    """The user of the identity is not active."""


class UnavailableError(Exception):
    """The database has too much other work for this request."""


class UnknownKeyError(Exception):
    """The host's ``decode_key_loader`` has no key for the token, or fails."""


class RefusalError(Exception):
    """The request is refused because of its content. The user may be served."""


class IncompleteBodyError(RefusalError):
    """The body ends before its ``Content-Length``."""


class MalformedJSONError(RefusalError):
    """The body is not JSON in UTF-8 (RFC 8259)."""


class DuplicateKeysError(RefusalError):
    """An object of the body has a key twice, so that its meaning is not certain."""


class TooDeepError(RefusalError):
    """The JSON of the body is nested too deep."""


class NotAnObjectError(RefusalError):
    """The body is JSON, but not an object."""


class InvalidFieldsError(RefusalError):
    """The schema refuses values, or the columns cannot hold them.

    The response has at most 100 fields, each with a list of at most 100 messages.

    Args:
        messages: The messages of each refused field, by the field's name. They are nested if the
            field nests other fields, as in marshmallow.
    """

    def __init__(self, messages: Mapping[str, object]) -> None:
        self.messages = {
            cut(name): [*islice(_list_messages(nested), 100)]
            for name, nested in islice(messages.items(), 100)
        }


class ConstraintError(RefusalError):
    """The database refuses the values, because of a rule that only the database knows."""


class PreconditionFailedError(RefusalError):
    """The profile no longer matches ``If-Match`` (RFC 9110 section 13.1.1)."""


class ReferencedError(RefusalError):
    """Other rows refer to the user, so it cannot be deleted."""


class BodyTooLargeError(RefusalError):
    """The body is larger than its limit.

    Args:
        limit: The limit, in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class UnsupportedMediaTypeError(RefusalError):
    """The body has a media type that is not accepted."""


class ImageFormatError(RefusalError):
    """The file is not an image of an accepted format."""


class BrokenImageError(RefusalError):
    """The image cannot be decoded."""


class TooManyPixelsError(RefusalError):
    """The image would take too much memory to decode."""


class TooManyScansError(RefusalError):
    """The image would take too much time to decode."""


class MissingFileError(RefusalError):
    """The form has no file in the field of the avatar."""


def cut(text: str) -> str:
    """Return at most 100 characters of a text of the client, to repeat it in a response."""
    return text[:100]


def _list_messages(messages: object, path: str = "") -> Iterator[str]:
    """Yield the messages of a field. Those of a nested field begin with its path."""
    if isinstance(messages, Mapping):
        for name, nested in cast("Mapping[object, object]", messages).items():
            inner = cut(str(name))
            yield from _list_messages(nested, f"{path}.{inner}" if path else inner)
    elif isinstance(messages, (list, tuple)):
        for message in cast("list[object]", messages):
            yield from _list_messages(message, path)
    else:
        yield f"{path}: {messages}" if path else str(messages)
