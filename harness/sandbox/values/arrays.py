"""Arrays, frames and dates as plain parts, and back: what else may cross where a task's values are such.

`describe` takes a value apart into a kind and parts that the codec can write: for an array its element type,
its shape and its raw bytes. `build` puts parts together again with this side's own libraries, after checking
every size before anything is allocated; nothing the bytes name is run and nothing is unpickled. Only the
exact classes listed here are taken: a subclass is none of them and stays opaque, and what an object says of
itself (`__array__`, `__eq__`, a type's metadata) is never asked. Element types: booleans, integers, floats
and complex numbers of the usual widths, dates and durations, strings of fixed width; `object` as a list of
values. Used only for tests that ask for it (UnitTests.arrays); numpy, pandas and scipy are imported when the
first such value crosses, and only those that the value is of. This is *not* a format for disk.
"""

import re
from collections.abc import Callable
from typing import Any

from harness.sandbox.values import dataframes, datetimes
from harness.sandbox.values.codec import MAX_BYTES, Malformed, Uncrossable
from harness.sandbox.values.datetimes import Parts, check, of

MAX_AXES = 32
# Elements of one array, whatever they take: an array of empty rows or a sparse one has a size without bytes.
MAX_ITEMS = MAX_BYTES
MAX_SPARSE_SIDE = 1 << 22

_ELEMENT = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|c(?:8|16)|[SU][1-9]\d{0,6})")
_TIME_ELEMENT = re.compile(r"[<>][mM]8(?:\[\d{0,6}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")
_LAST_CHARACTER = 0x10FFFF

_SPARSE = {"bsr", "coo", "csc", "csr", "dia", "dok", "lil"}


def describe(value: object) -> tuple[str, Parts] | None:
    """The kind and parts of a value of one of the classes known here; None for any other. Raises
    Uncrossable."""
    kind = type(value)
    taker = datetimes.TAKERS.get(kind)
    if taker is None:
        root = kind.__module__.partition(".")[0]
        if root == "numpy":
            taker = _numpy_takers().get(kind)
        elif root == "pandas":
            taker = dataframes.takers().get(kind)
        elif root == "scipy":
            taker = _take_sparse if kind in _sparse_classes().values() else None
    if taker is None:
        return None
    return taker(value)


def build(kind: str, parts: Any) -> Any:
    """The value that `describe` took apart. Raises Malformed for anything it does not make."""
    maker = _MAKERS.get(kind)
    if maker is None or type(parts) is not tuple:
        raise Malformed(f"unknown kind {kind[:40]!r}")
    try:
        return maker(*parts)
    except (MemoryError, Malformed):
        raise
    except Exception as error:  # noqa: BLE001 - a library's answer to parts that do not fit together
        raise Malformed(f"{kind}: {type(error).__name__}") from None


# ---------------------------------------------------------------- numpy


def _numpy_takers() -> dict[type, Callable[[Any], tuple[str, Parts]]]:
    import numpy as np

    if not _NUMPY:
        _NUMPY.update({np.ndarray: _take_array, np.matrix: _take_matrix})
        _NUMPY.update(dict.fromkeys(np.sctypeDict.values(), _take_scalar))
        _NUMPY.update({type(np.dtype(each)): _take_dtype for each in [*"?bhilqBHILQefdFDSUmMO"]})
    return _NUMPY


_NUMPY: dict[type, Callable[[Any], tuple[str, Parts]]] = {}


def _element(dtype: Any) -> str:
    """An element type's own name, where it is one that crosses."""
    name: str = dtype.str
    if not (_ELEMENT.fullmatch(name) or _TIME_ELEMENT.fullmatch(name)):
        raise Uncrossable(f"elements of type {name[:40]} cannot cross")
    return name


def _take_array(value: Any) -> tuple[str, Parts]:
    import numpy as np

    shape = tuple(map(int, value.shape))
    if value.nbytes > MAX_BYTES or value.size > MAX_ITEMS:
        raise Uncrossable("an array that large cannot cross")
    if value.dtype == np.dtype(object):
        return "objects", (shape, value.ravel(order="C").tolist())
    return "array", (_element(value.dtype), shape, value.tobytes(order="C"))


def _take_matrix(value: Any) -> tuple[str, Parts]:
    import numpy as np

    return "matrix", (np.ndarray(value.shape, value.dtype, np.ascontiguousarray(value)),)


