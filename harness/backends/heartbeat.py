"""Signs of life from inside long work: what tells a worker that computes for minutes from one that hangs.

Who waits for them (runs/workers) sets `listener` in its process; elsewhere a beat costs a comparison. It has to come
from where the work is done: a thread of its own would beat on while the work hangs.
"""

from collections.abc import Callable
from time import monotonic

INTERVAL_S = 1.0  # between two that are told

listener: Callable[[], None] | None = None
_last = 0.0


def beat() -> None:
    """Called after each step of long work."""
    global _last
    if listener is not None and (now := monotonic()) - _last >= INTERVAL_S:
        _last = now
        listener()
