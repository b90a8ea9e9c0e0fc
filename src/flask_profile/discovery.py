"""Find the model of the users of an app, and its attribute that identifies a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .errors import ConfigurationError
from .models import ProfileMixin

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy.orm import DeclarativeBase, Mapper


def find_user_model(db: SQLAlchemy) -> type:
    """Return the only model with the ProfileMixin, or raise ConfigurationError."""
    models = [mapper.class_ for mapper in cast("type[DeclarativeBase]", db.Model).registry.mappers]
    users = [
        model
        for model in models
        if issubclass(model, ProfileMixin) and not any(base in models for base in model.__mro__[1:])
    ]
    if len(users) == 1:
        return users[0]
    names = sorted(f"{user.__module__}:{user.__qualname__}" for user in users)
    message = (
        f"Several models have the ProfileMixin: {', '.join(names)}. Name the one to use:\n\n"
        f'    app.config["PROFILE_USER_MODEL"] = "{names[0]}"'
        if names
        else "No model of this app's SQLAlchemy has the ProfileMixin. Add it to your user model, "
        "in a module that is imported before the first request:\n\n"
        "    class User(ProfileMixin, db.Model): ...\n\n"
        "Or name a model without the mixin, and a schema with the fields that it has:\n\n"
        '    app.config["PROFILE_USER_MODEL"] = "package.module:User"\n'
        '    app.config["PROFILE_SCHEMA"] = "package.module:UserSchema"'
    )
    raise ConfigurationError(message)


def require_visible_columns(model: type) -> None:
    """Raise ConfigurationError if a class before the ProfileMixin hides one of its columns.

    Flask-Login's ``UserMixin`` does that: its ``is_active`` is true for every user.
    """
    for name in ProfileMixin.__annotations__ if issubclass(model, ProfileMixin) else ():
        owner = next(base for base in model.__mro__ if name in vars(base))
        if not issubclass(owner, ProfileMixin):
            message = (
                f"{owner.__name__} hides the column {name!r} of {model.__name__}. Put the "
                "ProfileMixin first:\n\n"
                f"    class {model.__name__}(ProfileMixin, {owner.__name__}, db.Model): ..."
            )
            raise ConfigurationError(message)


def find_identity_attribute(mapper: Mapper[Any], identity_field: str | None) -> str:
    """Return the attribute that a token's identity is matched against.

    Args:
        mapper: The mapper of the users.
        identity_field: The value of ``PROFILE_IDENTITY_FIELD``.

    Raises:
        ConfigurationError: If there is no such column, or no single primary key.
    """
    if identity_field is None and len(mapper.primary_key) == 1:
        return mapper.get_property_by_column(mapper.primary_key[0]).key
    if identity_field is not None and identity_field in mapper.column_attrs:
        return identity_field
    model = mapper.class_.__name__
    problem = (
        f"The primary key of {model} has several columns."
        if identity_field is None
        else f"PROFILE_IDENTITY_FIELD is {identity_field!r}, which is not a column of {model}."
    )
    columns = ", ".join(mapper.column_attrs.keys())
    message = (
        f"{problem} Name the column that identifies a user, one of {columns}:\n\n"
        '    app.config["PROFILE_IDENTITY_FIELD"] = "…"'
    )
    raise ConfigurationError(message)
