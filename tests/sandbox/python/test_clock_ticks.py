"""Where other processes share the processor the kernel's ticks count several times the CPU time that was used."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from harness import sandbox
from harness.schema import Limits
from tests.support.parts.judged_programs import GOOD, judge

_TICK_NS, _BUSY_NS = 4_000_000, 3_200_000
LIMITS = Limits(cpu_s=2.0, wall_s=60.0)
SPIN = """import time
def f(seconds):
    begin = time.process_time()
    while time.process_time() < begin + seconds:
        pass
"""


def _run_between_ticks() -> None:
    """Use four fifths of the processor without being seen by the clock tick."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while True:
        now = time.monotonic_ns()
        time.sleep((_TICK_NS - now % _TICK_NS + 300_000) / 1e9)
        end = time.monotonic_ns() + _BUSY_NS
        while time.monotonic_ns() < end:
            pass


@pytest.fixture
def shared_processor() -> Iterator[None]:
    """One processor for this process and all that it starts, and another process that has most of it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            _run_between_ticks()
        os._exit(1)
    yield
    ended, _ = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.sched_setaffinity(0, before)
    if ended:
        pytest.skip("this machine does not offer real-time priority to this user")


@pytest.mark.usefixtures("shared_processor")
def test_a_program_within_its_limit_is_not_ended_by_the_kernels_count() -> None:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        result = judge(pool, SPIN, "assert f(1.6) is None", LIMITS)
    assert (result.status, result.detail) == ("passed", "")
    assert result.cpu_s >= 1.6


@pytest.mark.usefixtures("shared_processor")
def test_tests_within_their_limit_are_not_interrupted() -> None:
    """What the tests use themselves, in the process that judges."""
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        work = SPIN.replace("f(", "work(")
        result = judge(pool, GOOD, work + "work(1.8)\nassert f(2) == 4", LIMITS)
    assert (result.status, result.detail) == ("passed", "")
