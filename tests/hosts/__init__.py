"""Small but realistic host apps, each written as its author would write it, and their tests."""
