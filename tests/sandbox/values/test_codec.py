"""The codec between tester and candidate: plain data comes back unchanged, all else is refused, no bytes crash it."""

import collections
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sandbox.values import codec, opaque

KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters()),
    st.binary(),
)
VALUES = st.recursive(
    st.one_of(KEYS, st.complex_numbers(allow_nan=False), st.fractions(), st.decimals(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner),
        st.sets(KEYS),
        st.frozensets(KEYS),
        st.lists(st.integers(), min_size=9),
        st.lists(st.floats(allow_nan=False), min_size=9),
    ),
    max_leaves=20,
)


def shape(value: object) -> object:
    """The value with the class of every part: 1, 1.0 and True are equal and not the same."""
    if isinstance(value, dict):
        return dict, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return type(value), [shape(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(shape(item)) for item in value)
    return type(value), repr(value)


def assert_plain(data: bytes) -> None:
    """The bytes are refused as Malformed, or decode to a value that can be encoded again: of built-in parts only."""
    try:
        value = codec.decode(data, lambda number, kind, name: None)
    except codec.Malformed:
        return
    assert shape(codec.decode(codec.encode(value))) == shape(value)


@settings(deadline=None)
@given(VALUES)
def test_plain_data_comes_back_unchanged(value: object) -> None:
    assert shape(codec.decode(codec.encode(value))) == shape(value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_refused_or_decode_to_plain_data(data: bytes) -> None:
    assert_plain(data)


@settings(deadline=None)
@given(VALUES, st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_damaged_bytes_are_refused_or_decode_to_plain_data(value: object, at: int, damage: bytes) -> None:
    data = bytearray(codec.encode(value))
    at %= len(data)
    data[at : at + len(damage)] = damage
    assert_plain(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"[" + struct.pack("<I", 1 << 31),
        b"s" + struct.pack("<I", 9) + b"short",
        b"[\x01\x00\x00\x00" * 10_000,
        b"<\x01\x00\x00\x00[\x00\x00\x00\x00",
        b"NN",
        b"O" + bytes(8) + b"NN",
        b"y" + b"i" + struct.pack("<q", 1) + b"i" + struct.pack("<q", 0),
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(codec.Malformed):
        codec.decode(data)


class Liar(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__

    def __index__(self) -> int:
        return 7


def test_a_subclass_is_serialised_as_its_base_value_whatever_it_says() -> None:
    assert shape(codec.decode(codec.encode([Liar(3)]))) == shape([3])


@pytest.mark.parametrize("value", [len, object(), iter([1]), type, NotImplemented, map(abs, [])])
def test_functions_instances_and_iterators_are_refused(value: object) -> None:
    with pytest.raises(codec.Uncrossable):
        codec.encode([value])


def test_depth_and_size_are_bounded() -> None:
    deep: list[object] = []
    for _ in range(codec.MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(codec.Uncrossable):
        codec.encode(deep)
    wide: object = "x" * 1000
    for _ in range(40):
        wide = [wide, wide]
    with pytest.raises(codec.Uncrossable):
        codec.encode(wide)


def test_exceptions_become_the_nearest_builtin_and_never_one_that_ends_programs() -> None:
    arguments = codec.encode(("gone",))
    error = opaque.rebuild_exception(("KeyError", "LookupError", "Exception"), arguments, "Mine: gone")
    assert type(error) is KeyError
    assert error.args == ("gone",)
    assert opaque.rebuild_exception(("SystemExit", "BaseException", "object"), arguments, "") is None
    assert (
        type(opaque.rebuild_exception(("UnicodeDecodeError", "UnicodeError"), arguments, "")) is UnicodeError
    )
