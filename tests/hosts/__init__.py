"""Real apps of a page each, every one as the author of such a host would write it."""
