"""Indexes and columns of every kind, and the way of a value through the codec."""

import datetime
from typing import Any

import numpy as np
import pandas as pd

from harness.sandbox.values import arrays, codec


def cross(value: Any) -> Any:
    return codec.decode(codec.encode(value, describe=arrays.describe), build=arrays.build)


INDEXES = [
    pd.RangeIndex(3, name="a"),
    pd.Index([1, 2]),
    pd.Index([1.5]),
    pd.Index(["a", "b"], name=("x", 1)),
    pd.Index(["a", 1], dtype=object),
    pd.Index([True, False]),
    pd.MultiIndex.from_tuples([(1, "a"), (2, "b"), (1, np.nan)], names=["x", None]),
    pd.date_range("2020", periods=3),
    pd.date_range("2020", periods=3, freq="MS"),
    pd.date_range("2020-03-28", periods=3, tz="Europe/Berlin"),
    pd.to_datetime(["2015-12-01 00:00:00-06:00"]),
    pd.timedelta_range("1D", periods=2),
    pd.period_range("2020", periods=3, freq="M"),
    pd.CategoricalIndex(["a", "b", "a"], ordered=True),
    pd.interval_range(0, 3, closed="left"),
]
COLUMNS = [
    pd.Series([1, 2], index=["a", "b"], name="n"),
    pd.Series([1, 2], dtype="float32"),
    pd.Series([1, None], dtype="Int64"),
    pd.Series([1.5, None], dtype="Float64"),
    pd.Series([True, None], dtype="boolean"),
    pd.Series(["a", None]),
    pd.Series(["a", None], dtype="string"),
    pd.Series(["a", "b"], dtype=object),
    pd.Series(["a", "b"], dtype="category"),
    pd.Series(pd.date_range("2020", periods=3, tz="UTC")),
    pd.Series(pd.period_range("2020", periods=2, freq="D")),
    pd.Series(pd.to_timedelta([1, 2], unit="s")),
    pd.Series([[1, 2], {"a": 1}]),
    pd.Series([pd.Timestamp("2020"), "x", None, np.nan, pd.NaT, pd.NA], dtype=object),
    pd.Series([datetime.date(2020, 1, 1)]),
    pd.Series([], dtype="float64"),
]
