"""Frames on a stream socket: four bytes of length, then the payload. Knows nothing of what is inside."""

import os
import struct

_LENGTH = struct.Struct("<I")


class Closed(Exception):
    """The other end is gone."""


class TooLong(Exception):
    """A frame announces more bytes than the reader allows."""


def frame(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def write(fd: int, data: bytes) -> None:
    """Write everything to a blocking descriptor. Raises Closed."""
    try:
        done = os.write(fd, data)
        if done < len(data):
            view = memoryview(data)
            while done < len(data):
                done += os.write(fd, view[done:])
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


class Frames:
    """Takes bytes as they come and gives whole frames back."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self.buffer += data

    def take(self) -> bytes | None:
        """The next whole frame, or None. Raises TooLong."""
        if len(self.buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(self.buffer)
        if length > self.limit:
            raise TooLong(f"a frame of {length} bytes, at most {self.limit} are allowed")
        if len(self.buffer) < 4 + length:
            return None
        payload = bytes(self.buffer[4 : 4 + length])
        del self.buffer[: 4 + length]
        return payload


def read(fd: int, frames: Frames) -> bytes:
    """Block until one frame is whole. Raises Closed, TooLong."""
    while (payload := frames.take()) is None:
        try:
            data = os.read(fd, 65536)
        except ConnectionResetError:
            raise Closed from None
        if not data:
            raise Closed
        frames.feed(data)
    return payload
