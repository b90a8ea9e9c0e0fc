"""The ``PROFILE_*`` settings of one app: read once, checked, frozen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from math import inf
from os import PathLike, fspath
from pkgutil import resolve_name
from typing import Any, TypeVar

from marshmallow import Schema
from sqlalchemy.orm import Mapper

from .errors import ConfigurationError
from .misspellings import refuse_misspelled_keys

_T = TypeVar("_T")


class _ImportFailedError(Exception):
    """The object that a setting names cannot be imported. The message has the reason."""


_BOOLEAN = "True or False (in an environment variable, true or false in lowercase)"
_METHODS = ("GET", "PATCH", "POST", "DELETE")


def _text_matching(pattern: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(value)
        return str(value)

    return parse


def _parse_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _number_up_to(most: float) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ValueError(value)
        return value

    return parse


def _parse_storage(value: str | PathLike[str]) -> str:
    return _text_matching(r"[^\0]+")(fspath(value))


def _parse_methods(value: str | Iterable[str]) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    methods = dict.fromkeys(name.strip().upper() for name in names)
    methods.pop("", None)
    if not set(methods) <= set(_METHODS):
        raise ValueError(value)
    return tuple(methods)


def _parse_enabled_methods(value: str | Iterable[str]) -> tuple[str, ...]:
    methods = _parse_methods(value)
    if not methods:
        raise ValueError(value)
    return methods


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(value)
        return str(value)

    return parse


def _import(value: Any) -> Any:
    """Import the object that a string such as ``"package.module:User"`` names.

    Any other value is returned as it is.

    Raises:
        _ImportFailedError: If it cannot be imported.
    """
    if not isinstance(value, str):
        return value
    try:
        return resolve_name(value)
    except Exception as error:
        raise _ImportFailedError(f"{type(error).__name__}: {error}") from error


def _parse_model(value: Any) -> type:
    model = _import(value)
    if not (isinstance(model, type) and isinstance(getattr(model, "__mapper__", None), Mapper)):
        raise TypeError(value)
    return model


def _parse_schema(value: Any) -> type[Schema]:
    schema = _import(value)
    if not (isinstance(schema, type) and issubclass(schema, Schema)):
        raise TypeError(value)
    return schema


def _setting(default: _T, parse: Callable[[Any], _T], expected: str) -> _T:
    """Declare a setting: its default, how a value is parsed, and which values are expected."""
    metadata = {"parse": parse, "expected": expected}
    declared: _T = field(default=default, metadata=metadata)
    return declared


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One attribute for each config key, such as ``url_prefix`` for ``PROFILE_URL_PREFIX``."""

    url_prefix: str = _setting(
        "/api/profile",
        _text_matching(r"/|(/[^/\s<>?#]+)+/?"),
        'an absolute path, such as "/api/profile"',
    )
    user_model: type | None = _setting(
        None, _parse_model, 'a mapped model class, or "package.module:User"'
    )
    schema: type[Schema] | None = _setting(
        None, _parse_schema, 'a marshmallow schema class, or "package.module:Schema"'
    )
    methods: tuple[str, ...] = _setting(
        ("POST",), _parse_enabled_methods, f"a list of some of {', '.join(_METHODS)}"
    )
    fresh_methods: tuple[str, ...] = _setting(
        ("DELETE",), _parse_methods, f"a list of some of {', '.join(_METHODS)}, or an empty list"
    )
    on_delete: str = _setting("delete", _one_of("delete", "deactivate"), '"delete" or "deactivate"')
    identity_field: str | None = _setting(
        None, _text_matching(r"[^\W\d]\w*"), 'the name of a model attribute, such as "username"'
    )
    media_url: str = _setting(
        "/media/",
        _text_matching(r"(/|[A-Za-z][A-Za-z0-9+.-]*://)(\S*/)?"),
        'an absolute path or a URL that ends with a slash, such as "/media/"',
    )
    require_active: bool = _setting(True, _parse_boolean, _BOOLEAN)
    require_json: bool = _setting(False, _parse_boolean, _BOOLEAN)
    max_content_length: int = _setting(
        100 * 1024, _number_up_to(inf), "a number of bytes, such as 102400"
    )
    realm: str = _setting(
        "api",
        _text_matching(r"[ !#-\[\]-~]+"),
        "printable ASCII text without quotes and backslashes",
    )
    avatars: bool = _setting(False, _parse_boolean, _BOOLEAN)
    avatar_size: int = _setting(512, _number_up_to(16383), "a number of pixels, at most 16383")
    avatar_max_bytes: int = _setting(
        10 * 1024**2, _number_up_to(inf), "a number of bytes, such as 10485760"
    )
    media_storage: str | None = _setting(
        None, _parse_storage, 'a directory, or a URL such as "s3://bucket/prefix" or "memory://"'
    )

    @property
    def enabled_methods(self) -> tuple[str, ...]:
        """The enabled methods of the profile. GET includes HEAD."""
        enabled = _with_head(self.methods)
        order = ("POST", "GET", "HEAD", "PATCH", "DELETE")
        return tuple(method for method in order if method in enabled)

    @property
    def changes_users(self) -> bool:
        """Whether an enabled method changes users."""
        return self.avatars or not {"PATCH", "DELETE"}.isdisjoint(self.methods)

    @property
    def deactivates(self) -> bool:
        """Whether DELETE is enabled, and deactivates."""
        return "DELETE" in self.methods and self.on_delete == "deactivate"

    @property
    def methods_with_fresh_token(self) -> frozenset[str]:
        """The enabled methods of the profile that need a fresh access token."""
        return frozenset(_with_head(self.fresh_methods) & {*self.enabled_methods})

    @classmethod
    def by_key(cls) -> dict[str, Field[Any]]:
        """Return the declarations of the settings by their keys in an app's config."""
        return {f"PROFILE_{declared.name.upper()}": declared for declared in fields(cls)}

    @classmethod
    def read(
        cls,
        config: Mapping[str, Any],
        *,
        user_model: type | str | None = None,
        schema: type[Schema] | str | None = None,
    ) -> Settings:
        """Read and check an app's settings. Arguments of the blueprint override the config.

        Raises ConfigurationError for a wrong value, and for a misspelled key.
        """
        declared = cls.by_key()
        refuse_misspelled_keys(config, declared)
        given = {key: (key, config[key]) for key in declared if key in config}
        for name, argument in (("user_model", user_model), ("schema", schema)):
            if argument is not None:
                label = f"ProfileBlueprint({name}=…)"
                given[f"PROFILE_{name.upper()}"] = (label, argument)

        values: dict[str, Any] = {}
        for key, (label, value) in given.items():
            setting = declared[key]
            if value is None and setting.default is None:
                continue
            try:
                values[setting.name] = setting.metadata["parse"](value)
            except (TypeError, ValueError, AttributeError, _ImportFailedError) as error:
                reason = f" ({error})" if isinstance(error, _ImportFailedError) else ""
                message = (
                    f"{label} is {value!r}; it must be {setting.metadata['expected']}{reason}."
                )
                raise ConfigurationError(message) from (error.__cause__ or error)
        return cls(**values)


def _with_head(methods: Iterable[str]) -> set[str]:
    """Return methods, with HEAD if GET is one of them."""
    return {*methods} | ({"HEAD"} if "GET" in methods else set())
