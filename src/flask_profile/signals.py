"""The signal that tells the host of a changed profile."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from blinker import Namespace

if TYPE_CHECKING:
    from flask import Flask

# Sent after the commit. The sender is the app, ``identity`` is that of the token, and ``changes``
# is a dict of the model's attributes to (old, new).
profile_updated = Namespace().signal("flask_profile.profile_updated")


def send_profile_updated(
    app: Flask, identity: object, changes: dict[str, tuple[object, object]]
) -> None:
    """Send ``profile_updated`` to all receivers, and log what any of them raises."""
    for receiver in profile_updated.receivers_for(app):
        try:
            app.ensure_sync(receiver)(app, identity=identity, changes=changes)
        except Exception:
            app.log_exception(sys.exc_info())
