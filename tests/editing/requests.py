"""Send a PATCH request, and read its response."""

from __future__ import annotations

import json

from contract import URL


def patch(host, body=None, identity="1", headers=(), **options):
    """Send a PATCH request for a user; ``data`` sends raw bytes instead of a JSON body."""
    if "data" not in options:
        options["data"] = json.dumps(body)
    options = {"content_type": "application/json"} | options
    return host.client.patch(URL, headers={**host.bearer(identity), **dict(headers)}, **options)


def parse(response):
    """Return the status and the JSON body of a response."""
    return response.status_code, response.json
