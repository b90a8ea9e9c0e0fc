"""The OpenAPI document of the profiles of an app. Needs the extra ``openapi``."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from apispec import APISpec
    from flask import Flask

__all__ = ["openapi_spec"]


def openapi_spec(app: Flask, spec: APISpec | None = None) -> dict[str, object]:
    """Return the OpenAPI 3.1 document of the profiles that are registered on an app.

    It contains the paths, methods and schemas of this app, its token locations as security
    schemes, and every response with an example. If your app has its own document, add the profiles
    to it in one line, after all blueprints are registered::

        openapi_spec(app, api.spec)  # of flask-smorest, or any APISpec

    Args:
        app: The app that the blueprints are registered on.
        spec: A document to add the profiles to. Its version of OpenAPI 3 is kept.

    Returns:
        The document (OpenAPI Specification 3.1), ready for ``json.dumps``. If ``spec`` is given, it
        is the document of ``spec``.

    Raises:
        ConfigurationError: If the app cannot serve a profile, or if apispec is not installed.
    """
    try:
        from apispec import APISpec
        from apispec.utils import deepupdate

        from .document import describe_profiles
    except ImportError as error:
        message = (
            'openapi_spec needs one more package:\n\n    pip install "flask-profile-api[openapi]"'
        )
        raise ConfigurationError(message) from error
    document = spec or APISpec("Profile", version("flask-profile-api"), "3.1.0")
    openapi_version = str(document.openapi_version)
    taken_names = document.components.schemas
    with app.app_context():
        for described in describe_profiles(app, openapi_version, taken_names=taken_names):
            document.options = deepupdate(document.options, described)
    return document.to_dict()
