"""The tester's socket to its zygote, which sends the next fork's descriptors and how the last fork ended."""

import array
import socket
import struct

# Wait status, CPU seconds, peak KiB, and what the zygote ended it for: 0 nothing, else one of these.
REPORT = struct.Struct("<idqB")
FILES, THREADS = 1, 2

# To end one program and start another, on a machine that is overloaded.
_TIMEOUT_S = 60.0


class ZygoteError(Exception):
    """The zygote or its fork failed: a fault of the sandbox, not of the candidate."""


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

    def next_fork(self) -> tuple[bytes, list[int]]:
        """The last fork's report (b"-" the first time) and the next fork's descriptors."""
        size = array.array("i").itemsize * 4
        try:
            data, ancillary, _, _ = self.socket.recvmsg(64, socket.CMSG_LEN(size))
        except TimeoutError:
            raise ZygoteError(f"the zygote did not answer within {_TIMEOUT_S:g} s") from None
        if not data:
            raise ZygoteError("the zygote ended")
        fds = array.array("i")
        for _, _, block in ancillary:
            fds.frombytes(block)
        if len(fds) != 4:
            raise ZygoteError("the zygote handed over too few descriptors")
        return data, fds.tolist()

    def done(self) -> None:
        """Tell the zygote to end the candidate. Raises ZygoteError when the zygote is gone."""
        try:
            self.socket.send(b"K")
        except (BrokenPipeError, ConnectionResetError):
            raise ZygoteError("the zygote ended") from None
