"""Tests of the completion cache have files of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config.load import COMPLETIONS


@pytest.fixture(autouse=True)
def _own_file_only(tmp_path: Path) -> Iterator[None]:
    """No test writes to the folder that all tests share."""
    shared = Path(os.environ["HARNESS_CACHE"]) / COMPLETIONS
    yield
    assert not shared.is_relative_to(tmp_path)
    assert not shared.exists()
