"""Arrays, frames and dates come back from the codec as what they were, and as nothing else.

The pure part runs on the installed numpy and pandas; the last part through the sandbox. HARNESS_DS1000_PYTHON
names an interpreter with pandas before 2, for the tests that need one.
"""

import datetime
import os
import platform
import subprocess
import sys
import tracemalloc
import zoneinfo
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from harness import sandbox
from harness.errors import UserError
from harness.sandbox.values import arrays, codec
from harness.schema import Program, UnitTests

OLD_PYTHON = os.environ.get("HARNESS_DS1000_PYTHON", "")
needs_old_python = pytest.mark.skipif(
    not OLD_PYTHON, reason="set HARNESS_DS1000_PYTHON to a Python with pandas 1.5 (make ds1000-env)"
)


def cross(value: Any) -> Any:
    return codec.decode(codec.encode(value, describe=arrays.describe), build=arrays.build)


# ---------------------------------------------------------------- the same on the other side

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


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: str(index.dtype))
def test_indexes_come_back_with_class_type_names_and_frequency(index: Any) -> None:
    got = cross(index)
    assert type(got) is type(index)
    pd.testing.assert_index_equal(got, index, exact=True)
    assert getattr(got, "freq", None) == getattr(index, "freq", None)


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


# ---------------------------------------------------------------- nothing comes back as something else


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


# ---------------------------------------------------------------- hostile parts


def told(kind: str, *parts: Any) -> bytes:
    """What a hostile writer may send: any kind with any parts."""
    return codec.encode(Told(kind, parts), describe=_tell)


class Told:
    def __init__(self, kind: str, parts: tuple[Any, ...]) -> None:
        self.kind, self.parts = kind, parts


def _tell(value: object) -> tuple[str, tuple[Any, ...]] | None:
    return (value.kind, value.parts) if isinstance(value, Told) else arrays.describe(value)


HUGE = 1 << 40
ONE = pd.RangeIndex(1)
MALFORMED = {
    "an unknown kind": ("pickle", b"cos\nsystem\n"),
    "no such element type": ("array", "|V8", (1,), bytes(8)),
    "objects as bytes": ("array", "|O", (1,), bytes(8)),
    "elements without a size": ("array", "<U0", (HUGE,), b""),
    "more elements than bytes": ("array", "<f8", (HUGE,), bytes(8)),
    "an empty array with huge sides": ("array", "<f8", (0, HUGE), b""),
    "sides that overflow": ("array", "<f8", (1 << 62, 1 << 62, 0), b""),
    "a negative side": ("array", "<f8", (-1, -8), bytes(64)),
    "too many axes": ("array", "|b1", (1,) * 33, b"\x00"),
    "a side that is no integer": ("array", "<f8", (1.0,), bytes(8)),
    "a truth value of two": ("array", "|b1", (1,), b"\x02"),
    "a letter beyond Unicode": ("array", "<U1", (1,), b"\xff\xff\xff\x7f"),
    "fewer objects than the shape": ("objects", (3,), [1]),
    "a scalar of three": ("scalar", "<f8", bytes(24)),
    "a column of text as a frame": ("frame", ["a"], ONE, ONE),
    "a frame with too few labels": ("frame", [("numpy", np.arange(5))], ONE, pd.RangeIndex(3)),
    "a series of two axes": ("series", ("numpy", np.zeros((1, 1))), ONE, None),
    "a name that cannot be hashed": ("series", ("numpy", np.zeros(1)), ONE, []),
    "an endless range": ("range index", 0, HUGE, 1, None),
    "a range without steps": ("range index", 0, 1, 0, None),
    "codes beyond their categories": ("index", ("categories", np.array([7]), ONE, False), None, None),
    "codes beyond their levels": ("multi index", [ONE], [np.array([9])], ["a"]),
    "an evil storage": ("index", ("strings", ["a"], "os.system", True), None, None),
    "a frequency of code": ("index", ("periods", np.zeros(1, "i8"), "__import__('os')"), None, None),
    "a sparse matrix without end": ("sparse", "csr", "matrix", (HUGE, 1), *[np.zeros(0, "i4")] * 3),
    "a wide list of lists": ("sparse", "lil", "matrix", (1 << 22, 1), *[np.zeros(0, "i4")] * 3),
    "entries outside": ("sparse", "csr", "matrix", (1, 1), np.ones(1), *[np.array([5])] * 2),
    "another attribute of scipy": ("sparse", "load", "npz", (1, 1), *[np.zeros(0, "i4")] * 3),
    "a path as a time zone": ("datetime", (2020, 1, 1), 0, ("zoneinfo", "../../etc/passwd")),
    "an absolute path as a time zone": ("time", (1, 1), 0, ("zoneinfo", "/etc/passwd")),
    "an impossible date": ("date", 2020, 13, 1),
    "parts of another number": ("array", "<f8"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_parts_that_describe_makes_of_nothing_are_refused_before_anything_is_allocated(name: str) -> None:
    data = told(*MALFORMED[name])
    tracemalloc.start()
    try:
        with pytest.raises(codec.Malformed):
            codec.decode(data, build=arrays.build)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_arrays_beyond_the_limit_are_not_even_copied() -> None:
    wide = np.broadcast_to(np.zeros(1), (1 << 40,))  # eight bytes that say they are eight terabytes
    for value in (wide, pd.RangeIndex(1 << 40), np.broadcast_to(np.array([None]), (1 << 40,))):
        with pytest.raises((codec.Uncrossable, codec.Malformed)):
            cross(value)


VALUES = st.sampled_from([*INDEXES, *COLUMNS, np.arange(6).reshape(2, 3), np.array(["a", "bc"]), pd.NaT])
KINDS = st.sampled_from(sorted(arrays._BUILDERS))
PARTS = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=16),
        st.sampled_from(["<f8", "|b1", "<U1", "<M8[ns]", "numpy", "zoned", "strings", "csr", "matrix", "M"]),
        VALUES,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=8,
)


