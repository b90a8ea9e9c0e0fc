"""The views of the avatar: upload and removal. Needs the extra ``avatars``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import request

from .bodies import FORM_TYPE, read_body, refuse_failures
from .errors import BodyTooLargeError, BrokenImageError, ConfigurationError, MissingFileError
from .patching import Patch
from .views import AuthenticatedView

try:
    from .images import encode_avatar
    from .storage import AvatarStorage
except ImportError as error:
    message = (
        'PROFILE_AVATARS needs two more packages:\n\n    pip install "flask-profile-api[avatars]"'
    )
    raise ConfigurationError(message) from error

if TYPE_CHECKING:
    from flask import Response

    from .attempts import Attempts
    from .resource import Endpoint

_FORM_OVERHEAD = 16 * 1024  # Bytes that a multipart form may have in addition to the file.


class AvatarView(AuthenticatedView):
    """The avatar of the token's user."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        settings = endpoint.resource.settings
        self._size = settings.avatar_size
        self._max_bytes = settings.avatar_max_bytes
        self._storage: AvatarStorage = endpoint.resource.changes.storage

    def max_content_length(self) -> int:
        """Return how many bytes an upload may have, including the form around it."""
        if request.method != "PUT":
            return super().max_content_length()
        return self._max_bytes + (_FORM_OVERHEAD if request.mimetype == FORM_TYPE else 0)

    def require_media_type(self) -> None:
        """Accept any declared media type: the format is detected from the content."""

    def put(self) -> Response:
        """Store the uploaded image and return the new profile.

        The token is verified before the upload, and again after it. So no transaction is open while
        a client is slow, and the callbacks of the host prepare the transaction of the edit.
        """
        attempts = self.begin_attempts()
        self.authenticate()
        attempts.end_transaction()
        avatar = encode_avatar(_read_upload(self._max_bytes), self._size)
        return self._change(attempts, self._storage.put(avatar))

    def delete(self) -> Response:
        """Remove the avatar, if there is one."""
        self._change(self.begin_attempts(), None)
        return self.responder.no_content()

    def _change(self, attempts: Attempts, name: str | None) -> Response:
        """Switch to a stored avatar, or to none, and remove the old one after the commit."""
        undo = partial(self._storage.remove, name)
        try:
            identity, user = self.verify()
        except BaseException:
            undo()
            raise
        attribute = self.resource.changes.avatar_attribute
        change = self.resource.changes.editor.make_change(
            Patch({attribute.name: name or attribute.absent})
        )
        response, changed = attempts.run(change, identity, user, undo)
        for old, _ in changed.values():
            self._storage.remove(old)
        return response


def _read_upload(max_bytes: int) -> bytes:
    """Return the uploaded file: the field ``avatar`` of a form, or the body itself."""
    try:
        if request.mimetype != FORM_TYPE:
            return read_body(broken=BrokenImageError)
        file = refuse_failures(lambda: request.files.get("avatar"), broken=BrokenImageError)
    except BodyTooLargeError as error:
        raise BodyTooLargeError(min(error.limit, max_bytes)) from error
    if file is None:
        raise MissingFileError
    data: bytes = file.read()
    if len(data) > max_bytes:
        raise BodyTooLargeError(max_bytes)
    return data
