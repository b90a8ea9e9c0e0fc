"""Find avatars that no row names. A process that dies during an upload leaves such files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import Connection, literal, select

from ..columns import find_column
from .profiles import registered_profiles

if TYPE_CHECKING:
    from flask import Flask

    from ..resource import Resource
    from ..storage import AvatarStorage

_BATCH = 5_000  # Each costs one query, which reads the whole column if it has no index.
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_age(_context: click.Context, _option: click.Parameter, value: str) -> timedelta:
    """Return an age such as ``1d``, ``12h``, ``30m`` or ``0s``; or raise click.BadParameter."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not an age such as 1d, 12h, 30m or 0s.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@dataclass(frozen=True)
class AvatarPlace:
    """A storage, with all registered profiles that use it.

    Args:
        storage: The storage.
        resources: The profiles.
    """

    storage: AvatarStorage
    resources: Sequence[Resource]

    def find_unused(self, older_than: timedelta) -> Iterator[list[str]]:
        """Yield the names of the files that no row names, in batches.

        Args:
            older_than: The minimum age of a file. An upload stores its file before its row.
        """
        before = datetime.now(timezone.utc) - older_than
        for names in self.storage.list_old(before, _BATCH):
            used = {name for resource in self.resources for name in _find_used(resource, names)}
            yield [name for name in names if name not in used]

    def is_in_use(self) -> bool:
        """Tell whether any row names a file. If so, this is probably the right database."""
        return any(_names_any(resource) for resource in self.resources)


def find_places(app: Flask) -> list[AvatarPlace]:
    """Return the storages of an app's avatars.

    Args:
        app: The app.

    Raises:
        ConfigurationError: If the app cannot store avatars.
    """
    resources: dict[str, list[Resource]] = {}
    for profile in registered_profiles(app).values():
        resource = profile.endpoint.resource
        if resource.settings.avatars:
            resources.setdefault(resource.changes.storage.location, []).append(resource)
    return [AvatarPlace(group[0].changes.storage, group) for group in resources.values()]


def _find_used(resource: Resource, names: list[str]) -> list[str]:
    """Return the names that a row has, including rows that the host's sessions would filter out."""
    column = _avatar_column(resource)
    return list(_select(resource, select(column).where(column.in_(names)))) if names else []


def _names_any(resource: Resource) -> bool:
    column = _avatar_column(resource)
    found = select(literal(1)).where(column.like("avatars/%")).limit(1)
    return bool(_select(resource, found))


def _avatar_column(resource: Resource) -> Any:
    """Return the column itself, to include the rows of all classes in its table."""
    mapper, name = resource.query.mapper, resource.changes.avatar_attribute.name
    column = find_column(mapper, name)
    return getattr(mapper.class_, name) if column is None else column


def _select(resource: Resource, statement: Any) -> Sequence[Any]:
    """Return the values that a statement selects in the database where users are written."""
    bind = resource.changes.lock.bind
    opened = nullcontext(bind) if isinstance(bind, Connection) else bind.connect()
    with opened as connection:
        values: Sequence[Any] = connection.scalars(statement).all()
        return values
