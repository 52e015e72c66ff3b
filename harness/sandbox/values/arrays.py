"""Arrays, data frames and dates as plain parts, and back, for tasks whose values are such.

`describe` splits a value into a kind and parts that the codec can write: for an array its element type, shape and raw
bytes. `build` makes the value again with this side's own libraries. It checks every size before anything is allocated,
runs nothing that the bytes name and unpickles nothing. Only the exact classes listed here are serialised: a subclass
stays opaque, and an object's own claims (`__array__`, `__eq__`, a type's metadata) are never used. Element types:
booleans, integers, floats and complex numbers of the usual widths, dates and durations, fixed-width strings; `object`
as a list of values. Used only for tests that ask for it (UnitTests.arrays). numpy, pandas and scipy are imported with
the first value of theirs. This is *not* a format for disk.
"""

import re
from collections.abc import Callable
from typing import Any

from harness.sandbox.values import dataframes, datetimes, standard_types
from harness.sandbox.values.codec import MAX_BYTES, Malformed, TooLarge, Uncrossable
from harness.sandbox.values.datetimes import Parts, require, require_type

MAX_AXES = 32
# Elements of one array, whatever their size: an array of empty rows or a sparse one has elements without bytes.
MAX_ITEMS = MAX_BYTES
MAX_SPARSE_SIDE = 1 << 22

_ELEMENT = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|c(?:8|16)|[SU][1-9]\d{0,6})")
_TIME_ELEMENT = re.compile(r"[<>][mM]8(?:\[\d{0,6}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")
_LAST_CHARACTER = 0x10FFFF

_SPARSE = {"bsr", "coo", "csc", "csr", "dia", "dok", "lil"}


def describe(value: object) -> tuple[str, Parts] | None:
    """The kind and parts of a value of a known class; None for any other. Raises Uncrossable."""
    kind = type(value)
    describer = datetimes.DESCRIBERS.get(kind)
    if describer is None:
        root = kind.__module__.partition(".")[0]
        if root == "numpy":
            describer = _numpy_describers().get(kind)
        elif root == "pandas":
            describer = dataframes.describers().get(kind)
        elif root == "scipy":
            describer = _describe_sparse if kind in _sparse_classes().values() else None
    if describer is None:
        return standard_types.describe(value)
    return describer(value)


def build(kind: str, parts: Any) -> Any:
    """The inverse of `describe`. Raises Malformed for anything that `describe` does not make."""
    builder = _BUILDERS.get(kind)
    if builder is None:
        return standard_types.build(kind, parts)
    if type(parts) is not tuple:
        raise Malformed(f"unknown kind {kind[:40]!r}")
    try:
        return builder(*parts)
    except (MemoryError, Malformed):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises for parts that do not fit together
        raise Malformed(f"{kind}: {type(error).__name__}") from None


# ---------------------------------------------------------------- numpy


def _numpy_describers() -> dict[type, Callable[[Any], tuple[str, Parts]]]:
    import numpy as np

    if not _NUMPY_DESCRIBERS:
        _NUMPY_DESCRIBERS.update({np.ndarray: _describe_array, np.matrix: _describe_matrix})
        _NUMPY_DESCRIBERS.update(dict.fromkeys(np.sctypeDict.values(), _describe_scalar))
        _NUMPY_DESCRIBERS.update(
            {type(np.dtype(each)): _describe_dtype for each in [*"?bhilqBHILQefdFDSUmMO"]}
        )
    return _NUMPY_DESCRIBERS


_NUMPY_DESCRIBERS: dict[type, Callable[[Any], tuple[str, Parts]]] = {}


def _element_name(dtype: Any) -> str:
    """An element type's name. Raises Uncrossable for types that are not supported."""
    name: str = dtype.str
    if not (_ELEMENT.fullmatch(name) or _TIME_ELEMENT.fullmatch(name)):
        raise Uncrossable(f"elements of type {name[:40]} cannot cross")
    return name


def _describe_array(value: Any) -> tuple[str, Parts]:
    import numpy as np

    shape = tuple(map(int, value.shape))
    if value.nbytes > MAX_BYTES or value.size > MAX_ITEMS:
        raise TooLarge("an array that large cannot cross")
    if value.dtype == np.dtype(object):
        return "objects", (shape, value.ravel(order="C").tolist())
    return "array", (_element_name(value.dtype), shape, value.tobytes(order="C"))


def _describe_matrix(value: Any) -> tuple[str, Parts]:
    import numpy as np

    return "matrix", (np.ndarray(value.shape, value.dtype, np.ascontiguousarray(value)),)


