"""The signal that tells a host of a changed profile."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from blinker import Namespace

if TYPE_CHECKING:
    from flask import Flask

# Sent by the app after the commit, with the token's ``identity`` and ``changes``, a dict of the
# model's attributes to (old, new).
profile_updated = Namespace().signal("flask_profile.profile_updated")


def send(app: Flask, identity: object, changes: dict[str, tuple[object, object]]) -> None:
    """Tell all receivers of a change that is committed; what one of them raises is logged."""
    for receiver in profile_updated.receivers_for(app):
        try:
            app.ensure_sync(receiver)(app, identity=identity, changes=changes)
        except Exception:
            app.log_exception(sys.exc_info())
