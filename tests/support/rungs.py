"""A sandbox on one level of isolation, or a skip where the kernel does not offer it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import sandbox
from harness.sandbox import launch
from harness.sandbox.isolation.confine import Isolation
from harness.schema import Program

RUNGS: tuple[Isolation, ...] = ("namespaces", "landlock")


@contextmanager
def pool_on(isolation: Isolation, packages: tuple[str, ...] = ()) -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(isolation=isolation, workers=1, packages=packages)) as pool:
        try:
            pool.run(Program(code=""))
        except launch.IsolationUnavailable as fault:
            pytest.skip(f"this machine does not offer {isolation}: {fault}")
        yield pool
