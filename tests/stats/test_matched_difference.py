"""Differences between sets of other problems: a published interval, and groups taken alike."""

import numpy as np
import pytest

from harness.stats.intervals import Floats
from harness.stats.matched_difference import matched_difference


def of(right: int, total: int) -> Floats:
    return np.array([1.0] * right + [0.0] * (total - right))


def test_with_one_group_it_is_newcombes_interval() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873: 56 of 70 less 48 of 80, his method 10."""
    found = matched_difference({"": of(48, 80)}, {"": of(56, 70)})
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_groups_are_weighted_as_in_the_second_set() -> None:
    """The shares of each group are equal, and only the second set is mostly hard."""
    first = {"easy": of(72, 90), "hard": of(2, 10)}
    second = {"easy": of(8, 10), "hard": of(18, 90)}
    found = matched_difference(first, second)
    assert found is not None
    assert (found.first, found.second, found.value) == pytest.approx((0.26, 0.26, 0.0))
    assert found.low < 0 < found.high
    assert found.counts == (100, 100)


def test_a_group_of_one_set_only_is_left_out_and_counted() -> None:
    found = matched_difference({"easy": of(5, 5), "hard": of(0, 3)}, {"easy": of(4, 5), "medium": of(1, 4)})
    assert found is not None
    assert (found.counts, found.unmatched) == ((5, 5), 7)
    assert matched_difference({"easy": of(1, 2)}, {"hard": of(1, 2)}) is None
