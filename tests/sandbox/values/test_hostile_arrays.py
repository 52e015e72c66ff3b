"""Parts of arrays as a hostile writer may send them: built, or refused before anything is allocated."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sandbox.values import arrays, codec
from tests.support.parts.array_values import COLUMNS, INDEXES, cross


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
