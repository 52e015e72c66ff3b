"""Inputs and the right values for them, as bytes to send and to compare with (many_calls.py), and to keep between runs.

`pack` writes what `unpack` reads: only what this process makes of tests, never what a program says.
"""

import bisect
import itertools
import marshal
from collections.abc import Callable
from functools import cached_property
from typing import Any

from harness.sandbox import framing
from harness.sandbox.python import plain_bytes
from harness.sandbox.python.plain_bytes import VERSION
from harness.sandbox.python.spelled_inputs import MAX_KEPT_BYTES

# Bytes of a chunk's inputs, and of their right values.
_INPUT_BYTES, _REPLY_BYTES = 1 << 17, 4 << 20
# Of a longer value only a digest is kept.
_LONG = 1 << 15

Answered = Callable[[Any], tuple[Any, float]]


class LongValue:
    """The digest of a reply that is too long to be kept."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest


class InputChunk:
    """`request`: the inputs. `replies`: the frames of a program that is right; `ends`: where each ends. `values`: of
    inputs whose reply has to be read whatever its bytes are, the right one; in order. `cpu_s`: the calls' limits.
    """

    def __init__(
        self, request: bytes, replies: bytes, ends: list[int], values: dict[int, Any], cpu_s: list[float]
    ) -> None:
        self.request = request
        self.replies = replies
        self.ends = ends
        self.values = values
        self.cpu_s = cpu_s

    def must_read(self, at: int) -> int:
        """The first input from `at` on whose reply has to be read."""
        place = bisect.bisect_left(self._read, at)
        return self._read[place] if place < len(self._read) else len(self.ends)

    @cached_property
    def _read(self) -> list[int]:
        return list(self.values)

    @property
    def size(self) -> int:
        return len(self.request) + len(self.replies) + 60 * len(self.ends)


class _ChunkMaker:
    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.frames: list[bytes] = []
        self.values: dict[int, Any] = {}
        self.cpu_s: list[float] = []
        self.sizes = [0, 0]

    def add(self, given: Any, answered: Answered) -> None:
        """Raises ValueError where an input is not plain data, or no copy of it equals it (NaN); what the reference
        raises.
        """
        request = marshal.dumps(given, VERSION)
        if marshal.loads(request) != given:
            raise ValueError
        value, cpu_s = answered(given)
        self.cpu_s.append(cpu_s)
        data = plain_bytes.dumps(value)
        if data is None or not bool(marshal.loads(data) == value):
            self.values[len(self.frames)], data = value, b""
        elif len(data) > _LONG:
            self.sizes[1] += len(data)
            self.values[len(self.frames)], data = LongValue(digest_of_reply(b"V" + data)), b""
        self.requests.append(request)
        self.frames.append(framing.frame(b"V" + data))
        self.sizes[0] += len(request)
        self.sizes[1] += len(data)

    @property
    def full(self) -> bool:
        return self.sizes[0] > _INPUT_BYTES or self.sizes[1] > _REPLY_BYTES

    def made(self) -> InputChunk:
        head = b"[" + len(self.requests).to_bytes(4, "little")
        ends = list(itertools.accumulate(map(len, self.frames)))
        return InputChunk(
            head + b"".join(self.requests), b"".join(self.frames), ends, self.values, self.cpu_s
        )


def chunks_of(answered: Answered, inputs: list[Any]) -> list[InputChunk]:
    """Raises ValueError where an input is not plain data, and what the reference raises."""
    chunks, maker = [], _ChunkMaker()
    for given in inputs:
        maker.add(given, answered)
        if maker.full:
            chunks.append(maker.made())
            maker = _ChunkMaker()
    return [*chunks, maker.made()] if maker.frames else chunks


def digest_of_reply(reply: bytes) -> bytes:
    import hashlib  # few tests ask for many values

    return hashlib.blake2b(reply, digest_size=16).digest()


# ---------------------------------------------------------------- between runs


def pack(chunks: list[InputChunk]) -> bytes:
    """Empty where a right value is no plain data, or all are too many."""
    rows = []
    for chunk in chunks:
        values = {at: _packed(value) for at, value in chunk.values.items()}
        if None in values.values():
            return b""
        rows.append((chunk.request, chunk.replies, chunk.ends, values, chunk.cpu_s))
    data = marshal.dumps(rows, VERSION)
    return data if len(data) <= MAX_KEPT_BYTES else b""


def _packed(value: Any) -> bytes | None:
    if isinstance(value, LongValue):
        return b"D" + value.digest
    data = plain_bytes.dumps(value)
    # Apart from NaN, which is why it is here: another type's buffer would be written as bytes.
    same = data is not None and repr(marshal.loads(data)) == repr(value)
    return b"V" + data if same and data is not None else None


def unpack(data: bytes) -> list[InputChunk]:
    """Raises ValueError, or what reading it provokes, for what `pack` does not write."""
    chunks = []
    for request, replies, ends, values, cpu_s in marshal.loads(data):
        ordered = ends == sorted(ends) and ends[-1] == len(replies)
        if not ordered or len(cpu_s) != len(ends) or type(request) is not bytes or type(replies) is not bytes:
            raise ValueError("not the right values of inputs")
        read = {
            at: LongValue(value[1:]) if value[:1] == b"D" else marshal.loads(value[1:])
            for at, value in values.items()
        }
        chunks.append(InputChunk(request, replies, ends, read, cpu_s))
    if not chunks:
        raise ValueError("no inputs at all")
    return chunks
