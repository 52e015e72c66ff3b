"""The tester's end of one candidate: sends it requests, enforces its limits, collects its output, tells how it ended.

Everything read here was written by untrusted code. It is decoded strictly and bounded in size, and a candidate that
stops replying is over as soon as it has used up its CPU or wall time.
"""

import contextlib
import marshal
import os
import select
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from harness.sandbox import framing
from harness.sandbox.isolation import syscalls
from harness.sandbox.python import budget
from harness.sandbox.python.control import REPORT, NextFork, ZygoteError
from harness.sandbox.python.cpu_clock import WALL_SLACK, CallClock, CpuClock
from harness.sandbox.python.termination import (
    GONE,
    OVERRUNS,
    CandidateEnded,
    NeedsInProcess,
    ResourceUsage,
    SpeculationMissed,
    Termination,
)
from harness.sandbox.values import arrays, codec, large, nans, opaque, standard_types

_REPLY_LIMIT = codec.MAX_BYTES + 1024
# Bytes of a reply that is no value: how the definitions or the program ended, an exception. They are short.
_NOTICE_LIMIT = 1 << 17
_FLAGS = {
    codec.encode((exists, callable_)): (exists, callable_)
    for exists in (True, False)
    for callable_ in (True, False)
}
_OUT_OF_TURN = "the program answered out of turn"
# At most, between two looks at the limits: that the tester runs is its sign of life (stalls.py).
_LOOK_S = 1.0
_TOO_SLOW = "more than {:g} s of CPU time"
_CALL_TOO_SLOW = "one call takes more CPU time than its tests allow"


