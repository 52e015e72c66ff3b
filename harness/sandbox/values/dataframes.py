"""pandas' frames, series, indexes and scalars as plain parts, and back; see arrays.py.

A column's parts depend on its type: numpy values, times with a zone, categories, strings, periods, intervals, values
with a mask. For pandas 1.5 to 3, which is imported with the first such value.
"""

import sys
from collections.abc import Callable
from typing import Any

from harness.sandbox.values.codec import MAX_BYTES, Malformed, Uncrossable
from harness.sandbox.values.datetimes import Parts, build_zone, describe_zone, require, require_type

MAX_ITEMS = MAX_BYTES
_CLOSED = {"left", "right", "both", "neither"}


def describers() -> dict[type, Callable[[Any], tuple[str, Parts]]]:
    import pandas as pd

    if not _DESCRIBERS:
        _DESCRIBERS.update(
            {
                pd.Series: lambda v: ("series", (_column(v), v.index, v.name)),
                pd.DataFrame: _describe_frame,
                pd.MultiIndex: _describe_multi,
                pd.RangeIndex: lambda v: ("range index", (v.start, v.stop, v.step, v.name)),
                type(pd.NaT): lambda v: ("missing", ("NaT",)),
                type(pd.NA): lambda v: ("missing", ("NA",)),
                pd.Timestamp: _describe_timestamp,
                pd.Timedelta: lambda v: (
                    "pandas timedelta",
                    (v.to_timedelta64(), v.unit if _units() else "ns"),
                ),
                pd.Period: lambda v: ("pandas period", (int(v.ordinal), v.freqstr)),
                pd.Interval: lambda v: ("interval", (v.left, v.right, v.closed)),
                pd.Categorical: lambda v: ("values", _column(pd.Series(v))),
            }
        )
        plain = (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.CategoricalIndex)
        _DESCRIBERS.update(dict.fromkeys((*plain, pd.IntervalIndex), _describe_index))
        for name in ("Int64Index", "UInt64Index", "Float64Index"):
            if hasattr(old := sys.modules["pandas.core.indexes.api"], name):  # before pandas 2
                _DESCRIBERS[getattr(old, name)] = _describe_index
    return _DESCRIBERS


_DESCRIBERS: dict[type, Callable[[Any], tuple[str, Parts]]] = {}


def _units() -> bool:
    """Whether this pandas has times in several units (since 2.0) or only in nanoseconds."""
    import pandas as pd

    return hasattr(pd.Timedelta, "unit")


def _column(value: Any) -> Parts:
    """The values of a series or an index as (kind, parts...), by their type. Raises Uncrossable."""
    import numpy as np
    import pandas as pd

    dtype = value.dtype
    if len(value) > MAX_ITEMS:
        raise Uncrossable("a column that long cannot cross")
    match dtype:
        case np.dtype():
            return ("numpy", value.to_numpy())
        case pd.DatetimeTZDtype():
            return ("zoned", value.to_numpy(f"M8[{dtype.unit}]"), describe_zone(dtype.tz))
        case pd.CategoricalDtype():
            array = value.array
            return ("categories", np.asarray(array.codes), array.categories, bool(array.ordered))
        case pd.StringDtype():
            texts = [None if item is None or item is pd.NA or item != item else item for item in value]
            return ("strings", texts, dtype.storage, getattr(dtype, "na_value", pd.NA) is pd.NA)
        case pd.PeriodDtype():
            return ("periods", np.asarray(value.array.asi8), dtype.name[len("period[") : -1])
        case pd.IntervalDtype():
            return ("intervals", value.array.left, value.array.right, dtype.closed)
    array = value.array
    if type(array) in (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray):
        return ("masked", np.asarray(array._data), np.asarray(array._mask))
    raise Uncrossable(f"a column of type {str(dtype)[:40]} cannot cross")


def _describe_frame(value: Any) -> tuple[str, Parts]:
    columns = [_column(value.iloc[:, at]) for at in range(value.shape[1])]
    return "frame", (columns, value.columns, value.index)


def _describe_index(value: Any) -> tuple[str, Parts]:
    freq = getattr(value, "freq", None) if value.dtype.kind in "mM" else None
    return "index", (_column(value), value.name, None if freq is None else freq.freqstr)


def _describe_multi(value: Any) -> tuple[str, Parts]:
    import numpy as np

    codes = [np.asarray(codes) for codes in value.codes]
    return "multi index", (list(value.levels), codes, list(value.names))


def _describe_timestamp(value: Any) -> tuple[str, Parts]:
    return "timestamp", (value.to_datetime64(), describe_zone(value.tzinfo))


