"""The objects that change the users of one registered profile, created once per app."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from .editing import Editor
from .errors import ConfigurationError
from .locking import UserLock
from .mapping import (
    AvatarAttribute,
    find_active_attribute,
    find_avatar_attribute,
    require_possible_attribute,
)
from .policy import WritePolicy

if TYPE_CHECKING:
    from .attempts import Change
    from .resource import Resource
    from .storage import AvatarStorage


class UserChanges:
    """The objects that the views of one registered profile share to change its users.

    The properties raise ConfigurationError if that is not possible.

    Args:
        resource: The registered profile.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._settings = resource.settings

    @cached_property
    def lock(self) -> UserLock:
        """The lock of the users."""
        resource = self._resource
        return UserLock(
            resource.app.extensions["sqlalchemy"],
            resource.query,
            require_active=resource.require_active,
            render=resource.render_edited,
        )

    @cached_property
    def editor(self) -> Editor:
        """The object that sets attributes of the users."""
        resource = self._resource
        return Editor(resource.app, self.lock, resource.schema, self.write_policy)

    @cached_property
    def deletion(self) -> Change[Any]:
        """The change that DELETE makes."""
        from .deleting import Deactivation, Deletion

        app, describe = self._resource.app, self._resource.describe
        if self._settings.deactivates:
            active = self._find_active_attribute()
            return Deactivation(app=app, lock=self.lock, describe=describe, active=active)
        avatar = (self.avatar_attribute.name, self.storage) if self._settings.avatars else None
        return Deletion(app=app, lock=self.lock, describe=describe, avatar=avatar)

    @cached_property
    def storage(self) -> AvatarStorage:
        """The storage of the avatars. It needs the extra ``avatars``."""
        from .storage import AvatarStorage

        return AvatarStorage(self._resource.app, self._settings)

    @cached_property
    def write_policy(self) -> WritePolicy:
        """The attributes that a PATCH must not write."""
        query = self._resource.query
        avatar = self.avatar_attribute.name if self._settings.avatars else None
        policy = WritePolicy(query.mapper, identity=query.key, avatar=avatar)
        if "PATCH" in self._settings.methods:
            policy.require_safe_schema(self._resource.schema)
        return policy

    @cached_property
    def avatar_attribute(self) -> AvatarAttribute:
        """The attribute of a user that an upload sets."""
        return find_avatar_attribute(self._resource.schema, self._resource.query.mapper)

    def require_possible(self) -> None:
        """Raise ConfigurationError if users cannot be changed as the settings say."""
        if "PATCH" in self._settings.methods or self._settings.avatars:
            _ = self.write_policy
        if self._settings.deactivates:
            self._find_active_attribute()

    def require_possible_attributes(self) -> None:
        """Raise ConfigurationError if the named model certainly lacks a required attribute."""
        try:
            schema = self._resource.schema
        except ConfigurationError:
            return  # The first request will raise it.
        model = self._settings.user_model
        if model is not None and self._settings.avatars:
            require_possible_attribute(schema, "avatar", model)
        if model is not None and self._settings.deactivates:
            require_possible_attribute(schema, "is_active", model)

    def _find_active_attribute(self) -> str:
        return find_active_attribute(self._resource.schema, self._resource.query.mapper)
