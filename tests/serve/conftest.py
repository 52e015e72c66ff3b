"""A service of three tasks that the tests of its routes share."""

from collections.abc import Iterator

import pytest

from tests.support.judge_service import Served, in_a_thread


@pytest.fixture(scope="package")
def served() -> Iterator[Served]:
    with in_a_thread("humaneval", "apps", "spider") as found:
        yield found