@pytest.mark.filterwarnings("ignore")  # what the libraries think of such parts
@settings(deadline=None, max_examples=300)
@given(KINDS, st.lists(PARTS, max_size=6))
def test_no_parts_do_more_than_be_built_or_refused(kind: str, parts: list[Any]) -> None:
    try:
        value = codec.decode(told(kind, *parts), build=arrays.build)
    except codec.Malformed:
        return
    assert type(value).__module__.partition(".")[0] in {
        *("numpy", "pandas", "scipy", "datetime", "builtins", "tests", "zoneinfo")
    }


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=300)
@given(VALUES, st.integers(0, 600), st.binary(min_size=1, max_size=4))
def test_damaged_bytes_are_refused_or_decode_to_what_can_be_encoded_again(
    value: Any, at: int, damage: bytes
) -> None:
    data = bytearray(codec.encode(value, describe=arrays.describe))
    at %= len(data)
    data[at : at + len(damage)] = damage
    try:
        found = codec.decode(bytes(data), build=arrays.build)
    except codec.Malformed:
        return
    assert type(cross(found)) is type(found)


def test_the_codec_alone_imports_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys\nfrom harness.sandbox.python import child, tester, zygote\n"
        "from harness.sandbox.values import arrays, codec\n"
        "codec.decode(codec.encode([1, {'a': 2.5}], describe=arrays.describe), build=arrays.build)\n"
        "print({'numpy', 'pandas', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# ---------------------------------------------------------------- through the sandbox

