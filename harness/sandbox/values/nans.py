"""NaNs that are one object on both sides.

In a list or tuple Python holds a NaN equal to itself, so a program that gives one back must give back that very one.
Both sides number the NaNs that cross, in their order, and send one that is known by its number. Number 0 is math.nan.
"""

import math
import struct

_U32 = struct.Struct("<I")
_F64 = struct.Struct("<d")
_MOST = 256

_known: list[float] = [math.nan]


def forget() -> None:
    """For another program, which has had none yet."""
    del _known[1:]


def put_float(value: float, out: bytearray) -> None:
    if value != value:
        number = next((at for at, known in enumerate(_known) if known is value), -1)
        if number >= 0:
            out += b"n" + _U32.pack(number)
            return
        _add(value)
    out += b"f" + _F64.pack(value)


def get_float(data: bytes, at: int) -> tuple[float, int]:
    value: float = _F64.unpack_from(data, at)[0]
    if value != value:
        _add(value)
    return value, at + 8


def get_known(data: bytes, at: int) -> tuple[float, int]:
    (number,) = _U32.unpack_from(data, at)
    return _known[number] if number < len(_known) else math.nan, at + 4


def _add(value: float) -> None:
    if len(_known) < _MOST:
        _known.append(value)
