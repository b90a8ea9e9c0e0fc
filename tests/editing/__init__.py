"""Tests of the opt-in PATCH.

It is a package, so that its conftest.py does not replace tests/conftest.py as ``conftest``.
"""
