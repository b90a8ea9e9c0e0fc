"""Tests of the opt-in avatars.

It is a package, so that its conftest.py does not replace tests/conftest.py as ``conftest``.
"""
