"""pandas' frames, series, indexes and scalars as plain parts, and back; see arrays.py.

A column is taken apart by the kind of its type: numpy values, times with a zone, categories, texts, periods,
intervals, values with a mask. Written for pandas 1.5 to 3; it is imported when the first such value crosses.
"""

import sys
from collections.abc import Callable
from typing import Any

from harness.sandbox.values.codec import MAX_BYTES, Malformed, Uncrossable
from harness.sandbox.values.datetimes import Parts, check, make_zone, of, take_zone

MAX_ITEMS = MAX_BYTES
_CLOSED = {"left", "right", "both", "neither"}


def takers() -> dict[type, Callable[[Any], tuple[str, Parts]]]:
    import pandas as pd

    if not _TAKERS:
        _TAKERS.update(
            {
                pd.Series: lambda v: ("series", (_column(v), v.index, v.name)),
                pd.DataFrame: _take_frame,
                pd.MultiIndex: _take_multi,
                pd.RangeIndex: lambda v: ("range index", (v.start, v.stop, v.step, v.name)),
                type(pd.NaT): lambda v: ("missing", ("NaT",)),
                type(pd.NA): lambda v: ("missing", ("NA",)),
                pd.Timestamp: _take_timestamp,
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
        _TAKERS.update(dict.fromkeys((*plain, pd.IntervalIndex), _take_index))
        for name in ("Int64Index", "UInt64Index", "Float64Index"):
            if hasattr(old := sys.modules["pandas.core.indexes.api"], name):  # before pandas 2
                _TAKERS[getattr(old, name)] = _take_index
    return _TAKERS


_TAKERS: dict[type, Callable[[Any], tuple[str, Parts]]] = {}


def _units() -> bool:
    """Whether this pandas keeps times in units of their own (since 2.0) or always in nanoseconds."""
    import pandas as pd

    return hasattr(pd.Timedelta, "unit")


def _column(value: Any) -> Parts:
    """The values of a series or an index, by the kind of their type: (kind, parts...). Raises Uncrossable."""
    import numpy as np
    import pandas as pd

    dtype = value.dtype
    if len(value) > MAX_ITEMS:
        raise Uncrossable("a column that long cannot cross")
    match dtype:
        case np.dtype():
            return ("numpy", value.to_numpy())
        case pd.DatetimeTZDtype():
            return ("zoned", value.to_numpy(f"M8[{dtype.unit}]"), take_zone(dtype.tz))
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


def _take_frame(value: Any) -> tuple[str, Parts]:
    columns = [_column(value.iloc[:, at]) for at in range(value.shape[1])]
    return "frame", (columns, value.columns, value.index)


def _take_index(value: Any) -> tuple[str, Parts]:
    freq = getattr(value, "freq", None) if value.dtype.kind in "mM" else None
    return "index", (_column(value), value.name, None if freq is None else freq.freqstr)


def _take_multi(value: Any) -> tuple[str, Parts]:
    import numpy as np

    codes = [np.asarray(codes) for codes in value.codes]
    return "multi index", (list(value.levels), codes, list(value.names))


def _take_timestamp(value: Any) -> tuple[str, Parts]:
    return "timestamp", (value.to_datetime64(), take_zone(value.tzinfo))


def _make_column(parts: Any) -> Any:
    """What pandas.Series and pandas.Index take as values of exactly that type."""
    import numpy as np
    import pandas as pd

    of(tuple, parts)
    match parts:
        case ("numpy", np.ndarray(ndim=1) as array):
            return array
        case ("zoned", np.ndarray(ndim=1) as array, zone):
            return pd.Series(array).dt.tz_localize("UTC").dt.tz_convert(make_zone(zone)).array
        case ("categories", np.ndarray(ndim=1) as codes, pd.Index() as categories, bool() as ordered):
            return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)
        case ("strings", list() as texts, "python" | "pyarrow" as storage, bool() as own_missing):
            check(all(text is None or type(text) is str for text in texts), "not a text")
            more = {} if own_missing else {"na_value": np.nan}
            return pd.array(texts, dtype=pd.StringDtype(storage, **more))
        case ("periods", np.ndarray(ndim=1) as ordinals, str() as freq):
            check(ordinals.dtype == np.dtype("i8"), "not ordinals")
            return pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(_frequency(freq)))
        case ("intervals", left, right, str() as closed):
            check(closed in _CLOSED, "closed")
            return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)
        case ("masked", np.ndarray(ndim=1) as data, np.ndarray(ndim=1) as mask):
            arrays = {"i": pd.arrays.IntegerArray, "u": pd.arrays.IntegerArray, "b": pd.arrays.BooleanArray}
            check(mask.dtype == np.dtype(bool), "not a mask")
            return arrays.get(data.dtype.kind, pd.arrays.FloatingArray)(data, mask)
    raise Malformed("no column")


