"""What judging one program may cost the tester, whatever values the program returns: CPU time and memory.

Reading, comparing and describing values is work that a program can make arbitrarily expensive: numbers that all have
one hash, sixteen megabytes of empty lists, an endless generator. The kernel enforces both limits. Beyond the memory
Python raises MemoryError; beyond the CPU time a first timer interrupts the tests, and where that is not noticed,
because one built-in operation takes all the time, a second one ends the process. Either way the program's verdict is
`error`, and says why.
"""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from harness.sandbox.isolation import syscalls

# Times the program's own CPU limit: where the tests are interrupted, and where the process ends.
SOFT_FACTOR, HARD_FACTOR = 1.5, 2.0
# More than the tester had, its libraries and tests included.
MEMORY_MB = 200
# How the process ends when no memory is left to say why, or no time.
EXIT_STATUS = 99
EXIT_CODES = (EXIT_STATUS, -signal.SIGPROF)

TOO_LONG = "judge resources: judging the values it returned takes too much CPU time"
TOO_LARGE = f"judge resources: judging the values it returned takes more than {MEMORY_MB} MB"
TOO_MUCH = "judge resources: judging the values it returned takes too much CPU time or memory"


class OverBudget(BaseException):
    """The tests have had their time. Not an Exception: tests that catch errors must not catch it."""


_interruptible = False
# Memory that is not counted: this process's own, and its tests.
_own_bytes = 0
# The kernel's numbers of the two timers.
_soft_timer = _hard_timer = -1


def prepare() -> None:
    """Once per process, when it is ready to judge."""
    global _own_bytes, _soft_timer, _hard_timer
    signal.signal(signal.SIGVTALRM, _interrupt)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _soft_timer, _hard_timer = syscalls.cpu_timer(signal.SIGVTALRM), syscalls.cpu_timer(signal.SIGPROF)
    _own_bytes = _data_bytes()


def _interrupt(signum: int, stack: object) -> None:
    if _interruptible:
        raise OverBudget


@contextmanager
def uncounted() -> Iterator[None]:
    """What this process allocates here, for the tests and not for a program, is its own."""
    global _own_bytes
    before = _data_bytes()
    yield
    _own_bytes += max(0, _data_bytes() - before)


@contextmanager
def limited(cpu_s: float, tests_mb: int = 0) -> Iterator[None]:
    """For one program with this CPU limit, and with tests that say what memory they need themselves. Ends the process
    where its memory runs out in between the tests.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _own_bytes + (MEMORY_MB + tests_mb << 20)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    syscalls.set_timer(_soft_timer, SOFT_FACTOR * cpu_s)
    syscalls.set_timer(_hard_timer, HARD_FACTOR * cpu_s)
    try:
        yield
    except MemoryError:
        give_up()
    finally:
        syscalls.set_timer(_soft_timer, 0)
        syscalls.set_timer(_hard_timer, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        if _data_bytes() > _own_bytes + (MEMORY_MB << 18):
            syscalls.trim_heap()


@contextmanager
def interruptible() -> Iterator[None]:
    """A part that may be left anywhere: raises OverBudget there."""
    global _interruptible
    _interruptible = True
    try:
        yield
    finally:
        _interruptible = False


def give_up() -> NoReturn:
    os._exit(EXIT_STATUS)


def _data_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * resource.getpagesize()
