"""How many images a process decodes at once: memory is the process's, so this is not per app."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from ..errors import UnavailableError

_AT_ONCE, _WAITING = 2, 2
_SECONDS = 20  # How long an upload waits at most.

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
    """Wait until an image may be decoded in the ``with`` block, and give its memory back.

    The threads of a server live on, and the C library would keep for each what it has freed.

    Raises:
        UnavailableError: Where enough others wait already, or it takes too long.
    """
    if not _places.acquire(blocking=False):
        raise UnavailableError("Other images are being decoded, and enough wait.")
    try:
        if not _slots.acquire(timeout=_SECONDS):
            raise UnavailableError("Other images are being decoded.")
        try:
            yield
        finally:
            if _trim is not None:
                _trim(0)
            _slots.release()
    finally:
        _places.release()
