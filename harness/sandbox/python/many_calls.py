"""Asks a program for its values on many inputs at once, and looks only at those that are not the reference's.

Tests that are one loop over thousands of inputs spend more on passing values than on computing them. Such tests define
`differing(program, answered, inputs)` and loop over it. It yields (input, value, right value) for each input, where
`answered` gives the right value and the seconds of CPU time that a call may take; here it is replaced by one that does
the same and leaves out inputs on which both values have the same bytes, as equal values of the same types do.

Inputs go out in chunks, one frame each. The program's process writes its replies to a file in memory, so nobody waits
for anybody; this process reads them as they come, and once a chunk is done. The right values are kept for the next
program. Whatever cannot be told exactly this way (values that are not plain, NaNs, too many bytes) is asked again one
by one, in a fresh fork: the verdict is the same.
"""

import bisect
import contextlib
import marshal
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from harness.sandbox import framing
from harness.sandbox.isolation import syscalls
from harness.sandbox.python import budget, plain_bytes
from harness.sandbox.python.candidate import Candidate
from harness.sandbox.python.input_chunks import (
    Answered,
    InputChunk,
    LongValue,
    chunks_of,
    digest_of_reply,
    pack,
    unpack,
)
from harness.sandbox.python.plain_bytes import VERSION
from harness.sandbox.python.spelled_inputs import SpelledInputs
from harness.sandbox.python.termination import GONE, CandidateEnded, SpeculationMissed, Termination
from harness.sandbox.values import codec

# Bytes of requests and right values that are kept for the next program, in all.
_KEPT_BYTES = 32 << 20
_LOOK_S = 0.02  # while a chunk is computed: a wrong value ends the program soon

Difference = tuple[Any, Any, Any]


# ---------------------------------------------------------------- kept for the next program

_kept: OrderedDict[bytes, list[InputChunk]] = OrderedDict()


def _chunks(tests: bytes, answered: Answered, inputs: list[Any] | SpelledInputs) -> list[InputChunk]:
    """`tests`: their digest, which tells of inputs that they spell out too. Raises ValueError."""
    key = tests
    if not isinstance(inputs, SpelledInputs):
        key = digest_of_reply(tests + marshal.dumps(inputs, VERSION))
    if key not in _kept:
        with budget.uncounted():
            _keep(key, chunks_of(answered, _listed(inputs)))
    _kept.move_to_end(key)
    return _kept[key]


def _keep(key: bytes, chunks: list[InputChunk]) -> None:
    _kept[key] = chunks
    while sum(chunk.size for chunks in _kept.values() for chunk in chunks) > _KEPT_BYTES and len(_kept) > 1:
        _kept.popitem(last=False)


def knows(tests: bytes) -> bool:
    """Whether the right values for the inputs that these tests spell out are here."""
    return tests in _kept


def take(tests: bytes, values: bytes) -> None:
    """Keep what an earlier run was told of these tests. Bytes that cannot be read are none."""
    if values and tests not in _kept:
        with contextlib.suppress(Exception), budget.uncounted():  # whatever other bytes provoke
            _keep(tests, unpack(values))


def told(tests: bytes) -> bytes:
    """For a later run; empty where there is nothing that can be kept."""
    return pack(_kept[tests]) if tests in _kept else b""


def _listed(inputs: list[Any] | SpelledInputs) -> list[Any]:
    return inputs.value() if isinstance(inputs, SpelledInputs) else inputs


# ---------------------------------------------------------------- asking


def differing(
    candidate: Candidate, tests: bytes, answered: Answered, inputs: list[Any] | SpelledInputs
) -> Iterator[Difference]:
    """Raises CandidateEnded; SpeculationMissed where it has to be asked one by one; what the program raises."""
    chunks = None
    if candidate.takes_many:
        try:
            chunks = _chunks(tests, answered, inputs)
        except Exception:  # noqa: BLE001 - whatever the reference raises the tests raise when they come to it
            candidate.takes_many = False
    if chunks is None:
        for given in _listed(inputs):
            wanted, cpu_s = answered(given)
            yield given, candidate.call(tuple(given), {}, cpu_s), wanted
        return
    candidate.await_definitions()
    asked = ManyCalls(candidate)
    try:
        for chunk in chunks:
            yield from asked.ask(chunk, answered)
    finally:
        asked.close()


