"""The signals for profiles that were changed or deleted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from blinker import Namespace

if TYPE_CHECKING:
    from blinker import NamedSignal
    from flask import Flask

_signals = Namespace()
# Sent after the commit. The sender is the app, ``identity`` is that of the token, and ``changes``
# maps the model's attributes to (old, new).
profile_updated = _signals.signal("flask_profile.profile_updated")
# Sent after the commit of a deletion or deactivation. The sender is the app, ``identity`` is that
# of the token, and ``profile`` is the last state of the user, as the schema dumps it.
profile_deleted = _signals.signal("flask_profile.profile_deleted")


def send_profile_updated(
    app: Flask, identity: object, changes: Mapping[str, tuple[object, object]]
) -> None:
    """Send ``profile_updated`` to all receivers, and log the exceptions that they raise."""
    _send(profile_updated, app, identity=identity, changes=changes)


def send_profile_deleted(app: Flask, identity: object, profile: Mapping[str, object]) -> None:
    """Send ``profile_deleted`` to all receivers, and log the exceptions that they raise."""
    _send(profile_deleted, app, identity=identity, profile=profile)


def _send(signal: NamedSignal, app: Flask, **values: object) -> None:
    for receiver in signal.receivers_for(app):
        try:
            app.ensure_sync(receiver)(app, **values)
        except Exception:
            app.log_exception(sys.exc_info())