def _build_column(parts: Any) -> Any:
    """Values from which pandas.Series and pandas.Index make exactly that type."""
    import numpy as np
    import pandas as pd

    require_type(tuple, parts)
    match parts:
        case ("numpy", np.ndarray(ndim=1) as array):
            return array
        case ("zoned", np.ndarray(ndim=1) as array, zone):
            return pd.Series(array).dt.tz_localize("UTC").dt.tz_convert(build_zone(zone)).array
        case ("categories", np.ndarray(ndim=1) as codes, pd.Index() as categories, bool() as ordered):
            return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)
        case ("strings", list() as texts, "python" | "pyarrow" as storage, bool() as own_missing):
            require(all(text is None or type(text) is str for text in texts), "not a text")
            more = {} if own_missing else {"na_value": np.nan}
            return pd.array(texts, dtype=pd.StringDtype(storage, **more))
        case ("periods", np.ndarray(ndim=1) as ordinals, str() as freq):
            require(ordinals.dtype == np.dtype("i8"), "not ordinals")
            return pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(_frequency(freq)))
        case ("intervals", left, right, str() as closed):
            require(closed in _CLOSED, "closed")
            return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)
        case ("masked", np.ndarray(ndim=1) as data, np.ndarray(ndim=1) as mask):
            arrays = {"i": pd.arrays.IntegerArray, "u": pd.arrays.IntegerArray, "b": pd.arrays.BooleanArray}
            require(mask.dtype == np.dtype(bool), "not a mask")
            return arrays.get(data.dtype.kind, pd.arrays.FloatingArray)(data, mask)
    raise Malformed("no column")


def _frequency(name: Any) -> Any:
    require_type(str, name)
    require(len(name) <= 40, "frequency")
    return name


def _label(value: Any) -> Any:
    hash(value)  # a name has to be hashable, nothing more
    return value


def _build_index(column: Any, name: Any, freq: Any) -> Any:
    import pandas as pd

    values = _build_column(column)
    dtype = {"dtype": object} if values.dtype == object else {}
    if freq is None:
        return pd.Index(values, name=_label(name), **dtype)
    index = pd.Index(values)
    require(isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex), "a frequency without times")
    return type(index)(index, freq=_frequency(freq), name=_label(name))


def _build_range(start: Any, stop: Any, step: Any, name: Any) -> Any:
    import pandas as pd

    require_type(int, start, stop, step)
    numbers = range(start, stop, step)
    require(max(abs(start), abs(stop), abs(step)) < 1 << 62 and len(numbers) <= MAX_ITEMS, "range")
    return pd.RangeIndex(start, stop, step, name=_label(name))


def _build_multi(levels: Any, codes: Any, names: Any) -> Any:
    import pandas as pd

    require_type(list, levels, codes, names)
    require(all(isinstance(level, pd.Index) for level in levels), "not levels")
    return pd.MultiIndex(levels, codes, names=[_label(name) for name in names])


def _series(column: Any, index: Any, name: Any = None) -> Any:
    import pandas as pd

    require(isinstance(index, pd.Index), "not an index")
    values = _build_column(column)
    require(len(values) == len(index), "as many values as labels")
    dtype = {"dtype": object} if values.dtype == object else {}
    return pd.Series(values, index=index, name=_label(name), **dtype)


def _build_frame(columns: Any, names: Any, index: Any) -> Any:
    import pandas as pd

    require_type(list, columns)
    require(isinstance(names, pd.Index) and len(names) == len(columns), "as many columns as names")
    require(isinstance(index, pd.Index), "not an index")
    made = {at: _series(column, index) for at, column in enumerate(columns)}
    frame = pd.DataFrame(made, index=index)
    frame.columns = names
    return frame


def _build_timestamp(value: Any, zone: Any) -> Any:
    import numpy as np
    import pandas as pd

    require_type(np.datetime64, value)
    stamp = pd.Timestamp(value)
    require(stamp is not pd.NaT, "no time")
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(build_zone(zone))


def _build_pandas_timedelta(value: Any, unit: Any) -> Any:
    import numpy as np
    import pandas as pd

    require_type(np.timedelta64, value)
    require_type(str, unit)
    made = pd.Timedelta(value)
    return made.as_unit(unit) if _units() else made


def _build_pandas_period(ordinal: Any, freq: Any) -> Any:
    import pandas as pd

    require_type(int, ordinal)
    return pd.Period(ordinal=ordinal, freq=_frequency(freq))


def _build_interval(left: Any, right: Any, closed: Any) -> Any:
    import pandas as pd

    require(closed in _CLOSED, "closed")
    return pd.Interval(left, right, closed=closed)


def _build_missing(name: Any) -> Any:
    import pandas as pd

    require(name in ("NaT", "NA"), "missing")
    return pd.NaT if name == "NaT" else pd.NA


BUILDERS: dict[str, Callable[..., Any]] = {
    "frame": _build_frame,
    "index": _build_index,
    "interval": _build_interval,
    "missing": _build_missing,
    "multi index": _build_multi,
    "pandas period": _build_pandas_period,
    "pandas timedelta": _build_pandas_timedelta,
    "range index": _build_range,
    "series": lambda column, index, name: _series(column, index, name),
    "timestamp": _build_timestamp,
    "values": lambda *column: _build_column(column),
}
