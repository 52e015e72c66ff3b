"""Serialises plain data, and nothing else, between the tester and the candidate.

Only exact built-in types and a few harmless types of the standard library have a form here. Decoding builds them with
this side's own classes and runs no code that the bytes name, so a subclass with a lying `__eq__`, a pickle or a
function cannot be sent. Any other value is passed to `other`, which gives it a number (an opaque handle) or refuses.
`describe` and `build` add kinds of values where they are wanted (arrays.py): these are written as a name and plain
parts. Sizes, nesting and element counts are bounded on both sides. This is *not* a format for disk.
"""

import math
import struct
import sys
from array import array
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.sandbox.values import nans

if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction

MAX_BYTES = 16 << 20
MAX_DEPTH = 800  # Python itself compares no more than about 1,000
_FRACTION_BYTES = 1 << 14  # both parts; reducing a fraction takes time with their square

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")

# A handle: number, kind ("iterator", "iterable" or "object") and the type's name, for messages.
Handle = tuple[int, str, str]
Other = Callable[[object], Handle]
Describe = Callable[[object], tuple[str, tuple[Any, ...]] | None]
Build = Callable[[str, Any], object]


class Uncrossable(Exception):
    """The value cannot be serialised (a function, an instance, too deep, too large).

    Where a program raises it, its name and text are part of recorded verdicts.
    """


class TooLarge(Uncrossable):
    """Plain data, beyond the limits of what crosses. Of a program's value the verdict is then `output`."""


class Malformed(Exception):
    """The bytes are not what `encode` makes; only a hostile writer produces such bytes."""


def refuse(value: object) -> Handle:
    """The default for `other`: nothing but plain data is serialised."""
    raise Uncrossable(f"a value of type {type(value).__name__} cannot cross")


def describe_nothing(value: object) -> None:
    """The default for `describe`: no kinds besides the plain ones."""


def encode(
    value: object, other: Other = refuse, limit: int = MAX_BYTES, describe: Describe = describe_nothing
) -> bytes:
    """Raises Uncrossable. `other` gives the handle of a value that is not plain data."""
    out = bytearray()
    _put(value, out, 0, other, limit, describe)
    if len(out) > limit:
        raise TooLarge(f"a value of more than {limit} bytes cannot cross")
    return bytes(out)


def _put(value: Any, out: bytearray, depth: int, other: Other, limit: int, describe: Describe) -> None:
    if depth > MAX_DEPTH:
        raise TooLarge(f"a value nested deeper than {MAX_DEPTH} cannot cross")
    if len(out) > limit:
        raise TooLarge(f"a value of more than {limit} bytes cannot cross")
    kind = type(value)
    leaf = _LEAVES.get(kind)
    if leaf is not None:
        leaf(value, out)
        return
    tag = _GROUPS.get(kind)
    if tag is None:
        if kind.__module__ in _NUMBERS:
            name, leaf = _NUMBERS[kind.__module__]
            if getattr(sys.modules.get(kind.__module__), name, None) is kind:
                leaf(value, out)
                return
        if (described := describe(value)) is not None:
            out += b"L"
            _put_str(described[0], out)
            _put(described[1], out, depth + 1, other, limit, describe)
            return
        plain = _base_value(value)
        if plain is not value:
            _put(plain, out, depth, other, limit, describe)
            return
        number, sort, name = other(value)
        out += b"O" + _I64.pack(number)
        _put_str(sort, out)
        _put_str(name[:100], out)
        return
    if kind is list and len(value) > 8 and _put_packed(value, out):
        return
    out += tag
    out += _U32.pack(len(value))
    if tag in b"{ok":
        for key, item in value.items():
            _put(key, out, depth + 1, other, limit, describe)
            _put(item, out, depth + 1, other, limit, describe)
    else:
        for item in value:
            _put(item, out, depth + 1, other, limit, describe)


def _put_packed(items: list[Any], out: bytearray) -> bool:
    """Write a long list of machine integers or floats as one block: fifty times faster than item by item."""
    kinds = set(map(type, items))
    if len(kinds) != 1:
        return False
    kind = kinds.pop()
    if kind is float and not math.isnan(sum(items)):
        block = array("d", items)
        out += b"D"
    elif kind is int:
        try:
            block = array("q", items)
        except OverflowError:
            return False
        out += b"A"
    else:
        return False
    out += _U32.pack(len(items))
    out += block.tobytes()
    return True


