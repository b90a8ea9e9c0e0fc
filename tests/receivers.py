"""A receiver of signals, for tests."""

from __future__ import annotations


class Receiver:
    """A signal receiver that records each call and then calls a function."""

    def __init__(self, callback=lambda: None):
        self.received = []
        self._callback = callback

    def __call__(self, sender, **values):
        self.received.append((sender, values))
        self._callback()
