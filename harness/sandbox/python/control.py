"""The tester's socket to its zygote: the next fork's descriptors come over it, and how the last one ended."""

import array
import socket
import struct

# Wait status, CPU seconds, peak KiB, and whether the scratch quota was overrun.
REPORT = struct.Struct("<idq?")


class ZygoteError(Exception):
    """The sandbox failed, not the candidate."""


class ZygoteControl:
    """The socket to the zygote: the next fork's descriptors, and reports of how the last one ended."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)

    def started(self) -> None:
        """Wait until the zygote stands. Raises Broken with its reason when it could not be set up."""
        word = self.socket.recv(4096)
        if word != b"+":
            raise ZygoteError(word[1:].decode(errors="replace") or "the zygote ended while it was set up")

    def next(self) -> tuple[bytes, list[int]]:
        """The last fork's report (b"-" the first time) and the next one's descriptors."""
        size = array.array("i").itemsize * 4
        data, ancillary, _, _ = self.socket.recvmsg(64, socket.CMSG_LEN(size))
        if not data:
            raise ZygoteError("the zygote ended")
        fds = array.array("i")
        for _, _, block in ancillary:
            fds.frombytes(block)
        if len(fds) != 4:
            raise ZygoteError("the zygote handed over too few descriptors")
        return data, fds.tolist()

    def done(self) -> None:
        """The candidate's part is over. Raises Broken when the zygote is gone."""
        try:
            self.socket.send(b"K")
        except (BrokenPipeError, ConnectionResetError):
            raise ZygoteError("the zygote ended") from None
