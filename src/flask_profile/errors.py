"""Every exception of the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast


class ConfigurationError(Exception):
    """The host app is set up in a way that cannot work.

    Raised by ``register_blueprint`` for a wrong ``PROFILE_*`` value, and at the first request for
    what can only be known then (no ``JWTManager``, no user model, …). The message names what is
    wrong and the line of code or config that fixes it.
    """


class UserNotFoundError(Exception):
    """No user of the database has the identity."""


class UserInactiveError(Exception):
    """The user of the identity is not active."""


class UnavailableError(Exception):
    """The database has too much other work for this request."""


class UnknownKeyError(Exception):
    """The host's ``decode_key_loader`` has no key for the token, or fails."""


class RefusalError(Exception):
    """The request of a user who may be served is refused for what it contains."""


class MalformedBodyError(RefusalError):
    """The body is not a JSON object (RFC 8259), breaks off, has a name twice or is too deep."""


class InvalidFieldsError(RefusalError):
    """The schema, or what the columns can hold, refuses values.

    Of at most 100 fields, the response has a list of at most 100 messages.

    Args:
        messages: The messages of each field that is refused, by the field's name; nested where the
            field nests others, as marshmallow makes them.
    """

    def __init__(self, messages: Mapping[str, object]) -> None:
        self.messages = {
            cut(name): [*islice(_list_messages(nested), 100)]
            for name, nested in islice(messages.items(), 100)
        }


class ConstraintError(RefusalError):
    """The database refuses the values, by a rule that only the database knows."""


class PreconditionFailedError(RefusalError):
    """The profile does not match ``If-Match`` any more (RFC 9110 section 13.1.1)."""


class ReferencedError(RefusalError):
    """Rows of other tables refer to the user, and forbid its deletion."""


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
    """Return what a response repeats of a text of the client: at most 100 characters."""
    return text[:100]


def _list_messages(messages: object, path: str = "") -> Iterator[str]:
    """Yield the messages of a field, those of a nested one with its path in front."""
    if isinstance(messages, Mapping):
        for name, nested in cast("Mapping[object, object]", messages).items():
            inner = cut(str(name))
            yield from _list_messages(nested, f"{path}.{inner}" if path else inner)
    elif isinstance(messages, (list, tuple)):
        for message in cast("list[object]", messages):
            yield from _list_messages(message, path)
    else:
        yield f"{path}: {messages}" if path else str(messages)
