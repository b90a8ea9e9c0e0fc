"""Serve an app on a socket."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from werkzeug.serving import make_server


@contextmanager
def serve(app, **options):
    """Serve an app in a thread and yield the port; the options are those of ``make_server``.

    By default it serves one request at a time. A response therefore shows that the server has
    finished all earlier requests.
    """
    server = make_server("127.0.0.1", 0, app, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
