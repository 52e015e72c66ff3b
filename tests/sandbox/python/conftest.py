"""A pool of two workers for the tests that say nothing else."""

from collections.abc import Iterator

import pytest

from harness import sandbox


@pytest.fixture(scope="module")
def pool() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=2, packages=("numpy",))) as pool:
        yield pool
