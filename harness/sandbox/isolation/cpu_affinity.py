"""A core for each worker, where sandboxes take all cores of a machine.

A program runs for milliseconds as three processes that wake each other. Left alone, the kernel spreads them over the
cores and back, and each move costs more than it gains once no core is free: on one core they share its caches.
Whoever leaves cores free is not bound, for its processes can work at the same time on the others.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

_NAME = "\0codelm-harness/core/{}"


@dataclass(frozen=True)
class Core:
    """Held until it is given back, or this process ends."""

    number: int
    claim: socket.socket

    def release(self) -> None:
        self.claim.close()


def claim() -> Core | None:
    """A core that no other sandbox of this machine has claimed; None where all are taken.

    The claim is a socket's name: it cannot be held twice, and ends with whoever holds it.
    """
    for number in sorted(os.sched_getaffinity(0)):
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(_NAME.format(number))
        except OSError:
            held.close()
        else:
            return Core(number, held)
    return None


@contextmanager
def pinned(core: Core | None) -> Iterator[None]:
    """What this thread starts meanwhile stays on that core. A kernel that refuses loses speed and nothing else."""
    with ExitStack() as back:
        if core is not None:
            before = os.sched_getaffinity(0)
            with suppress(OSError):
                os.sched_setaffinity(0, {core.number})
                back.callback(os.sched_setaffinity, 0, before)
        yield
