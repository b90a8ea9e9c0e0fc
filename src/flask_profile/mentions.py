"""Find the attributes that the code of the host's functions mentions, to load them too.

A method field may read any attribute of the user, and only its code says which. Without this, each
attribute that it reads would cost another statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import getattr_static
from types import CodeType
from typing import Any

from .inspection import AttributeTree, has_attribute


def add_mentioned(tree: AttributeTree, functions: Iterable[object], model: type) -> None:
    """Add the attributes that functions, and the properties in the tree, mention by name.

    An attribute that they read in another way is loaded by another statement when it is read.
    """
    mentioned: set[str] = set()
    unread = [*functions, *(getattr_static(model, name) for name in tree)]
    while unread:
        names = {*_names_in_code(unread.pop())} - mentioned
        mentioned |= names
        unread += [getattr_static(model, name, None) for name in names]
    for name in mentioned:
        if has_attribute(model, name):
            tree.setdefault(name, {})


def _names_in_code(function: Any) -> Iterator[str]:
    """Yield the names in the code of a function, a property or a cached property."""
    function = getattr(function, "fget", None) or getattr(function, "func", function)
    codes: list[object] = [getattr(function, "__code__", None)]
    for code in codes:
        if isinstance(code, CodeType):
            yield from code.co_names
            codes += code.co_consts