def _take_scalar(value: Any) -> tuple[str, Parts]:
    if value.dtype.itemsize == 0:  # an empty string; as an element it takes one character
        return "scalar", ("<U1", bytes(4)) if value.dtype.kind == "U" else ("|S1", bytes(1))
    return "scalar", (_element(value.dtype), value.tobytes())


def _take_dtype(value: Any) -> tuple[str, Parts]:
    return "dtype", ("|O" if value.str == "|O" else _element(value),)


def _make_dtype(name: Any) -> Any:
    import numpy as np

    of(str, name)
    check(bool(_ELEMENT.fullmatch(name) or _TIME_ELEMENT.fullmatch(name) or name == "|O"), "element type")
    return np.dtype(name)


def _shape(shape: Any) -> int:
    """The number of elements. Axes are bounded before anything is allocated, also where one of them is 0."""
    of(tuple, shape)
    of(int, *shape)
    check(len(shape) <= MAX_AXES and all(0 <= side <= MAX_ITEMS for side in shape), "shape")
    count = span = 1
    for side in shape:
        count *= side
        span *= side or 1
        check(span <= MAX_ITEMS, "shape")
    return count


def _make_array(element: Any, shape: Any, data: Any) -> Any:
    import numpy as np

    dtype = _make_dtype(element)
    of(bytes, data)
    check(element != "|O" and _shape(shape) * dtype.itemsize == len(data), "shape and bytes differ")
    array = np.ndarray(shape, dtype, bytearray(data) if data else None)
    if dtype.kind == "b":
        check(not data or max(data) <= 1, "neither true nor false")
    elif dtype.kind == "U" and data:
        codes = np.frombuffer(data, np.dtype(f"{dtype.byteorder}u4"))
        check(int(codes.max()) <= _LAST_CHARACTER, "no character")
    return array


def _make_objects(shape: Any, items: Any) -> Any:
    import numpy as np

    of(list, items)
    check(_shape(shape) == len(items), "shape and items differ")
    array = np.empty(len(items), object)
    for at, item in enumerate(items):
        array[at] = item  # one by one: numpy would make further axes of items that are sequences
    return array.reshape(shape)


def _make_matrix(array: Any) -> Any:
    import numpy as np

    of(np.ndarray, array)
    check(array.ndim == 2, "a matrix has two axes")
    return array.view(np.matrix)


def _make_scalar(element: Any, data: Any) -> Any:
    return _make_array(element, (), data)[()]


# ---------------------------------------------------------------- scipy's sparse matrices


def _sparse_classes() -> dict[tuple[str, str], type]:
    import scipy.sparse

    names = [(form, last) for form in sorted(_SPARSE) for last in ("matrix", "array")]
    return {each: getattr(scipy.sparse, "_".join(each)) for each in names}


def _take_sparse(value: Any) -> tuple[str, Parts]:
    form, last = next(name for name, kind in _sparse_classes().items() if kind is type(value))
    shape = tuple(map(int, value.shape))
    if len(shape) != 2 or max(shape) > MAX_SPARSE_SIDE:
        raise Uncrossable("a sparse matrix that large cannot cross")
    entries = value.tocoo()
    return "sparse", (form, last, shape, entries.data, entries.row, entries.col)


def _make_sparse(form: Any, last: Any, shape: Any, data: Any, row: Any, column: Any) -> Any:
    import numpy as np
    import scipy.sparse

    of(np.ndarray, data, row, column)
    of(int, *shape)
    check(len(shape) == 2 and all(0 <= side <= MAX_SPARSE_SIDE for side in shape), "shape")
    check(row.dtype.kind == column.dtype.kind == "i" and data.dtype.kind in "biufc", "entries")
    check(form in _SPARSE and last in ("matrix", "array"), "form")
    if form not in ("coo", "csc", "csr"):
        # These lay out whole blocks, diagonals or a list a row: bounded as a dense matrix would be.
        check(max(1, *shape) * max(1, min(shape)) <= MAX_ITEMS // 8, "shape")
    coo = getattr(scipy.sparse, f"coo_{last}")
    return coo((data, (row, column)), shape=tuple(shape)).asformat(form)


_MAKERS: dict[str, Callable[..., Any]] = {
    **datetimes.MAKERS,
    **dataframes.MAKERS,
    "array": _make_array,
    "dtype": _make_dtype,
    "matrix": _make_matrix,
    "objects": _make_objects,
    "scalar": _make_scalar,
    "sparse": _make_sparse,
}
