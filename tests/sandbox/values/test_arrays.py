"""Arrays, frames and dates come back from the codec as what they were, and as nothing else."""

import datetime
import subprocess
import sys
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from harness.sandbox.values import arrays, codec
from tests.support.parts.array_values import COLUMNS, INDEXES, cross

ELEMENTS = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(),
    npst.unsigned_integer_dtypes(),
    npst.floating_dtypes(sizes=(16, 32, 64)),
    npst.complex_number_dtypes(sizes=(64, 128)),
    npst.unicode_string_dtypes(min_len=1),
    npst.byte_string_dtypes(min_len=1),
    npst.datetime64_dtypes(),
    npst.timedelta64_dtypes(),
)
ARRAYS = ELEMENTS.flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=5))
)


@settings(deadline=None)
@given(ARRAYS)
def test_arrays_of_every_element_type_come_back_bit_by_bit(array: Any) -> None:
    got = cross(np.array(array, order="F"))
    assert type(got) is np.ndarray
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert got.flags.c_contiguous
    assert got.flags.writeable


@settings(deadline=None)
@given(ARRAYS)
def test_scalars_keep_their_numpy_type(array: Any) -> None:
    for scalar in array.ravel()[:2]:
        got = cross([scalar])[0]
        assert type(got) is type(scalar)
        assert got.tobytes() == scalar.tobytes()


def test_views_objects_matrices_and_types_come_back() -> None:
    grid = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(cross(grid[::-1, ::2]), [[8, 10], [4, 6], [0, 2]])
    objects = np.array([1, "a", None, [1, 2], {"k": np.arange(2)}], dtype=object)
    got = cross(objects)
    assert got.dtype == object
    assert [type(each) for each in got] == [int, str, type(None), list, dict]
    assert cross(np.array([[1, "a"], [2.5, None]], dtype=object)).tolist() == [[1, "a"], [2.5, None]]
    assert type(cross(np.eye(2).view(np.matrix))) is np.matrix
    assert cross(np.dtype("float32")) == np.dtype("float32")
    assert cross((slice(1, None), np.int8(3))) == (slice(1, None), 3)


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: str(index.dtype))
def test_indexes_come_back_with_class_type_names_and_frequency(index: Any) -> None:
    got = cross(index)
    assert type(got) is type(index)
    pd.testing.assert_index_equal(got, index, exact=True)
    assert getattr(got, "freq", None) == getattr(index, "freq", None)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.dtype))
def test_series_come_back_with_values_type_index_and_name(column: Any) -> None:
    pd.testing.assert_series_equal(cross(column), column, check_index_type=True, check_freq=True)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.Categorical(["u", "v"])}),
        pd.DataFrame([[1, 2], [3, 4]], columns=["same", "same"], index=[0, 0]),
        pd.DataFrame([[1, 2.5]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["p", "q"])),
        pd.DataFrame({"d": pd.date_range("2020", periods=2)}, index=pd.date_range("2021", periods=2)),
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame(columns=["a", "b"]),
    ],
    ids=range(7),
)
def test_frames_come_back_with_both_indexes(frame: Any) -> None:
    got = cross(frame)
    pd.testing.assert_frame_equal(got, frame, check_index_type=True, check_column_type=True, check_freq=True)


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2020-01-01 12:00", tz="UTC"),
        pd.Timestamp("1990-05-01"),
        pd.Timedelta("1D2h"),
        pd.Period("2020-01", "M"),
        pd.Interval(0, 1, closed="both"),
        datetime.datetime(2020, 1, 1, 2, 3, 4, 5, datetime.UTC),
        datetime.datetime(2020, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        datetime.date(2020, 1, 1),
        datetime.time(1, 2),
        datetime.timedelta(-5, 3),
    ],
    ids=repr,
)
def test_times_and_durations_come_back(value: Any) -> None:
    got = cross(value)
    assert type(got) is type(value)
    assert got == value
    assert repr(got) == repr(value)


def test_what_is_missing_stays_the_one_missing_value() -> None:
    assert cross([pd.NaT, pd.NA])[0] is pd.NaT
    assert cross([pd.NaT, pd.NA])[1] is pd.NA


@pytest.mark.parametrize("last", ["matrix", "array"])
@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_sparse_matrices_come_back_in_their_form(form: str, last: str) -> None:
    value = getattr(scipy.sparse, f"{form}_{last}")(np.array([[0, 1.5], [2, 0]]))
    got = cross(value)
    assert type(got) is type(value)
    np.testing.assert_array_equal(got.toarray(), value.toarray())


class Liar(np.ndarray):  # type: ignore[type-arg]
    def __eq__(self, other: object) -> Any:
        return np.ones(3, dtype=bool)

    __hash__ = None  # type: ignore[assignment]


class Pretender:
    """Claims to be an array in every way that libraries ask."""

    __array_interface__ = np.arange(3).__array_interface__

    def __array__(self, *args: object, **kwargs: object) -> Any:
        return np.arange(3)


class Frame(pd.DataFrame):
    def equals(self, other: object) -> bool:
        return True


class Stamp(pd.Timestamp):
    pass


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3).view(Liar),
        np.ma.masked_array([1, 2], mask=[0, 1]),
        Pretender(),
        Frame({"a": [1]}),
        np.zeros(2, dtype=[("a", int), ("b", float)]),
        np.zeros(1, dtype="V4"),
        np.zeros(1, dtype=np.longdouble),
        pd.Series([1, 2]).groupby([1, 2]),
        pd.arrays.SparseArray([0, 1]),
        np.sum,
        np.float64,
        np.random.default_rng(0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclasses_and_other_objects_are_refused(value: Any) -> None:
    with pytest.raises(codec.Uncrossable):
        cross(value)


def test_the_metadata_of_an_element_type_is_dropped() -> None:
    marked = np.zeros(2, dtype=np.dtype("f8", metadata={"evil": object()}))
    assert cross(marked).dtype.metadata is None


def test_arrays_are_refused_unless_asked_for() -> None:
    with pytest.raises(codec.Uncrossable):
        codec.encode(np.arange(3))
    with pytest.raises(codec.Malformed):
        codec.decode(codec.encode(np.arange(3), describe=arrays.describe))


def test_the_codec_alone_imports_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys\nfrom harness.sandbox.python import child, tester, zygote\n"
        "from harness.sandbox.values import arrays, codec\n"
        "codec.decode(codec.encode([1, {'a': 2.5}], describe=arrays.describe), build=arrays.build)\n"
        "print({'numpy', 'pandas', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