def _put_int(value: int, out: bytearray) -> None:
    if -(1 << 63) <= value < 1 << 63:
        out += b"i" + _I64.pack(value)
    else:
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        out += b"I" + _U32.pack(len(raw)) + raw


def _put_str(value: str, out: bytearray) -> None:
    raw = value.encode("utf-8", "surrogatepass")
    out += b"s" + _U32.pack(len(raw)) + raw


def _put_bytes(value: bytes | bytearray, out: bytearray) -> None:
    out += (b"b" if type(value) is bytes else b"B") + _U32.pack(len(value)) + value


def _put_range(value: range, out: bytearray) -> None:
    out += b"r"
    for part in (value.start, value.stop, value.step):
        _put_int(part, out)


def _put_fraction(value: "Fraction", out: bytearray) -> None:
    out += b"y"
    start = len(out)
    _put_int(value.numerator, out)
    _put_int(value.denominator, out)
    if len(out) - start > _FRACTION_BYTES:
        raise TooLarge("a fraction of so many digits cannot cross")


def _put_decimal(value: "Decimal", out: bytearray) -> None:
    out += b"x"
    _put_str(str(value), out)


_LEAVES: dict[type, Callable[[Any, bytearray], Any]] = {
    type(None): lambda value, out: out.extend(b"N"),
    bool: lambda value, out: out.extend(b"T" if value else b"F"),
    int: _put_int,
    float: nans.put_float,
    complex: lambda value, out: out.extend(b"c" + _F64.pack(value.real) + _F64.pack(value.imag)),
    str: _put_str,
    bytes: _put_bytes,
    bytearray: _put_bytes,
    range: _put_range,
}
# Of modules that few programs load, and so neither does this one before there is such a value: the type's name.
_NUMBERS: dict[str, tuple[str, Callable[[Any, bytearray], None]]] = {
    "fractions": ("Fraction", _put_fraction),
    "decimal": ("Decimal", _put_decimal),
}
_GROUPS: dict[type, bytes] = {
    tuple: b"(",
    list: b"[",
    dict: b"{",
    set: b"<",
    frozenset: b">",
    deque: b"d",
    OrderedDict: b"o",
    Counter: b"k",
}


def _base_value(value: Any) -> Any:
    """The built-in value inside an instance of a subclass (namedtuple, IntEnum, defaultdict, numpy's scalars).

    Python compares these by that value, so no verdict changes. Returns `value` itself if there is none.
    """
    match value:
        case int():
            return int.__index__(value)
        case float():
            return float.__pos__(value)
        case complex():
            return complex.__pos__(value)
        case str():
            return str.__str__(value)
        case bytes() | bytearray():
            return bytes(memoryview(value))
        case tuple():
            return tuple(tuple.__iter__(value))
        case list():
            return list(list.__iter__(value))
        case dict():
            return dict(dict.items(value))
        case set():
            return set(set.__iter__(value))
        case frozenset():
            return frozenset(frozenset.__iter__(value))
    kind = type(value)
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(kind, "item"):
        scalar = value.item()
        return scalar if type(scalar) in _LEAVES else value
    return value


def no_handles(number: int, kind: str, name: str) -> object:
    raise Malformed("a handle where none may be")


def build_nothing(kind: str, parts: Any) -> object:
    raise Malformed("a kind of value that was not asked for")


Kinds = tuple[Describe, Build]


