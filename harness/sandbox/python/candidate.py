"""The tester's end of one candidate: asks it questions, keeps its clock, collects its output, learns how it
ended.

Everything read here was written by code nobody trusts. It is decoded strictly, bounded in size, and a
candidate that stops answering is over as soon as its CPU or wall limit is.
"""

import contextlib
import fcntl
import marshal
import os
import re
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.sandbox import framing
from harness.sandbox.python.control import REPORT, ZygoteError
from harness.sandbox.values import arrays, codec, opaque

# Wall seconds count only while the candidate was not waiting for a processor; this much more is given
# regardless.
WALL_SLACK = 10
_ANSWER_LIMIT = codec.MAX_BYTES + 1024
_SEALS = 0x0F  # seal, shrink, grow, write


@dataclass(frozen=True)
class Termination:
    """How a candidate ended, in ExecResult's words. `suspect`: out of wall time, perhaps only for the
    machine's load.
    """

    status: str
    detail: str
    suspect: bool = False


# It went of its own accord, and its exit status will say how.
GONE = Termination("gone", "")
_OUT_OF_TURN = "the program answered out of turn"
_TOO_SLOW = "more than {:g} s of CPU time"


class CandidateEnded(BaseException):
    """The candidate is over before the tests are. Not an Exception: tests that catch errors must not catch
    this.
    """


class NeedsInProcess(BaseException):
    """A test hands the candidate a value that cannot cross. Tests that catch errors must not catch this
    either.
    """


class SpeculationMissed(BaseException):
    """Questions were sent ahead, and should not have been: the tests ask something else this time, or the
    output is too much and nobody can tell at which question. Tests that catch errors must not catch this either.
    """


@dataclass(frozen=True)
class ResourceUsage:
    cpu_s: float
    wall_s: float
    peak_mb: float


