"""A sandbox with what DS-1000's answers may import."""

from collections.abc import Iterator

import pytest

from harness import sandbox
from tests.support.parts.ds1000_rows import TASK


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1, packages=TASK.packages, preload=TASK.preload)) as pool:
        yield pool
