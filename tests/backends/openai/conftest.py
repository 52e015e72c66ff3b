"""A faulty server for each test of its client."""

from collections.abc import Iterator

import pytest

from tests.support.faulty_server import World, serving


@pytest.fixture
def world() -> Iterator[World]:
    with serving(World()) as world:
        yield world