def _frequency(name: Any) -> Any:
    of(str, name)
    check(len(name) <= 40, "frequency")
    return name


def _label(value: Any) -> Any:
    hash(value)  # names have to be hashable; whatever else they are
    return value


def _make_index(column: Any, name: Any, freq: Any) -> Any:
    import pandas as pd

    values = _make_column(column)
    dtype = {"dtype": object} if values.dtype == object else {}
    if freq is None:
        return pd.Index(values, name=_label(name), **dtype)
    index = pd.Index(values)
    check(isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex), "a frequency without times")
    return type(index)(index, freq=_frequency(freq), name=_label(name))


def _make_range(start: Any, stop: Any, step: Any, name: Any) -> Any:
    import pandas as pd

    of(int, start, stop, step)
    numbers = range(start, stop, step)
    check(max(abs(start), abs(stop), abs(step)) < 1 << 62 and len(numbers) <= MAX_ITEMS, "range")
    return pd.RangeIndex(start, stop, step, name=_label(name))


def _make_multi(levels: Any, codes: Any, names: Any) -> Any:
    import pandas as pd

    of(list, levels, codes, names)
    check(all(isinstance(level, pd.Index) for level in levels), "not levels")
    return pd.MultiIndex(levels, codes, names=[_label(name) for name in names])


def _series(column: Any, index: Any, name: Any = None) -> Any:
    import pandas as pd

    check(isinstance(index, pd.Index), "not an index")
    values = _make_column(column)
    check(len(values) == len(index), "as many values as labels")
    dtype = {"dtype": object} if values.dtype == object else {}
    return pd.Series(values, index=index, name=_label(name), **dtype)


def _make_frame(columns: Any, names: Any, index: Any) -> Any:
    import pandas as pd

    of(list, columns)
    check(isinstance(names, pd.Index) and len(names) == len(columns), "as many columns as names")
    check(isinstance(index, pd.Index), "not an index")
    made = {at: _series(column, index) for at, column in enumerate(columns)}
    frame = pd.DataFrame(made, index=index)
    frame.columns = names
    return frame


def _make_timestamp(value: Any, zone: Any) -> Any:
    import numpy as np
    import pandas as pd

    of(np.datetime64, value)
    stamp = pd.Timestamp(value)
    check(stamp is not pd.NaT, "no time")
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(make_zone(zone))


def _make_pandas_timedelta(value: Any, unit: Any) -> Any:
    import numpy as np
    import pandas as pd

    of(np.timedelta64, value)
    of(str, unit)
    made = pd.Timedelta(value)
    return made.as_unit(unit) if _units() else made


def _make_pandas_period(ordinal: Any, freq: Any) -> Any:
    import pandas as pd

    of(int, ordinal)
    return pd.Period(ordinal=ordinal, freq=_frequency(freq))


def _make_interval(left: Any, right: Any, closed: Any) -> Any:
    import pandas as pd

    check(closed in _CLOSED, "closed")
    return pd.Interval(left, right, closed=closed)


def _make_missing(name: Any) -> Any:
    import pandas as pd

    check(name in ("NaT", "NA"), "missing")
    return pd.NaT if name == "NaT" else pd.NA


MAKERS: dict[str, Callable[..., Any]] = {
    "frame": _make_frame,
    "index": _make_index,
    "interval": _make_interval,
    "missing": _make_missing,
    "multi index": _make_multi,
    "pandas period": _make_pandas_period,
    "pandas timedelta": _make_pandas_timedelta,
    "range index": _make_range,
    "series": lambda column, index, name: _series(column, index, name),
    "timestamp": _make_timestamp,
    "values": lambda *column: _make_column(column),
}