DOUBLE = "def f(x):\n    return x * 2\n"
TESTS = UnitTests(
    code="import numpy as np, pandas as pd\n"
    "np.testing.assert_array_equal(f(np.arange(3)), [0, 2, 4])\n"
    "pd.testing.assert_frame_equal(f(pd.DataFrame({'a': [1]})), pd.DataFrame({'a': [2]}))",
    entry_point="f",
    arrays=True,
)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def box(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    with sandbox.start(
        sandbox.Settings(isolation=request.param, workers=1, preload=("numpy", "pandas"))
    ) as pool:
        yield pool


def test_arrays_and_frames_are_judged_outside(box: sandbox.Pool) -> None:
    right = box.run(Program(code=DOUBLE, tests=TESTS))
    assert (right.status, right.judge) == ("passed", "outside")
    wrong = box.run(Program(code=DOUBLE.replace("2", "3"), tests=TESTS))
    assert (wrong.status, wrong.judge) == ("failed", "outside")


LIES = {
    "a subclass equal to everything": "import numpy as np\nclass L(np.ndarray):\n"
    "    def __eq__(self, other): return True\n"
    "    def __array_function__(self, *rest): return None\n"
    "def f(x): return np.zeros(3).view(L)",
    "an object that says it is an array": "import numpy as np\nclass L:\n"
    "    def __array__(self, *rest): return np.array([0, 2, 4])\n"
    "    def __eq__(self, other): return True\n"
    "def f(x): return L()",
    "a class that takes the name": "import numpy as np\nclass ndarray(np.ndarray): pass\n"
    "ndarray.__module__ = 'numpy'\nnp.ndarray = ndarray\ndef f(x): return (x * 2).view(ndarray)",
    "a patched comparison": "import numpy as np\nnp.testing.assert_array_equal = lambda *rest: None\n"
    "def f(x): return x",
    "a patched codec": "import sys\ndef f(x):\n"
    "    world = sys._getframe(1).f_globals\n"
    "    world['codec']._put = lambda value, out, *rest: out.extend(b'L\\x00')\n"
    "    return x * 2",
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_an_array_does_not_pass(box: sandbox.Pool, name: str) -> None:
    assert box.run(Program(code=LIES[name], tests=TESTS)).status in {"failed", "error"}
    assert box.run(Program(code=DOUBLE, tests=TESTS)).status == "passed"


def test_preloaded_modules_are_there_and_their_memory_is_not_the_programs(box: sandbox.Pool) -> None:
    code = "import sys\nassert 'pandas' in sys.modules\nx = bytearray(900 << 20)"
    assert box.run(Program(code=code)).status == "passed"
    assert box.run(Program(code="x = bytearray(1300 << 20)")).status == "memory"
    assert box.versions(["python"]) == {"python": platform.python_version()}
    assert box.packages["pandas"] == pd.__version__


def test_a_program_leaves_nothing_in_a_preloaded_module(box: sandbox.Pool) -> None:
    assert box.run(Program(code="import numpy\nnumpy.pi = 3")).status == "passed"
    assert box.run(Program(code="import numpy\nassert numpy.pi > 3.1")).status == "passed"


def test_an_interpreter_that_is_not_python_or_lacks_a_module_is_a_user_error() -> None:
    for chosen, complaint in [
        (sandbox.Settings(python="no/such/python"), "no such program; expected a path like ENV/bin/python"),
        (sandbox.Settings(python="/bin/sh"), "does not run as Python"),
        (sandbox.Settings(preload=("numpy", "no_such_module")), "has no no_such_module"),
    ]:
        with sandbox.start(chosen) as pool, pytest.raises(UserError, match=complaint) as caught:
            pool.run(Program(code=""))
        assert "\n" not in str(caught.value)


@needs_old_python
@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_another_environments_interpreter_runs_programs_and_tests(isolation: Any) -> None:
    code = DOUBLE + "import pandas\nassert pandas.__version__[0] == '1'\n"
    tests = TESTS.model_copy(update={"code": f"{TESTS.code}\nassert pd.__version__[0] == '1'"})
    with sandbox.start(
        sandbox.Settings(isolation=isolation, workers=1, python=OLD_PYTHON, preload=("numpy", "pandas"))
    ) as pool:
        assert pool.run(Program(code=code, tests=tests)).status == "passed"
        assert pool.packages["pandas"].startswith("1.")


@needs_old_python
def test_the_codecs_tests_hold_on_the_other_interpreters_libraries_as_well() -> None:
    """The pure part of this file again, over there: classes differ between the versions of pandas."""
    code = (
        "import sys, types\n"
        "for name in ('harness', 'harness.sandbox', 'harness.sandbox.values'):\n"
        "    sys.modules[name] = m = types.ModuleType(name)\n"
        "    m.__path__ = [sys.argv[1] + '/' + name.replace('.', '/')]\n"
        "from harness.sandbox.values import arrays, codec\nimport pandas as pd, numpy as np\n"
        "cross = lambda v: codec.decode(codec.encode(v, describe=arrays.describe), build=arrays.build)\n"
        "fixed = pd.to_datetime(['2015-12-01 00:00:00-06:00'])\n"
        "for i in [pd.Index([1, 2]), pd.Index([1.5]), pd.date_range('2020', periods=2, tz='US/Eastern'), fixed,\n"
        "          pd.MultiIndex.from_product([[1], ['a']]), pd.RangeIndex(2), pd.CategoricalIndex(['a'])]:\n"
        "    assert type(cross(i)) is type(i)\n"
        "    pd.testing.assert_index_equal(cross(i), i, exact=True)\n"
        "    f = pd.DataFrame({'a': pd.Series(list(i)), 'b': np.arange(len(i))})\n"
        "    f.index = i\n    pd.testing.assert_frame_equal(cross(f), f, check_freq=True)\n"
        "print('same')"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(sandbox.__path__[0])))
    done = subprocess.run([OLD_PYTHON, "-c", code, root], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("same\n", "")
