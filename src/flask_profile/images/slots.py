"""Limit how many images a process decodes at once. Memory belongs to the process, not to an app."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from ..errors import UnavailableError

_AT_ONCE, _WAITING = 2, 2
_SECONDS = 20  # The maximum time that an upload waits.

_slots = threading.Semaphore(_AT_ONCE)
_places = threading.Semaphore(_AT_ONCE + _WAITING)


def _find_trim() -> Callable[[int], int] | None:
    """Return ``malloc_trim`` of the C library, which only glibc has."""
    with suppress(AttributeError, OSError, TypeError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    return None


_trim = _find_trim()


@contextmanager
def decoding_slot() -> Generator[None]:
    """Wait until an image may be decoded in the ``with`` block, and return its memory afterwards.

    The C library would otherwise keep the freed memory of each thread of the server.

    Raises:
        UnavailableError: If too many others already wait, or if it takes too long.
    """
    if not _places.acquire(blocking=False):
        raise UnavailableError("Too many images are being decoded or waiting.")
    try:
        if not _slots.acquire(timeout=_SECONDS):
            raise UnavailableError("Other images took too long to decode.")
        try:
            yield
        finally:
            if _trim is not None:
                _trim(0)
            _slots.release()
    finally:
        _places.release()