def decode(
    data: bytes, handle: Callable[[int, str, str], object] = no_handles, build: Build = build_nothing
) -> Any:
    """The inverse of `encode`. Raises Malformed for other bytes. `handle` builds the stand-in of an opaque value."""
    try:
        value, end = _get(data, 0, 0, handle, build)
    except (Malformed, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever bytes or their values provoke, also in `build`
        raise Malformed(type(error).__name__) from None
    if end != len(data):
        raise Malformed("bytes left over")
    return value


def _get(
    data: bytes, at: int, depth: int, handle: Callable[[int, str, str], object], build: Build = build_nothing
) -> tuple[Any, int]:
    if depth > MAX_DEPTH + 1:
        raise Malformed("nested too deep")
    tag = data[at : at + 1]
    at += 1
    reader = _READERS.get(tag)
    if reader is not None:
        return reader(data, at)
    if tag == b"O":
        (number,) = _I64.unpack_from(data, at)
        kind, at = _get(data, at + 8, MAX_DEPTH + 1, handle)
        name, at = _get(data, at, MAX_DEPTH + 1, handle)
        if type(kind) is not str or type(name) is not str:
            raise Malformed("a handle without names")
        return handle(number, kind, name), at
    if tag == b"L":
        kind, at = _get(data, at, MAX_DEPTH + 1, handle)
        parts, at = _get(data, at, depth + 1, handle, build)
        if type(kind) is not str:
            raise Malformed("a kind without a name")
        return build(kind, parts), at
    if tag not in _BUILDERS:
        raise Malformed(f"unknown tag {tag!r}")
    (count,) = _U32.unpack_from(data, at)
    at += 4
    if count > len(data) - at:
        raise Malformed("more items than bytes")
    items = []
    for _ in range(count * 2 if tag in b"{ok" else count):
        item, at = _get(data, at, depth + 1, handle, build)
        items.append(item)
    return _BUILDERS[tag](items), at


def _pairs(items: list[Any]) -> Any:
    return zip(items[::2], items[1::2], strict=True)


_BUILDERS: dict[bytes, Callable[[list[Any]], Any]] = {
    b"(": tuple,
    b"[": list,
    b"<": set,
    b">": frozenset,
    b"d": deque,
    b"{": lambda items: dict(_pairs(items)),
    b"o": lambda items: OrderedDict(_pairs(items)),
    b"k": lambda items: Counter(dict(_pairs(items))),
}


def _block(data: bytes, at: int, width: int = 1) -> tuple[bytes, int]:
    (count,) = _U32.unpack_from(data, at)
    end = at + 4 + count * width
    if end > len(data):
        raise Malformed("cut short")
    return data[at + 4 : end], end


def _get_text(data: bytes, at: int) -> tuple[str, int]:
    raw, end = _block(data, at)
    return raw.decode("utf-8", "surrogatepass"), end


def _get_array(kind: str) -> Callable[[bytes, int], tuple[list[Any], int]]:
    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        raw, end = _block(data, at, 8)
        block = array(kind)
        block.frombytes(raw)
        return block.tolist(), end

    return read


def _get_ints(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    parts = []
    for _ in range(count):
        part, at = _get(data, at, MAX_DEPTH, no_handles)
        if type(part) is not int:
            raise Malformed("not an integer")
        parts.append(part)
    return parts, at


def _get_range(data: bytes, at: int) -> tuple[range, int]:
    parts, end = _get_ints(data, at, 3)
    return range(*parts), end


def _get_fraction(data: bytes, at: int) -> tuple["Fraction", int]:
    (top, bottom), end = _get_ints(data, at, 2)
    if end - at > _FRACTION_BYTES:
        raise Malformed("a fraction that takes long to reduce")
    from fractions import Fraction

    return Fraction(top, bottom), end


def _get_decimal(data: bytes, at: int) -> tuple["Decimal", int]:
    if data[at : at + 1] != b"s":
        raise Malformed("not a decimal")
    text, end = _get_text(data, at + 1)
    from decimal import Decimal

    return Decimal(text), end


def _get_big(data: bytes, at: int) -> tuple[int, int]:
    raw, end = _block(data, at)
    return int.from_bytes(raw, "little", signed=True), end


def _get_bytearray(data: bytes, at: int) -> tuple[bytearray, int]:
    raw, end = _block(data, at)
    return bytearray(raw), end


_READERS: dict[bytes, Callable[[bytes, int], tuple[Any, int]]] = {
    b"N": lambda data, at: (None, at),
    b"T": lambda data, at: (True, at),
    b"F": lambda data, at: (False, at),
    b"i": lambda data, at: (_I64.unpack_from(data, at)[0], at + 8),
    b"I": _get_big,
    b"f": nans.get_float,
    b"n": nans.get_known,
    b"c": lambda data, at: (complex(*struct.unpack_from("<dd", data, at)), at + 16),
    b"s": _get_text,
    b"b": _block,
    b"B": _get_bytearray,
    b"A": _get_array("q"),
    b"D": _get_array("d"),
    b"r": _get_range,
    b"x": _get_decimal,
    b"y": _get_fraction,
}
