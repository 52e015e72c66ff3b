"""A sandbox that tests of tasks share."""

from collections.abc import Iterator

import pytest

from harness import sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as pool:
        yield pool
