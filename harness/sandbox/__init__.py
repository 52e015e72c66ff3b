"""Runs programs that nobody trusts, and decides with tests that they cannot see, forge or outlive. (short;
see below)
"""

from harness.sandbox.pool import Pool, Settings


def start(settings: Settings | None = None) -> Pool:
    """A sandbox; a context manager. Workers start with the first program, and end when it is closed."""
    return Pool(settings or Settings())


__all__ = ["Pool", "Settings", "start"]
