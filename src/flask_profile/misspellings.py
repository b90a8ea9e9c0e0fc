"""Find config keys that are probably misspelled settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import ConfigurationError


def refuse_misspelled_keys(config: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise ConfigurationError for a key that misspells a setting.

    Args:
        config: The config of the app.
        known: The keys of the settings.
    """
    for key in config:
        meant = [name for name in known if key.startswith("PROFILE_") and _is_typo(key, name)]
        if key not in known and meant:
            message = (
                f"{key} is {config[key]!r}, but there is no such setting. Did you mean "
                f"{meant[0]}? If the config key is your own, give it a name that is "
                "less similar to a setting."
            )
            raise ConfigurationError(message)


def _is_typo(key: str, name: str) -> bool:
    """Tell whether a key differs from a name by one letter, or by two swapped letters."""
    length = len(name)
    longer, shorter = (key, name) if len(key) > length else (name, key)
    if len(longer) == len(shorter) + 1:
        return shorter in {longer[:i] + longer[i + 1 :] for i in range(len(longer))}
    differing = [i for i, letter in enumerate(key) if name[i : i + 1] != letter]
    if len(key) != length or len(differing) not in {1, 2}:
        return False
    first, last = differing[0], differing[-1]
    swapped = name[:first] + name[first : last + 1][::-1] + name[last + 1 :]
    return first == last or (last == first + 1 and key == swapped)
