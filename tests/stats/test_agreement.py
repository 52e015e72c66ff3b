"""The area under the ROC curve against values worked out by hand, and its interval where there is nothing to tell."""

import numpy as np
import pytest

from harness.stats.agreement import auc_interval


def test_the_area_is_the_share_of_pairs_in_order_ties_half() -> None:
    values = [np.array([0.1, 0.4]), np.array([0.35, 0.8])]
    passed = [np.array([0.0, 0.0]), np.array([1.0, 1.0])]
    found = auc_interval(values, passed)
    assert found is not None
    assert found[0] == 0.75  # of four pairs three
    tied = auc_interval([np.array([0.5]), np.array([0.5])], [np.array([1.0]), np.array([0.0])])
    assert tied is not None
    assert tied[0] == 0.5


def test_where_all_pass_nothing_is_told_apart() -> None:
    assert auc_interval([np.array([0.1, 0.9])], [np.array([1.0, 1.0])]) is None


def test_the_interval_covers_the_value_and_clusters_widen_it() -> None:
    rng = np.random.default_rng(0)
    passed = [np.array([float(i % 2)]) for i in range(200)]
    values = [each + rng.normal(size=1) for each in passed]
    alone = auc_interval(values, passed)
    doubled = auc_interval(
        [v for v in values for _ in range(4)],
        [p for p in passed for _ in range(4)],
        [i for i in range(200) for _ in range(4)],
    )
    assert alone is not None
    assert doubled is not None
    assert alone[1] < alone[0] < alone[2]
    assert doubled == pytest.approx(alone)  # copies in a cluster say nothing new
