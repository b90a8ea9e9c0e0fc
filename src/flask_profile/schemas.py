"""ProfileSchema: what of a user may be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import getattr_static
from types import CodeType
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, missing

from .models import as_utc
from .settings import ConfigurationError, Settings

if TYPE_CHECKING:
    from datetime import datetime

_ROOTED_OR_URL = re.compile(r"/|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


# What a profile is made of, as a tree of attribute names: {"id": {}, "team": {"name": {}}}.
Tree = dict[str, "Tree"]


class Identifier(fields.Field[Any]):
    """A key: an integer stays one, any other (a UUID, …) is sent as its text."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> int | str | None:
        return value if value is None or isinstance(value, int) else str(value)


class UtcDateTime(fields.Field["datetime"]):
    """RFC 3339 in UTC with a ``Z``, and a fraction only where there is one."""

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if value is None:
            return None
        return as_utc(value).isoformat().replace("+00:00", "Z")


class MediaUrl(fields.Field[str]):
    """The URL of a stored file: a relative name is put behind ``media_url``."""

    media_url = "/media/"

    def _serialize(
        self, value: str | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if not value:
            return None
        return value if _ROOTED_OR_URL.match(value) else self.media_url + value


class ProfileSchema(Schema):
    """The twelve documented fields of a profile, in their documented order.

    A host subclasses it to send more or less, with fields of any kind that marshmallow
    knows, and names the subclass in ``PROFILE_SCHEMA`` or ``ProfileBlueprint(schema=…)``::

        class PublicProfile(ProfileSchema):
            class Meta:
                exclude = ("email", "number_phone")

    Only the columns that a schema names are read from the database. Points in time are
    sent as RFC 3339 in UTC.
    """

    id = Identifier(dump_only=True)
    username = fields.String(dump_only=True)
    email = fields.String(dump_only=True)
    first_name = fields.String()
    last_name = fields.String()
    number_phone = fields.String(allow_none=True)
    avatar = MediaUrl(dump_only=True)
    date_joined = UtcDateTime(dump_only=True)
    last_login = UtcDateTime(dump_only=True)
    is_active = fields.Boolean(dump_only=True)
    is_staff = fields.Boolean(dump_only=True)
    is_superuser = fields.Boolean(dump_only=True)


def attributes_read(
    schema: Schema, user: object, settings: Settings
) -> tuple[Tree, list[Callable[..., object]]]:
    """Return the attributes that an answer reads, and the host's functions that see the user.

    Raises ConfigurationError where a user, or the model of users, lacks such an attribute.
    """
    tree: Tree = {}
    _collect(schema, tree)
    reshaping = _reshaping(schema)
    optional = {
        path[0] for path, field in _dumped(schema) if reshaping or field.dump_default is not missing
    }
    if settings.require_active:
        tree["is_active"] = {}
        optional.discard("is_active")
    for name in [name for name in tree if value_of(user, name) is missing]:
        if name not in optional:
            owner = (user if isinstance(user, type) else type(user)).__name__
            remedy = (
                'app.config["PROFILE_REQUIRE_ACTIVE"] = False'
                if name == "is_active"
                else f'exclude = ("{name}",)  # in the Meta of {type(schema).__name__}'
            )
            message = (
                f"{owner} has no attribute {name!r}, which {type(schema).__name__} sends or "
                "PROFILE_REQUIRE_ACTIVE decides by. Add the column to the model, or do without it:"
                f"\n\n    {remedy}"
            )
            raise ConfigurationError(message)
        del tree[name]
    return tree, [*reshaping, *_seeing_user(schema)]


def add_mentioned(tree: Tree, functions: Iterable[object], model: type) -> None:
    """Add the attributes that functions and properties mention, so that they are loaded too.

    What these reach in another way is loaded when they touch it, by a further statement.
    """
    mentioned: set[str] = set()
    unread = [*functions, *(getattr_static(model, name) for name in tree)]
    while unread:
        names = {*_names_in(unread.pop())} - mentioned
        mentioned |= names
        unread += [getattr_static(model, name, None) for name in names]
    for name in mentioned:
        if value_of(model, name) is not missing:
            tree.setdefault(name, {})


def dumper(schema: Schema, columns: list[str]) -> Callable[[Any], Any]:
    """Return what dumps a user; without detours where that is a dict of columns.

    Such a user is only read where nothing of the host's sees it: what is left of marshmallow's
    dump is what its fields do.
    """
    plan: list[tuple[str, str, Callable[..., object]]] = []
    for name, field in schema.dump_fields.items():
        serialize = field._serialize  # pyright: ignore[reportPrivateUsage]
        plan.append((field.data_key or name, field.attribute or name, serialize))
    if not columns or {name for _, name, _ in plan} - {*columns}:
        return schema.dump

    def dump(user: dict[str, Any]) -> dict[str, object]:
        return {key: serialize(user[name], name, user) for key, name, serialize in plan}

    return dump


def value_of(user: Any, name: str) -> Any:
    """Return a value of a user, whether it is an object or a mapping; missing if it has none."""
    if isinstance(user, Mapping):
        return user.get(name, missing)
    # Asked of a class, a hybrid property would make SQL of itself.
    look_up = getattr_static if isinstance(user, type) else getattr
    return look_up(user, name, missing)


def sends_as_declared(schema: Schema) -> bool:
    """Tell whether an answer is just what the fields make of a user."""
    return not (_reshaping(schema) or hooks(schema, "post_dump"))


def _dumped(schema: Schema) -> list[tuple[list[str], Any]]:
    """Return the fields that are read from attributes, each with the path of its attribute."""
    return [
        ((field.attribute or name).split("."), field)
        for name, field in schema.dump_fields.items()
        if not isinstance(field, (fields.Method, fields.Function, fields.Constant))
    ]


def _collect(schema: Schema, tree: Tree, outer: frozenset[object] = frozenset()) -> None:
    this = (type(schema), frozenset(schema.dump_fields))
    if this in outer:
        return  # It nests itself: what lies deeper is loaded when it is touched.
    for path, field in _dumped(schema):
        node = tree
        for name in path:
            node = node.setdefault(name, {})
        while isinstance(field, fields.List):
            field = field.inner
        if isinstance(field, fields.Nested):
            _collect(field.schema, node, outer | {this})


def hooks(schema: Schema, tag: str) -> list[Callable[..., object]]:
    """Return the methods of a schema that have a tag of marshmallow's, such as ``pre_dump``."""
    return [getattr(schema, hook[0]) for hook in type(schema).resolve_hooks()[tag]]


def _reshaping(schema: Schema) -> list[Callable[..., object]]:
    """Return what of the host's may hand the fields something else than the user."""
    names = ("dump", "get_attribute")
    changed = [n for n in names if getattr(type(schema), n) is not getattr(Schema, n)]
    return hooks(schema, "pre_dump") + [getattr(schema, name) for name in changed]


def _seeing_user(schema: Schema) -> Iterator[Callable[..., object]]:
    """Yield what else of the host's is handed the user, not a value of it."""
    yield from hooks(schema, "post_dump")
    for field in schema.dump_fields.values():
        if isinstance(field, fields.Method):
            yield getattr(schema, field.serialize_method_name or "dump")
        elif isinstance(field, fields.Function):
            yield field.serialize_func or schema.dump
        for name in ("serialize", "get_value", "_serialize"):
            method = getattr(field, name)
            if method.__module__ not in {fields.__name__, __name__}:
                yield method


def _names_in(function: Any) -> Iterator[str]:
    function = getattr(function, "fget", None) or getattr(function, "func", function)
    codes: list[object] = [getattr(function, "__code__", None)]
    for code in codes:
        if isinstance(code, CodeType):
            yield from code.co_names
            codes += code.co_consts
