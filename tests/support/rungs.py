"""A sandbox on one level of isolation, or a skip where the kernel does not offer it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

from harness import sandbox
from harness.sandbox import launch
from harness.sandbox.isolation.confine import Isolation
from harness.schema import Limits, Program, UnitTests

Process = Literal["fork", "restore"]

RUNGS: tuple[Isolation, ...] = ("namespaces", "landlock")
RUNGS_AND_PROCESSES = tuple(itertools.product(RUNGS, ("fork", "restore")))
# A process that is put back pays after so many programs; one that did not is followed by plain forks.
_PAYS, _PLAIN = 16, 64
_numbers = itertools.count()


@contextmanager
def pool_on(
    isolation: Isolation, packages: tuple[str, ...] = (), process: Process = "fork"
) -> Iterator[sandbox.Pool]:
    settings = sandbox.Settings(isolation=isolation, workers=1, packages=packages, process=process)
    with sandbox.start(settings) as pool:
        try:
            pool.run(Program(code=""))
        except launch.IsolationUnavailable as fault:
            pytest.skip(f"this machine does not offer {isolation}: {fault}")
        yield pool


def settle(pool: sandbox.Pool, tests: UnitTests, right: str, limits: Limits) -> None:
    """Run programs until the next one meets a process that was put back, where the pool has such."""
    served = 0
    for _ in range(_PLAIN + 4 * _PAYS if pool.settings.process == "restore" else 0):
        result = pool.run(Program(code=f"{right}\n# {next(_numbers)}", tests=tests, limits=limits))
        assert result.status == "passed", result
        served = served + 1 if result.peak_mb > 15 else 0  # more than a fork has: the memory set aside for it
        if served > _PAYS:
            return
    assert pool.settings.process == "fork", "no process was put back"