def _describe_scalar(value: Any) -> tuple[str, Parts]:
    if value.dtype.itemsize == 0:  # an empty string: as an array element it has one character
        return "scalar", ("<U1", bytes(4)) if value.dtype.kind == "U" else ("|S1", bytes(1))
    return "scalar", (_element_name(value.dtype), value.tobytes())


def _describe_dtype(value: Any) -> tuple[str, Parts]:
    return "dtype", ("|O" if value.str == "|O" else _element_name(value),)


def _build_dtype(name: Any) -> Any:
    import numpy as np

    require_type(str, name)
    require(bool(_ELEMENT.fullmatch(name) or _TIME_ELEMENT.fullmatch(name) or name == "|O"), "element type")
    return np.dtype(name)


def _shape(shape: Any) -> int:
    """The number of elements. The axes are bounded before anything is allocated, even if one of them is 0."""
    require_type(tuple, shape)
    require_type(int, *shape)
    require(len(shape) <= MAX_AXES and all(0 <= side <= MAX_ITEMS for side in shape), "shape")
    count = span = 1
    for side in shape:
        count *= side
        span *= side or 1
        require(span <= MAX_ITEMS, "shape")
    return count


def _build_array(element: Any, shape: Any, data: Any) -> Any:
    import numpy as np

    dtype = _build_dtype(element)
    require_type(bytes, data)
    require(element != "|O" and _shape(shape) * dtype.itemsize == len(data), "shape and bytes differ")
    array = np.ndarray(shape, dtype, bytearray(data) if data else None)
    if dtype.kind == "b":
        require(not data or max(data) <= 1, "neither true nor false")
    elif dtype.kind == "U" and data:
        codes = np.frombuffer(data, np.dtype(f"{dtype.byteorder}u4"))
        require(int(codes.max()) <= _LAST_CHARACTER, "no character")
    return array


def _build_objects(shape: Any, items: Any) -> Any:
    import numpy as np

    require_type(list, items)
    require(_shape(shape) == len(items), "shape and items differ")
    array = np.empty(len(items), object)
    for at, item in enumerate(items):
        array[at] = item  # one by one: numpy would turn items that are sequences into further axes
    return array.reshape(shape)


def _build_matrix(array: Any) -> Any:
    import numpy as np

    require_type(np.ndarray, array)
    require(array.ndim == 2, "a matrix has two axes")
    return array.view(np.matrix)


def _build_scalar(element: Any, data: Any) -> Any:
    return _build_array(element, (), data)[()]


# ---------------------------------------------------------------- scipy's sparse matrices


def _sparse_classes() -> dict[tuple[str, str], type]:
    import scipy.sparse

    names = [(form, last) for form in sorted(_SPARSE) for last in ("matrix", "array")]
    return {each: getattr(scipy.sparse, "_".join(each)) for each in names}


def _describe_sparse(value: Any) -> tuple[str, Parts]:
    form, last = next(name for name, kind in _sparse_classes().items() if kind is type(value))
    shape = tuple(map(int, value.shape))
    if len(shape) != 2 or max(shape) > MAX_SPARSE_SIDE:
        raise TooLarge("a sparse matrix that large cannot cross")
    entries = value.tocoo()
    return "sparse", (form, last, shape, entries.data, entries.row, entries.col)


def _build_sparse(form: Any, last: Any, shape: Any, data: Any, row: Any, column: Any) -> Any:
    import numpy as np
    import scipy.sparse

    require_type(np.ndarray, data, row, column)
    require_type(int, *shape)
    require(len(shape) == 2 and all(0 <= side <= MAX_SPARSE_SIDE for side in shape), "shape")
    require(row.dtype.kind == column.dtype.kind == "i" and data.dtype.kind in "biufc", "entries")
    require(form in _SPARSE and last in ("matrix", "array"), "form")
    if form not in ("coo", "csc", "csr"):
        # These store whole blocks, diagonals or one list per row: bounded like a dense matrix.
        require(max(1, *shape) * max(1, min(shape)) <= MAX_ITEMS // 8, "shape")
    coo = getattr(scipy.sparse, f"coo_{last}")
    return coo((data, (row, column)), shape=tuple(shape)).asformat(form)


_BUILDERS: dict[str, Callable[..., Any]] = {
    **datetimes.BUILDERS,
    **dataframes.BUILDERS,
    "array": _build_array,
    "dtype": _build_dtype,
    "matrix": _build_matrix,
    "objects": _build_objects,
    "scalar": _build_scalar,
    "sparse": _build_sparse,
}
