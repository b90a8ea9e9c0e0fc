"""Checks of the settings: late changes, unknown keys, and the storage of avatars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...settings import Settings
from .problem import Problem

if TYPE_CHECKING:
    from flask import Flask

    from ...resource import Resource


def check_other_keys(app: Flask) -> Iterator[Problem]:
    """Yield a note with the ``PROFILE_*`` keys of the config that are not settings.

    Args:
        app: The app.
    """
    ours = Settings.by_key()
    others = sorted(key for key in app.config if key.startswith("PROFILE_") and key not in ours)
    if others:
        yield Problem(
            "other_keys",
            f"These config keys are not settings of flask-profile-api: {', '.join(others)}.",
            level="note",
        )


def check_settings(resource: Resource) -> Iterator[Problem]:
    """Yield a problem for settings that were changed after they were read.

    Args:
        resource: The registered profile.
    """
    now = resource.app.config
    changed = sorted(key for key, value in resource.config.items() if now.get(key) != value)
    if changed:
        yield Problem(
            "changed_setting",
            f"{', '.join(changed)} was changed after the blueprint was registered, which has no "
            "effect. Change it before app.register_blueprint(…).",
        )


def check_storage(resource: Resource) -> Iterator[Problem]:
    """Yield a problem if an avatar cannot be stored.

    Args:
        resource: The registered profile.
    """
    if not resource.settings.avatars:
        return
    storage = resource.changes.storage
    try:
        storage.require_writable()
    except Exception as error:
        reason = str(error).partition("\n")[0]
        message = f"Avatars cannot be stored in {storage.location!r}: {reason}"
        yield Problem("storage", message)
