"""Length-prefixed frames on a stream socket: four bytes of length, then the payload, whatever that is."""

import fcntl
import os
import socket
import struct
from _thread import _local  # threading, without loading it into every worker

_LENGTH = struct.Struct("<I")
JOB_LIMIT = 128 << 20  # bytes of a frame between the controller and a worker
_TO_READ, _NOT_READ = 0x541B, 0x5411


class ConnectionClosed(Exception):
    """The other end is gone."""


class FrameTooLong(Exception):
    """A frame is longer than the reader allows."""


def frame(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a blocking descriptor. Raises ConnectionClosed."""
    try:
        written = os.write(fd, data)
        if written < len(data):
            view = memoryview(data)
            while written < len(data):
                written += os.write(fd, view[written:])
    except (BrokenPipeError, ConnectionResetError):
        raise ConnectionClosed from None


def send_descriptor(fd: int, sent: int) -> None:
    """To a process at the other end of a Unix socket that waits for it."""
    with socket.socket(fileno=os.dup(fd)) as channel:
        socket.send_fds(channel, [b"S"], [sent])


def receive_descriptor(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as channel:
        _, (received,), _, _ = socket.recv_fds(channel, 1, 1)
    return received


# Data is read into this buffer first: allocating and shrinking a large bytes object for every read costs a mapping.
# Each thread has its own: another may read before this one has the interpreter again after its call.
_SCRATCH = 1 << 17
_own = _local()
_own.scratch = memoryview(bytearray(_SCRATCH))


def read_available(fd: int, buffer: bytearray) -> int:
    """Read what is there, up to 128 KB, and append it; returns the number of bytes. Errors are those of os.readv."""
    try:
        scratch = _own.scratch
    except AttributeError:  # this thread's first
        scratch = _own.scratch = memoryview(bytearray(_SCRATCH))
    count = os.readv(fd, [scratch])
    buffer += scratch[:count]
    return count


def pending(fd: int) -> int:
    """How many bytes there are to read from a pipe or socket."""
    return int.from_bytes(fcntl.ioctl(fd, _TO_READ, bytes(4)), "little")


def unread(fd: int) -> int:
    """How much memory what was written to this socket and is not read yet takes."""
    return int.from_bytes(fcntl.ioctl(fd, _NOT_READ, bytes(4)), "little")


class FrameBuffer:
    """Collects bytes as they arrive and returns complete frames."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.buffer = bytearray()

    @property
    def complete(self) -> bool:
        """Whether a complete frame is there, or enough of one to see that it is too long."""
        if len(self.buffer) < 4:
            return False
        length: int = _LENGTH.unpack_from(self.buffer)[0]
        return length > self.limit or len(self.buffer) >= 4 + length

    def pop(self) -> bytes | None:
        """Remove and return the next complete frame, or None. Raises FrameTooLong."""
        if len(self.buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(self.buffer)
        if length > self.limit:
            raise FrameTooLong(f"a frame of {length} bytes, at most {self.limit} are allowed")
        if len(self.buffer) < 4 + length:
            return None
        payload = bytes(self.buffer[4 : 4 + length])
        del self.buffer[: 4 + length]
        return payload


def read_frame(fd: int, buffered: FrameBuffer) -> bytes:
    """Block until a frame is complete. Raises ConnectionClosed, FrameTooLong."""
    while (payload := buffered.pop()) is None:
        try:
            count = read_available(fd, buffered.buffer)
        except ConnectionResetError:
            raise ConnectionClosed from None
        if not count:
            raise ConnectionClosed
    return payload
