"""Pins each worker to a core of its own, where sandboxes use all cores of the machine.

A program runs for milliseconds as three processes that wake each other. Unpinned, the kernel moves them between cores,
and once no core is free each move costs more than it gains: on one core they share its caches. A pool that leaves cores
free is not pinned, because its processes can run in parallel on the other cores.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

_NAME = "\0codelm-harness/core/{}"


@dataclass(frozen=True)
class Core:
    """A claimed core. The claim ends with `release`, or with this process."""

    number: int
    claim: socket.socket

    def release(self) -> None:
        self.claim.close()


def claim() -> Core | None:
    """A core that no other sandbox on this machine has claimed; None where all are claimed.

    A claim is the name of an abstract socket: nobody else can bind it, and it ends with the process that holds it.
    """
    for number in sorted(os.sched_getaffinity(0)):
        claim_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim_socket.bind(_NAME.format(number))
        except OSError:
            claim_socket.close()
        else:
            return Core(number, claim_socket)
    return None


@contextmanager
def pinned(core: Core | None) -> Iterator[None]:
    """What this thread starts inside runs on that core only. Where the kernel refuses, nothing is pinned."""
    with ExitStack() as back:
        if core is not None:
            before = os.sched_getaffinity(0)
            with suppress(OSError):
                os.sched_setaffinity(0, {core.number})
                back.callback(os.sched_setaffinity, 0, before)
        yield
