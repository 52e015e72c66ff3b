"""Frames on a stream socket: four bytes of length, then the payload. Knows nothing of what is inside."""

import os
import struct

_LENGTH = struct.Struct("<I")


class ConnectionClosed(Exception):
    """The other end is gone."""


class FrameTooLong(Exception):
    """A frame announces more bytes than the reader allows."""


def frame(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a blocking descriptor. Raises Closed."""
    try:
        done = os.write(fd, data)
        if done < len(data):
            view = memoryview(data)
            while done < len(data):
                done += os.write(fd, view[done:])
    except (BrokenPipeError, ConnectionResetError):
        raise ConnectionClosed from None


# What is read lands here first: to make and shrink a large bytes object for every read costs a mapping.
_space = memoryview(bytearray(1 << 17))


def read_available(fd: int, into: bytearray) -> int:
    """Read what is there, up to 128 KB, and append it; the number of bytes. Errors are those of os.readv."""
    count = os.readv(fd, [_space])
    into += _space[:count]
    return count


class FrameBuffer:
    """Takes bytes as they come and gives whole frames back."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.buffer = bytearray()

    @property
    def whole(self) -> bool:
        """Whether a whole frame is there, or enough of one to see that it is too long."""
        if len(self.buffer) < 4:
            return False
        length: int = _LENGTH.unpack_from(self.buffer)[0]
        return length > self.limit or len(self.buffer) >= 4 + length

    def take(self) -> bytes | None:
        """The next whole frame, or None. Raises TooLong."""
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


def read_frame(fd: int, frames: FrameBuffer) -> bytes:
    """Block until one frame is whole. Raises Closed, TooLong."""
    while (payload := frames.take()) is None:
        try:
            count = read_available(fd, frames.buffer)
        except ConnectionResetError:
            raise ConnectionClosed from None
        if not count:
            raise ConnectionClosed
    return payload
