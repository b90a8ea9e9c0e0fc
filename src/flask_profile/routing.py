"""Send the 405 responses of a URL, while the host's own routes on the same URL still work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import has_request_context, request

if TYPE_CHECKING:
    from werkzeug.routing import Rule

# The method that Werkzeug's router looks up to list the methods of a URL.
_LISTING_METHOD = "--"


class UrlMethods(set[str]):
    """The methods of a rule, which also matches all methods that no other route of its URL has.

    With a plain set, the router would refuse a method before it knows the blueprint, and the 405
    would be the host's. With all methods, a route of the host on the same URL would never match.

    Args:
        rule: The rule, whose enabled methods the set contains.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.methods or ())
        self._rule = rule

    def __contains__(self, method: object) -> bool:
        if method == _LISTING_METHOD:
            return has_request_context() and request.method == method  # A client may send it, too.
        return super().__contains__(method) or method not in allowed_methods(self._rule)


def claim_other_methods(rule: Rule) -> None:
    """Let a rule also match the methods that no other route of its URL has."""
    rule.methods = UrlMethods(rule)


def allowed_methods(rule: Rule) -> set[str]:
    """Return the methods of all routes of a rule's URL, including the host's own."""
    return {
        method
        for other in rule.map.iter_rules()
        if _pattern(other) == _pattern(rule)
        for method in other.methods or ()
    }


def _pattern(rule: Rule) -> tuple[str | None, str | None, str]:
    return rule.host, rule.subdomain, rule.rule