class Candidate:
    """One program in its fork, idle until `start` sends it the job."""

    def __init__(self, fork: NextFork, controller: int) -> None:
        self.fork = fork
        self.channel, self.out, self.err, self.pidfd = fork.fds
        os.set_blocking(self.channel, False)
        self.frames = framing.FrameBuffer(_REPLY_LIMIT)
        self.output = {self.out: bytearray(), self.err: bytearray()}
        self.poller = select.poll()
        for fd in (self.channel, self.out, self.err):
            self.poller.register(fd, select.POLLIN)
        self.poller.register(controller, 0)
        self.controller = controller
        self.started_at = 0.0
        self.termination: Termination | None = None
        self.calls = 0
        self.raised: BaseException | None = None
        self.raised_text = ""
        self.last_frame, self.channel_open = b"", True
        self.needs_in_process = False
        self.speculation_missed = False
        self.defined = self.has_job = False
        self.requests: list[bytes] = []
        self.speculated: deque[bytes] = deque()
        self.saw_opaque = self.output_exceeded = False
        self.takes_many = True
        self.clock, self.call_clock = CpuClock(self.pidfd, fork.cpu_s, fork.waited_s), CallClock()
        self.describe, self.build = standard_types.KINDS
        nans.forget()

    # ------------------------------------------------------------ requests and replies

    def start(
        self, job: dict[str, Any], limits: tuple[float, float, int], speculated: Sequence[bytes] = ()
    ) -> None:
        """`limits`: CPU seconds, wall seconds, output bytes. `speculated`: the requests that the tests will make, sent
        along so that nobody waits between them. Raises ZygoteError if the fork could not be confined.
        """
        self.cpu_limit, self.wall_limit, self.output_limit = limits
        self.calls_limited = job["calls_limited"]
        if job["arrays"]:
            self.describe, self.build = arrays.describe, arrays.build
        self.started_at = time.monotonic()
        self.next_check = self.started_at + min(self.cpu_limit, self.wall_limit, _LOOK_S)
        if self.fork.limits is None:
            try:
                first = self.receive()
            except CandidateEnded:
                raise ZygoteError("a fork ended before its job") from None
            if first != b"H":
                raise ZygoteError(f"a fork could not be confined: {first[1:].decode(errors='replace')}")
        stdin = job.pop("stdin", b"")
        speculated = () if stdin else speculated  # the next thing it reads is the descriptor of its input
        self.speculated.extend(speculated)
        frames = [marshal.dumps(job | {"stdin": bool(stdin)}), *speculated]
        self.has_job = True
        self.send(b"".join(map(framing.frame, frames)))
        if stdin:
            if self.receive() != b"S":
                raise ZygoteError("a fork did not take its standard input")
            fd = syscalls.sealed_file(stdin)
            framing.send_descriptor(self.channel, fd)
            os.close(fd)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], cpu_s: float | None = None) -> Any:
        """Call the entry point, with a CPU limit of its own if there is one. Raises NeedsInProcess when the arguments
        cannot be serialised.
        """
        self.calls += 1
        try:
            message = codec.encode((args, kwargs), opaque.handle_of, describe=self.describe)
        except codec.Uncrossable:
            self.needs_in_process = True
            raise NeedsInProcess from None
        self.await_definitions()
        if cpu_s is None or not self.calls_limited:
            return self.request(b"c" + message)
        self.call_clock.begin(cpu_s, self.clock)
        self.next_check = min(self.next_check, time.monotonic() + cpu_s)
        try:
            return self.request(b"c" + message)
        finally:
            self.call_clock.end(self.clock)

    def await_definitions(self) -> None:
        """Wait until the program's definitions have run. Raises CandidateEnded unless the entry point is among them."""
        if self.defined:
            return
        reply = self.receive()
        if reply[:1] != b"D":
            raise self.reject(reply)
        if (flags := _FLAGS.get(reply[1:])) is None:
            raise self.end("error", _OUT_OF_TURN)
        exists, callable_ = flags
        if not exists:
            raise self.end("error", "NameError: the program does not define the function that the tests call")
        if not callable_:
            raise self.end(
                "error", "TypeError: the program defines the tested name as something that cannot be called"
            )
        self.defined = True

    def request(self, message: bytes) -> Any:
        self.requests.append(message)
        if not self.speculated:
            self.send(framing.frame(message))
        elif self.speculated[0] != message:
            raise self.miss()
        else:
            self.speculated.popleft()
        try:
            reply = self.receive()
        except MemoryError:
            raise self.end("error", budget.TOO_LARGE) from None
        return self.value_of(reply)

    def value_of(self, reply: bytes) -> Any:
        """What a reply says: a value, or an exception, which is raised."""
        try:
            if reply[:1] == b"R":
                return self._decode(reply[1:])
        except MemoryError:
            raise self.end("error", budget.TOO_LARGE) from None
        if reply[:1] == b"X":
            bases, arguments, self.raised_text = self._expect_exception(reply)
            self.raised = opaque.rebuild_exception(bases, arguments, self.raised_text)
            if self.raised is not None:
                raise self.raised
        raise self.reject(reply)

    def reject(self, reply: bytes) -> CandidateEnded:
        """The candidate is over because of this reply; the caller raises what this returns."""
        match reply[:1]:
            case b"X":
                bases, _, text = self._expect_exception(reply)
                return self.end("memory" if "MemoryError" in bases else "error", text)
            case b"C":
                return self.end("compile_error", self._text(reply))
            case b"E":
                return self.end("error", f"SystemExit: {self._text(reply)}")
            case b"L":
                return self.end("output", self._text(reply))
        return self.end("error", _OUT_OF_TURN)

    def _expect_exception(self, reply: bytes) -> tuple[tuple[Any, ...], bytes, str]:
        match self._notice(reply):
            case (tuple() as bases, bytes() as arguments, str() as text):
                return bases, arguments, text
        raise self.end("error", _OUT_OF_TURN)

    def _text(self, reply: bytes) -> str:
        text = self._notice(reply)
        if type(text) is not str:
            raise self.end("error", _OUT_OF_TURN)
        return text

    def _notice(self, reply: bytes) -> Any:
        if len(reply) > _NOTICE_LIMIT:
            raise self.end("error", _OUT_OF_TURN)
        return self._decode(reply[1:])

    def _decode(self, data: bytes) -> Any:
        try:
            return codec.decode(data, self._build_opaque, self.build)
        except codec.Malformed:
            raise self.end("error", "the program answered with malformed data") from None

    def _build_opaque(self, number: int, kind: str, name: str) -> object:
        self.saw_opaque = True
        name = name[:100]
        if kind == "large":
            return large.LargeValue(number, name, lambda n: self.request(b"v" + codec.encode(n)))
        if kind == "object":
            return opaque.Opaque(number, name)
        return opaque.OpaqueIterable(number, name, lambda n: self.request(b"n" + codec.encode(n)))

    def miss(self) -> SpeculationMissed:
        self.speculation_missed = True
        return SpeculationMissed()

    def end(self, status: str, detail: str, suspect: bool = False) -> CandidateEnded:
        """Record how it ended, unless that is known; the caller raises what this returns."""
        return self.end_with(Termination(status, detail, suspect))

    def end_with(self, termination: Termination) -> CandidateEnded:
        self.termination = self.termination or termination
        return CandidateEnded()

    # ------------------------------------------------------------ channel, output, limits

    def send(self, data: bytes) -> None:
        """Write all of it; a candidate that does not read runs into its own limits."""
        while data:
            try:
                data = data[os.write(self.channel, data) :]
            except BlockingIOError:
                self.poller.modify(self.channel, select.POLLIN | select.POLLOUT)
                self.wait()
                self.poller.modify(self.channel, select.POLLIN)
            except (BrokenPipeError, ConnectionResetError):
                return  # what it sent before it ended may still be there to read; if not, reading says so

    def receive(self) -> bytes:
        """The next frame. Raises CandidateEnded when there will be none."""
        try:
            while (payload := self.frames.pop()) is None:
                if not self.channel_open:
                    raise self.end_with(GONE)
                self.wait()
        except framing.FrameTooLong:
            raise self.end("output", "the program answered with more than 16 MB") from None
        assert payload is not None
        return payload

    @property
    def exited(self) -> bool:
        return self.termination is GONE

    def await_exit_status(self) -> None:
        """It closed its channel: wait until it ends or exceeds a limit, so that its exit status is known."""
        self.poller.register(self.pidfd, select.POLLIN)
        self.speculated.clear()
        try:
            while self.wait():
                pass
        except CandidateEnded:
            return

    def await_exit(self) -> None:
        """Wait until the process has ended or exceeded a limit; its last frame is kept."""
        self.poller.register(self.pidfd, select.POLLIN)
        try:
            alive = True
            while alive:
                alive = self.wait()
                # Its end and its last frame may be seen in one poll, in either order: read what is left.
                while not alive and self.channel_open and self._read_channel():
                    pass
                while (frame := self.frames.pop()) is not None:
                    self.last_frame = frame
        except framing.FrameTooLong:
            raise self.end("error", _OUT_OF_TURN) from None

    def wait(self, at_most_s: float = 1e6) -> bool:
        """Wait for events and handle them. False once the process is seen to have ended."""
        timeout = max(0.0, min(self.next_check - time.monotonic(), at_most_s))
        alive = True
        for fd, what in self.poller.poll(timeout * 1000 + 1):
            if fd == self.controller:
                os._exit(1)  # nobody is left to tell
            elif fd == self.pidfd:
                alive = False
            elif fd != self.channel:
                self._read_output(fd)
            elif what != select.POLLOUT:
                self._read_channel()
        if self.output_exceeded and self.speculated:
            raise self.miss()
        if time.monotonic() >= self.next_check or self.output_exceeded:
            # What it sent before it exceeded a limit comes first: with requests sent ahead it may be far beyond the
            # one whose reply is awaited.
            while self._may_hold_a_reply() and self._read_channel():
                pass
            if not (self.speculated and self.frames.complete):
                self._check_limits()
        return alive

    def _may_hold_a_reply(self) -> bool:
        """Whether to read on beyond a limit: only while replies to what was sent ahead may come, and fit."""
        return bool(self.speculated) and self.channel_open and len(self.frames.buffer) < _REPLY_LIMIT

    def _read_channel(self) -> bool:
        """Read from the channel. False if there is nothing to read now."""
        try:
            count = framing.read_available(self.channel, self.frames.buffer)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            count = 0
        if not count:
            self.poller.unregister(self.channel)
            self.channel_open = False
        return True

    def _read_output(self, fd: int) -> None:
        text = self.output[fd]
        if not framing.read_available(fd, text):
            self.poller.unregister(fd)
        elif len(text) > self.output_limit:
            del text[self.output_limit :]
            self.poller.unregister(fd)
            self.output_exceeded = True

    def _check_limits(self) -> None:
        if self.output_exceeded:
            raise self.end("output", f"more than {self.output_limit >> 10} KB of output")
        now = time.monotonic()
        cpu, waited = self.clock.read()
        wall = now - self.started_at
        if cpu >= self.cpu_limit:
            raise self.end("timeout", _TOO_SLOW.format(self.cpu_limit))
        # Neither running nor ready to run: true of a program that sleeps, not of one that waits for a processor.
        idle = wall - waited - cpu
        if idle >= self.wall_limit or wall >= self.wall_limit * WALL_SLACK:
            suspect = idle < self.wall_limit or self.clock.stopped()  # perhaps not its own doing
            raise self.end("timeout", f"no end within {self.wall_limit:g} s", suspect)
        if (left := self.call_clock.left(cpu)) <= 0:
            raise self.end("timeout", _CALL_TOO_SLOW)
        self.next_check = now + max(0.01, min(self.cpu_limit - cpu, self.wall_limit - idle, left, _LOOK_S))

    # ------------------------------------------------------------ the end

    def finish(self, report: bytes, by_itself: bool) -> ResourceUsage:
        """Read the zygote's report. `by_itself`: how the program ended is the verdict, not what its tests say."""
        status, cpu, peak_kb, overrun = REPORT.unpack(report)
        if overrun:
            self.termination = OVERRUNS[overrun]
        elif self.termination is GONE or (by_itself and self.termination is None):
            self.termination = self._termination_of(os.waitstatus_to_exitcode(status), cpu, by_itself)
        if by_itself or self.termination:
            self.collect(to_the_end=self.fork.limits is None)
        for fd in (self.channel, self.out, self.err, self.pidfd):
            os.close(fd)
        return ResourceUsage(cpu, time.monotonic() - self.started_at, peak_kb / 1024)

    def _termination_of(self, code: int, cpu: float, by_itself: bool) -> Termination | None:
        """What an exit status means; None for a program without tests that ended with 0."""
        if code == -signal.SIGKILL and cpu >= self.cpu_limit:
            return Termination("timeout", _TOO_SLOW.format(self.cpu_limit))
        if code < 0:
            return Termination("signal", f"killed by {signal.Signals(-code).name}")
        if not by_itself:
            return Termination("error", f"the program ended with exit status {code} before its tests did")
        if code == 0:
            return None
        if not self.last_frame:
            return Termination("error", f"exit status {code}")
        with contextlib.suppress(CandidateEnded):
            self.reject(self.last_frame)
        return self.termination

    def collect(self, to_the_end: bool) -> None:
        """Read what is left in the pipes: all that there will be, where their writers are gone."""
        for fd in (self.out, self.err):
            text = self.output[fd]
            while len(text) <= self.output_limit and (to_the_end or framing.pending(fd)):
                if not framing.read_available(fd, text):
                    break
            if len(text) > self.output_limit:
                del text[self.output_limit :]
                self.end("output", f"more than {self.output_limit >> 10} KB of output")
