"""The PROFILE_* settings of one app: read once, checked, frozen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import inf
from os import PathLike, fspath
from typing import Any, TypeVar

from marshmallow import Schema
from sqlalchemy.orm import Mapper
from werkzeug.utils import import_string

_T = TypeVar("_T")

_METHODS = ("GET", "PATCH", "POST")


class ConfigurationError(Exception):
    """The host app is set up in a way that cannot work.

    Raised by ``register_blueprint`` for a wrong ``PROFILE_*`` value, and at the first request for
    what can only be known then (no ``JWTManager``, no user model, …). The message names what is
    wrong and the line of code or config that mends it.
    """


def _text(pattern: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(value)
        return str(value)

    return parse


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _number(most: float) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ValueError(value)
        return value

    return parse


def _storage(value: str | PathLike[str]) -> str:
    return _text(r"[^\0]+")(fspath(value))


def _methods(value: str | Iterable[str]) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    methods = tuple(dict.fromkeys(name.strip().upper() for name in names))
    if not methods or not set(methods) <= set(_METHODS):
        raise ValueError(value)
    return methods


def _imported(value: Any) -> Any:
    return import_string(value) if isinstance(value, str) else value


def _model(value: Any) -> type:
    model = _imported(value)
    if not (isinstance(model, type) and isinstance(getattr(model, "__mapper__", None), Mapper)):
        raise TypeError(value)
    return model


def _schema(value: Any) -> type[Schema]:
    schema = _imported(value)
    if not (isinstance(schema, type) and issubclass(schema, Schema)):
        raise TypeError(value)
    return schema


def _setting(default: _T, parse: Callable[[Any], _T], right: str) -> _T:
    """Declare a setting: its default, what reads a value, and what a right value is."""
    metadata = {"parse": parse, "right": right}
    declared: _T = field(default=default, metadata=metadata)
    return declared


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One attribute for each ``PROFILE_*`` key; the key is the name in capitals."""

    url_prefix: str = _setting(
        "/api/profile",
        _text(r"/|(/[^/\s<>?#]+)+/?"),
        'a path from the root, such as "/api/profile"',
    )
    user_model: type | None = _setting(
        None, _model, 'a mapped model class, or "package.module:User"'
    )
    schema: type[Schema] | None = _setting(
        None, _schema, 'a marshmallow schema class, or "package.module:Schema"'
    )
    methods: tuple[str, ...] = _setting(
        ("POST",), _methods, f"a list that holds some of {', '.join(_METHODS)}"
    )
    identity_field: str | None = _setting(
        None, _text(r"[^\W\d]\w*"), 'the name of a model attribute, such as "username"'
    )
    media_url: str = _setting(
        "/media/",
        _text(r"(/|[A-Za-z][A-Za-z0-9+.-]*://)(\S*/)?"),
        'a path from the root or a URL that ends with a slash, such as "/media/"',
    )
    require_active: bool = _setting(True, _boolean, "true or false")
    require_json: bool = _setting(False, _boolean, "true or false")
    realm: str = _setting(
        "api", _text(r"[ !#-\[\]-~]+"), "printable ASCII text without quotes and backslashes"
    )
    avatars: bool = _setting(False, _boolean, "true or false")
    avatar_size: int = _setting(512, _number(16383), "a number of pixels, at most 16383")
    avatar_max_bytes: int = _setting(
        5 * 1024**2, _number(inf), "a number of bytes, such as 5242880"
    )
    media_storage: str | None = _setting(
        None, _storage, 'a directory, or a URL such as "s3://bucket/prefix" or "memory://"'
    )

    @classmethod
    def read(
        cls,
        config: Mapping[str, Any],
        *,
        user_model: type | str | None = None,
        schema: type[Schema] | str | None = None,
    ) -> Settings:
        """Read and check an app's settings; an argument of the blueprint wins over the config.

        Raises ConfigurationError for a wrong value, and for a key that is a near miss of ours.
        """
        declared = {f"PROFILE_{f.name.upper()}": f for f in fields(cls)}
        _refuse_near_misses(config, declared)
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
            except (TypeError, ValueError, AttributeError, ImportError) as error:
                message = f"{label} is {value!r}; it must be {setting.metadata['right']}."
                raise ConfigurationError(message) from error
        return cls(**values)


def _refuse_near_misses(config: Mapping[str, Any], known: Iterable[str]) -> None:
    suffixes = [key.removeprefix("PROFILE_") for key in known]
    for key in config:
        suffix = key.removeprefix("PROFILE_")
        if suffix == key or suffix in suffixes:
            continue
        near = get_close_matches(suffix, suffixes, n=1, cutoff=0.8)
        if near:
            message = (
                f"{key} is {config[key]!r}, but there is no such setting; it must be "
                f"spelled PROFILE_{near[0]}. (Is the key your own? Then give it a name "
                "that is not so close to one of ours.)"
            )
            raise ConfigurationError(message)
