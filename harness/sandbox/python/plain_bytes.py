"""Values of exact built-in types as bytes, for programs that are asked thousands of times: CPython's own marshal writes
them, fifty times faster than values/codec.py. Equal values of the same types have the same bytes, apart from the order
of a dict, so most replies are only compared. What has to be read was written by untrusted code, and marshal must not
read such bytes: `loads` reads plain data and nothing else.
"""

import marshal
import struct
from collections.abc import Callable
from typing import Any

from harness.sandbox.values.codec import MAX_BYTES, MAX_DEPTH, Malformed

# Binary floats; no references between objects and no interned strings, which would make bytes depend on more than
# the value.
VERSION = 2
_I32 = struct.Struct("<i")
_F64 = struct.Struct("<d")
_PAIR = struct.Struct("<dd")
_CONSTANTS = {b"N": None, b"T": True, b"F": False}
_GROUPS: dict[bytes, Callable[[list[Any]], Any]] = {b"(": tuple, b"[": list, b"<": set, b">": frozenset}


def dumps(value: Any) -> bytes | None:
    """None for what is not plain, or too large."""
    try:
        data = marshal.dumps(value, VERSION)
    except ValueError:
        return None
    return data if len(data) <= MAX_BYTES else None


def loads(data: bytes) -> Any:
    """Raises Malformed for what `dumps` does not write of plain data."""
    try:
        value, end = _get(data, 0, 0)
    except (Malformed, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever bytes or their values provoke
        raise Malformed(type(error).__name__) from None
    if end != len(data):
        raise Malformed("bytes left over")
    return value


def _get(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise Malformed("nested too deep")
    tag = data[at : at + 1]
    at += 1
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], at
    match tag:
        case b"i":
            return _I32.unpack_from(data, at)[0], at + 4
        case b"g":
            return _F64.unpack_from(data, at)[0], at + 8
        case b"y":
            return complex(*_PAIR.unpack_from(data, at)), at + 16
        case b"u":
            raw, at = _block(data, at)
            return raw.decode("utf-8", "surrogatepass"), at
        case b"s":
            return _block(data, at)
        case b"l":
            return _long(data, at)
        case b"{":
            return _dict(data, at, depth)
    if tag not in _GROUPS:
        raise Malformed(f"unknown tag {tag!r}")
    count = _count(data, at)
    at += 4
    items = []
    for _ in range(count):
        item, at = _get(data, at, depth + 1)
        items.append(item)
    return _GROUPS[tag](items), at


def _count(data: bytes, at: int, width: int = 1) -> int:
    count: int = _I32.unpack_from(data, at)[0]
    if count < 0 or count * width > len(data) - at - 4:
        raise Malformed("more items than bytes")
    return count


def _block(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + _count(data, at)
    return data[at + 4 : end], end


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Digits of fifteen bits, the lowest first; their number has the integer's sign."""
    size: int = _I32.unpack_from(data, at)[0]
    end = at + 4 + 2 * abs(size)
    if end > len(data):
        raise Malformed("cut short")
    value = _joined(data, at + 4, abs(size))
    return (-value if size < 0 else value), end


def _joined(data: bytes, at: int, digits: int) -> int:
    """By halves, so that many digits take no quadratic time."""
    if digits <= 64:
        value = 0
        for index in range(digits - 1, -1, -1):
            digit = data[at + 2 * index] | data[at + 2 * index + 1] << 8
            if digit >> 15:
                raise Malformed("a digit that is none")
            value = value << 15 | digit
        return value
    low = digits // 2
    return _joined(data, at, low) | _joined(data, at + 2 * low, digits - low) << (15 * low)


def _dict(data: bytes, at: int, depth: int) -> tuple[dict[Any, Any], int]:
    found: dict[Any, Any] = {}
    while data[at : at + 1] != b"0":
        key, at = _get(data, at, depth + 1)
        found[key], at = _get(data, at, depth + 1)
    return found, at + 1
