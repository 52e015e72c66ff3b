"""The tester's socket to its zygote, which sends the next fork's descriptors and how the last fork ended."""

import array
import socket
import struct
from typing import NamedTuple

# Wait status, CPU seconds, peak KiB, and what the zygote ended it for: 0 nothing, else one of these.
REPORT = struct.Struct("<idqB")
FILES, THREADS, UNSEEN = 1, 2, 3
# What goes before it: CPU seconds that the next process has used and waited for, and the limits that it has already,
# CPU seconds and megabytes; zeros where it takes them from its job.
START = struct.Struct("<dddq")
# With "done": the limits of the program at hand.
LIMITS = struct.Struct("<dq")

# To end one program and start another, on a machine that is overloaded.
_TIMEOUT_S = 60.0


class ZygoteError(Exception):
    """The zygote or its fork failed: a fault of the sandbox, not of the candidate."""


class NextFork(NamedTuple):
    """A process that waits for a job. `fds`: channel, stdout, stderr, pidfd. `limits`: those it has already; None where
    it takes them from its job, which is after it has said that it is confined.
    """

    fds: list[int]
    cpu_s: float
    waited_s: float
    limits: tuple[float, int] | None


class ZygoteControl:
    """The tester's end of the socket."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.settimeout(_TIMEOUT_S)

    def wait_ready(self) -> None:
        """Wait until the zygote is ready. Raises ZygoteError with its reason when it could not be set up."""
        self.socket.settimeout(None)  # as long as the controller waits
        greeting = self.socket.recv(4096)
        self.socket.settimeout(_TIMEOUT_S)
        if greeting != b"+":
            raise ZygoteError(greeting[1:].decode(errors="replace") or "the zygote ended while it was set up")

    def next_fork(self) -> tuple[bytes, NextFork]:
        """The last fork's report (empty the first time) and the next fork."""
        size = array.array("i").itemsize * 4
        try:
            data, ancillary, _, _ = self.socket.recvmsg(128, socket.CMSG_LEN(size))
        except TimeoutError:
            raise ZygoteError(f"the zygote did not answer within {_TIMEOUT_S:g} s") from None
        if not data:
            raise ZygoteError("the zygote ended")
        fds = array.array("i")
        for _, _, block in ancillary:
            fds.frombytes(block)
        if len(fds) != 4:
            raise ZygoteError("the zygote handed over too few descriptors")
        cpu, waited, *limits = START.unpack_from(data)
        return data[START.size :], NextFork(
            fds.tolist(), cpu, waited, (limits[0], limits[1]) if any(limits) else None
        )

    def done(self, limits: tuple[float, int]) -> None:
        """Tell the zygote to end the candidate; `limits` are what the next one will probably need too. Raises
        ZygoteError when the zygote is gone.
        """
        try:
            self.socket.send(LIMITS.pack(*limits))
        except (BrokenPipeError, ConnectionResetError):
            raise ZygoteError("the zygote ended") from None