class Candidate:
    """One program in its fork. Made idle; `start` hands it the job."""

    def __init__(self, fds: list[int], controller: int) -> None:
        self.fds = fds
        self.channel, self.out, self.err, self.process = fds
        os.set_blocking(self.channel, False)
        self.frames = framing.FrameBuffer(_ANSWER_LIMIT)
        self.texts = {self.out: bytearray(), self.err: bytearray()}
        self.poller = select.poll()
        for fd in (self.channel, self.out, self.err):
            self.poller.register(fd, select.POLLIN)
        self.poller.register(controller, 0)
        self.controller = controller
        self.begun = 0.0
        self.ending: Termination | None = None
        self.calls = 0
        self.raised: BaseException | None = None
        self.raised_text = ""
        self.last_words = b""
        self.listening = True
        self.stuck = False
        self.astray = False
        self.defined = False
        self.asked: list[bytes] = []
        self.ahead: deque[bytes] = deque()
        self.opaque = False
        self.flooded = False
        self.pid = 0
        self.describe, self.build = codec.PLAIN

    # ------------------------------------------------------------ questions

    def start(
        self, job: dict[str, Any], limits: tuple[float, float, int], ahead: Sequence[bytes] = ()
    ) -> None:
        """`limits`: CPU seconds, wall seconds, output bytes. `ahead`: the questions that the tests will ask,
        sent along so that the candidate need not be waited for between them. Raises Broken if the fork could
        not be confined.
        """
        self.cpu_limit, self.wall_limit, self.output_limit = limits
        if job["arrays"]:
            self.describe, self.build = arrays.describe, arrays.build
        self.begun = time.monotonic()
        self.next_check = self.begun + min(self.cpu_limit, self.wall_limit)
        try:
            hello = self.receive()
        except CandidateEnded:
            raise ZygoteError("a fork ended before its job") from None
        if hello != b"H":
            raise ZygoteError(f"a fork could not be confined: {hello[1:].decode(errors='replace')}")
        stdin = job.pop("stdin", b"")
        ahead = () if stdin else ahead  # the descriptor of its input is the next thing it takes
        self.ahead.extend(ahead)
        frames = [marshal.dumps(job | {"stdin": bool(stdin)}), *ahead]
        self.send(b"".join(map(framing.frame, frames)))
        if stdin:
            if self.receive() != b"S":
                raise ZygoteError("a fork did not take its standard input")
            fd = _sealed(stdin)
            with socket.socket(fileno=os.dup(self.channel)) as channel:
                socket.send_fds(channel, [b"S"], [fd])
            os.close(fd)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the entry point. Raises Stuck when the arguments are not plain data."""
        self.calls += 1
        try:
            question = codec.encode((args, kwargs), opaque.handle_of, describe=self.describe)
        except codec.Uncrossable:
            self.stuck = True
            raise NeedsInProcess from None
        self.await_definitions()
        return self.ask(b"c" + question)

    def await_definitions(self) -> None:
        """The program's definitions have been run, and the entry point is among them, or Ended is raised."""
        if self.defined:
            return
        answer = self.receive()
        if answer[:1] != b"D":
            raise self.refuse(answer)
        exists, callable_ = self._flags(answer)
        if not exists:
            raise self.over(
                "error", "NameError: the program does not define the function that the tests call"
            )
        if not callable_:
            raise self.over(
                "error", "TypeError: the program defines the tested name as something that cannot be called"
            )
        self.defined = True

    def ask(self, question: bytes) -> Any:
        self.asked.append(question)
        if not self.ahead:
            self.send(framing.frame(question))
        elif self.ahead[0] != question:
            raise self._stray()
        else:
            self.ahead.popleft()
        answer = self.receive()
        match answer[:1]:
            case b"R":
                return self._decode(answer[1:])
            case b"X":
                bases, arguments, self.raised_text = self._expect_exception(answer)
                self.raised = opaque.rebuild_exception(bases, arguments, self.raised_text)
                if self.raised is not None:
                    raise self.raised
        raise self.refuse(answer)

    def refuse(self, answer: bytes) -> CandidateEnded:
        """The candidate is over for what it said instead of an answer."""
        match answer[:1]:
            case b"X":
                bases, _, text = self._expect_exception(answer)
                return self.over("memory" if "MemoryError" in bases else "error", text)
            case b"C":
                return self.over("compile_error", self._text(answer))
            case b"E":
                return self.over("error", f"SystemExit: {self._text(answer)}")
        return self.over("error", _OUT_OF_TURN)

    def _expect_exception(self, answer: bytes) -> tuple[tuple[Any, ...], bytes, str]:
        match self._decode(answer[1:]):
            case (tuple() as bases, bytes() as arguments, str() as text):
                return bases, arguments, text
        raise self.over("error", _OUT_OF_TURN)

    def _flags(self, answer: bytes) -> tuple[bool, bool]:
        match self._decode(answer[1:]):
            case (bool() as first, bool() as second):
                return first, second
        raise self.over("error", _OUT_OF_TURN)

    def _text(self, answer: bytes) -> str:
        return str(self._decode(answer[1:]))

    def _decode(self, data: bytes) -> Any:
        try:
            return codec.decode(data, self._opaque, self.build)
        except codec.Malformed:
            raise self.over("error", "the program answered with malformed data") from None

    def _opaque(self, number: int, kind: str, name: str) -> object:
        self.opaque = True
        if kind == "object":
            return opaque.Opaque(number, name)
        return opaque.OpaqueIterable(number, name, lambda n: self.ask(b"n" + codec.encode(n)))

    def _stray(self) -> SpeculationMissed:
        self.astray = True
        return SpeculationMissed()

    def over(self, status: str, detail: str, suspect: bool = False) -> CandidateEnded:
        """Set how it ended, unless that is known; the caller raises what this returns."""
        return self._over(Termination(status, detail, suspect))

    def _over(self, ending: Termination) -> CandidateEnded:
        self.ending = self.ending or ending
        return CandidateEnded()

    # ------------------------------------------------------------ bytes and clocks

    def send(self, data: bytes) -> None:
        """Write all of it; a candidate that does not read runs into its own limits."""
        while data:
            try:
                data = data[os.write(self.channel, data) :]
            except BlockingIOError:
                self.poller.modify(self.channel, select.POLLIN | select.POLLOUT)
                self._turn()
                self.poller.modify(self.channel, select.POLLIN)
            except (BrokenPipeError, ConnectionResetError):
                return  # what it said before it went may still be there to read; if not, reading says so

    def receive(self) -> bytes:
        """The next frame. Raises Ended when there will be none."""
        try:
            while (payload := self.frames.take()) is None:
                if not self.listening:
                    raise self._over(GONE)
                self._turn()
        except framing.FrameTooLong:
            raise self.over("output", "the program answered with more than 16 MB") from None
        assert payload is not None
        return payload

    @property
    def gone(self) -> bool:
        return self.ending is GONE

    def settle(self) -> None:
        """It closed its channel: give it the time to be seen ending, so that its exit status can be told."""
        self.poller.register(self.process, select.POLLIN)
        self.ahead.clear()
        try:
            while self._turn():
                pass
        except CandidateEnded:
            return

    def await_end(self) -> None:
        """Until the process is gone or over its limits; the last thing it said is kept."""
        self.poller.register(self.process, select.POLLIN)
        try:
            alive = True
            while alive:
                alive = self._turn()
                # Its end and its last words may be seen in one turn, in either order: take what is left.
                while not alive and self.listening and self._take_answer():
                    pass
                while (said := self.frames.take()) is not None:
                    self.last_words = said
        except framing.FrameTooLong:
            raise self.over("output", "the program answered with more than 16 MB") from None

    def _turn(self) -> bool:
        """Wait for something to happen and take it in. False once the process is seen to have ended."""
        timeout = max(0.0, self.next_check - time.monotonic())
        alive = True
        for fd, what in self.poller.poll(timeout * 1000 + 1):
            if fd == self.controller:
                os._exit(1)  # nobody is left to tell
            elif fd == self.process:
                alive = False
            elif fd != self.channel:
                self._take_output(fd)
            elif what != select.POLLOUT:
                self._take_answer()
        if self.flooded and self.ahead:
            raise self._stray()
        if time.monotonic() >= self.next_check or self.flooded:
            # What it said before it went over a limit comes first: with questions sent ahead it may be far
            # beyond the one whose answer is waited for.
            while self.ahead and self.listening and self._take_answer():
                pass
            if not (self.ahead and self.frames.whole):
                self._check_limits()
        return alive

    def _take_answer(self) -> bool:
        """Read from the channel. False if there is nothing to read now."""
        try:
            count = framing.read_available(self.channel, self.frames.buffer)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            count = 0
        if not count:
            self.poller.unregister(self.channel)
            self.listening = False
        return True

    def _take_output(self, fd: int) -> None:
        text = self.texts[fd]
        if not framing.read_available(fd, text):
            self.poller.unregister(fd)
        elif len(text) > self.output_limit:
            del text[self.output_limit :]
            self.poller.unregister(fd)
            self.flooded = True

    def _check_limits(self) -> None:
        if self.flooded:
            raise self.over("output", f"more than {self.output_limit >> 10} KB of output")
        now = time.monotonic()
        cpu, waited = self._cpu_and_waiting()
        wall = now - self.begun
        if cpu >= self.cpu_limit:
            raise self.over("timeout", _TOO_SLOW.format(self.cpu_limit))
        # Neither running nor ready to: what a sleeper does, and a program that is kept off the processor
        # does not.
        idle = wall - waited - cpu
        if idle >= self.wall_limit or wall >= self.wall_limit * WALL_SLACK:
            raise self.over("timeout", f"no end within {self.wall_limit:g} s", idle < self.wall_limit)
        self.next_check = now + max(0.01, min(self.cpu_limit - cpu, self.wall_limit - idle))

    def _cpu_and_waiting(self) -> tuple[float, float]:
        """Seconds on a processor, and seconds ready to run without one, of the candidate so far."""
        if not self.pid:
            # As bytes: a codec not used before would be looked for among files that may be out of reach here.
            with open(f"/proc/self/fdinfo/{self.process}", "rb") as file:
                found = re.search(rb"^Pid:\s*(\d+)", file.read(), re.MULTILINE)
            self.pid = int(found[1]) if found else 0
        if not self.pid:
            return 0.0, 0.0  # it has ended; the next turn sees that
        try:
            # The kernel's name for "CPU clock of process n" (clock_getcpuclockid).
            cpu = time.clock_gettime((~self.pid << 3) | 2)
            with open(f"/proc/{self.pid}/schedstat", "rb") as file:
                waited = int(file.read().split()[1]) / 1e9
        except OSError:
            return 0.0, 0.0
        return cpu, waited

    # ------------------------------------------------------------ the end

    def finish(self, report: bytes, by_itself: bool) -> ResourceUsage:
        """Take in the zygote's report. `by_itself`: the program's own end is its verdict, not that of its
        tests.
        """
        status, cpu, peak_kb, overrun = REPORT.unpack(report)
        if overrun:
            self.ending = Termination("output", "more files than the scratch space holds")
        elif self.ending is GONE or (by_itself and self.ending is None):
            self.ending = self._ending_of(os.waitstatus_to_exitcode(status), cpu, by_itself)
        if by_itself or self.ending:
            self._drain()
        for fd in (self.channel, self.out, self.err, self.process):
            os.close(fd)
        return ResourceUsage(cpu, time.monotonic() - self.begun, peak_kb / 1024)

    def _ending_of(self, code: int, cpu: float, by_itself: bool) -> Termination | None:
        """What an exit status means; None for a whole program that ended well."""
        if code == -signal.SIGKILL and cpu >= self.cpu_limit:
            return Termination("timeout", _TOO_SLOW.format(self.cpu_limit))
        if code < 0:
            return Termination("signal", f"killed by {signal.Signals(-code).name}")
        if not by_itself:
            return Termination("error", f"the program ended with exit status {code} before its tests did")
        if code == 0:
            return None
        if not self.last_words:
            return Termination("error", f"exit status {code}")
        with contextlib.suppress(CandidateEnded):
            self.refuse(self.last_words)
        return self.ending

    def _drain(self) -> None:
        """What was left in the pipes; their writers are gone, so this ends."""
        for fd in (self.out, self.err):
            text = self.texts[fd]
            while len(text) <= self.output_limit and framing.read_available(fd, text):
                pass
            if len(text) > self.output_limit:
                del text[self.output_limit :]
                if self.ending is None:
                    self.ending = Termination("output", f"more than {self.output_limit >> 10} KB of output")


def _sealed(data: bytes) -> int:
    """Standard input as a file nobody can change."""
    fd = os.memfd_create("stdin", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