class ManyCalls:
    """The replies of one program. How it ended is told only after what it replied before."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.file = -1
        self.unread = bytearray()
        self.read_to = 0
        self.done = False
        self.ended: Termination | None = None
        self.awaited = -1

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)

    def ask(self, chunk: InputChunk, answered: Answered) -> Iterator[Difference]:
        candidate = self.candidate
        self._send(chunk.request)
        inputs: list[Any] | None = None
        candidate.calls += len(chunk.ends)
        at = 0
        while at < len(chunk.ends):
            at = self._skip_equal(chunk, at)
            if at == len(chunk.ends):
                break
            reply = self._next_reply()
            if reply is None:
                self._limit_call(chunk, at)
                self._wait()
                continue
            wanted = chunk.values.get(at)
            if not isinstance(wanted, LongValue) or wanted.digest != digest_of_reply(reply):
                inputs = inputs or marshal.loads(chunk.request)
                yield inputs[at], self._value(reply), _wanted(chunk, at, inputs[at], answered)
            at += 1
        self._limit_call(chunk, at)
        while not self.done:
            self._wait()

    def _limit_call(self, chunk: InputChunk, at: int) -> None:
        """Each call has its CPU time from when it was seen to be the one that is computed."""
        candidate = self.candidate
        if at == self.awaited or not candidate.calls_limited:
            return
        self.awaited = at
        candidate.call_clock.end(candidate.clock)
        if at < len(chunk.ends):
            candidate.call_clock.begin(chunk.cpu_s[at], candidate.clock)
            candidate.next_check = min(candidate.next_check, time.monotonic() + chunk.cpu_s[at])

    def _send(self, request: bytes) -> None:
        candidate = self.candidate
        self.done, self.read_to, self.awaited = False, 0, -1
        self.unread.clear()
        if self.file >= 0:
            os.ftruncate(self.file, 0)
            os.lseek(self.file, 0, os.SEEK_SET)
        candidate.send(framing.frame(b"m" + request))
        if self.file < 0:
            if candidate.receive() != b"M":
                raise self._miss()
            self.file = syscalls.memory_file()
            framing.send_descriptor(candidate.channel, self.file)

    def _skip_equal(self, chunk: InputChunk, at: int) -> int:
        """The first input from `at` on whose reply is another or not there yet; equal ones are dropped unread."""
        start = chunk.ends[at - 1] if at else 0
        there = min(len(self.unread), len(chunk.replies) - start)
        with memoryview(self.unread) as unread, memoryview(chunk.replies) as wanted:

            def equal(count: int) -> bool:
                size = chunk.ends[at + count - 1] - start
                return size <= there and unread[:size] == wanted[start : start + size]

            most = min(bisect.bisect_right(chunk.ends, start + there), chunk.must_read(at)) - at
            if most and not equal(most):  # it is equal up to some reply, and not from there on
                most = bisect.bisect_left(range(most), True, key=lambda count: not equal(count + 1))
        del self.unread[: chunk.ends[at + most - 1] - start if most else 0]
        return at + most

    def _next_reply(self) -> bytes | None:
        frames = framing.FrameBuffer(codec.MAX_BYTES + 1024)
        frames.buffer = self.unread
        try:
            return frames.pop()
        except framing.FrameTooLong:
            raise self.candidate.end("output", "the program answered with more than 16 MB") from None

    def _value(self, reply: bytes) -> Any:
        candidate = self.candidate
        if reply[:1] != b"V":
            value = candidate.value_of(reply)
            if candidate.saw_opaque:
                raise self._miss()  # it may be asked for what is in it
            return value
        try:
            return plain_bytes.loads(reply[1:])
        except codec.Malformed:
            raise self._miss() from None
        except MemoryError:
            raise candidate.end("error", budget.TOO_LARGE) from None

    def _wait(self) -> None:
        """Read what has come; if nothing has, wait a little. Raises CandidateEnded once nothing more can come."""
        if self._read():
            return
        if self.ended is not None:
            raise self.candidate.end_with(self.ended)
        if self.done:
            raise self.candidate.end("error", "the program answered out of turn")
        try:
            self.done = self._poll()
        except CandidateEnded:
            self.ended, self.candidate.termination = self.candidate.termination, None

    def _poll(self) -> bool:
        """Whether the chunk is said to be done."""
        self.candidate.wait(_LOOK_S)
        frame = self.candidate.frames.pop()
        if frame == b"O":
            raise self._miss()
        if frame is not None and frame != b"B":
            raise self.candidate.reject(frame)
        if frame is None and not self.candidate.channel_open:
            raise self.candidate.end_with(GONE)
        return frame is not None

    def _read(self) -> bool:
        data = os.pread(self.file, 1 << 20, self.read_to)
        self.read_to += len(data)
        self.unread += data
        return bool(data)

    def _miss(self) -> SpeculationMissed:
        self.candidate.takes_many = False
        return self.candidate.miss()


def _wanted(chunk: InputChunk, at: int, given: Any, answered: Answered) -> Any:
    """The right value."""
    if at not in chunk.values:
        return marshal.loads(chunk.replies[(chunk.ends[at - 1] if at else 0) + 5 : chunk.ends[at]])
    if isinstance(chunk.values[at], LongValue):
        return answered(given)[0]
    return chunk.values[at]
