"""Whole sets of recorded outputs agree as the page of parity says: of Python and SQL."""

from pathlib import Path

import pytest

from harness.parity.recordings import ParitySet
from harness.parity.sets import SETS
from tests.support.parity_page import LARGE, assert_whole

HERE = [each for each in SETS if each not in LARGE]


@pytest.mark.timeout(1800)  # on a busy machine
@pytest.mark.parametrize("which", HERE, ids=[each.name for each in HERE])
def test_a_whole_set_agrees_as_the_page_says(which: ParitySet, real_data: Path) -> None:
    assert_whole(which, real_data)
