"""Dates, durations and time zones of the standard library as plain parts, and back; see arrays.py.

What a hostile writer may have made is checked with `check` and `of`, here and in the files beside this one.
"""

import datetime
import zoneinfo
from collections.abc import Callable
from typing import Any

from harness.sandbox.values.codec import Malformed, Uncrossable

Parts = tuple[Any, ...]


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Malformed(what)


def of(kind: type, *values: Any) -> None:
    check(all(type(value) is kind for value in values), f"not of type {kind.__name__}")


def take_zone(zone: Any) -> Any:
    """A time zone as (library, name or seconds east), None for none. Raises Uncrossable."""
    if zone is None:
        return None
    kind = type(zone)
    if kind is datetime.timezone:
        offset = zone.utcoffset(None)
        if offset.microseconds == 0:
            return ("fixed", offset.days * 86400 + offset.seconds)
    elif kind is zoneinfo.ZoneInfo and isinstance(zone.key, str):
        return ("zoneinfo", zone.key)
    elif kind.__module__.partition(".")[0] == "pytz":
        name = getattr(zone, "zone", None) or getattr(zone, "_minutes", None)
        if isinstance(name, str | int):
            return ("pytz", name)
    raise Uncrossable(f"a time zone of type {kind.__name__} cannot cross")


def make_zone(parts: Any) -> Any:
    if parts is None:
        return None
    of(tuple, parts)
    library, name = parts
    match library, name:
        case "fixed", int():
            return datetime.timezone(datetime.timedelta(seconds=name)) if name else datetime.UTC
        case "zoneinfo", str():
            return zoneinfo.ZoneInfo(name)
        case "pytz", str() | int():
            import pytz  # type: ignore[import-untyped, unused-ignore]

            return pytz.timezone(name) if isinstance(name, str) else pytz.FixedOffset(name)
    raise Malformed("no time zone")


def _take_datetime(value: datetime.datetime) -> tuple[str, Parts]:
    at = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return "datetime", (at, value.fold, take_zone(value.tzinfo))


def _make_datetime(at: Any, fold: Any, zone: Any) -> datetime.datetime:
    of(int, fold, *at)
    return datetime.datetime(*at).replace(tzinfo=make_zone(zone), fold=fold)


def _take_time(value: datetime.time) -> tuple[str, Parts]:
    at = (value.hour, value.minute, value.second, value.microsecond)
    return "time", (at, value.fold, take_zone(value.tzinfo))


def _make_time(at: Any, fold: Any, zone: Any) -> datetime.time:
    of(int, fold, *at)
    return datetime.time(*at).replace(tzinfo=make_zone(zone), fold=fold)


def _make_date(*at: Any) -> datetime.date:
    of(int, *at)
    return datetime.date(*at)


def _make_timedelta(*parts: Any) -> datetime.timedelta:
    of(int, *parts)
    return datetime.timedelta(*parts)


TAKERS: dict[type, Callable[[Any], tuple[str, Parts]]] = {
    datetime.datetime: _take_datetime,
    datetime.time: _take_time,
    datetime.date: lambda value: ("date", (value.year, value.month, value.day)),
    datetime.timedelta: lambda value: ("timedelta", (value.days, value.seconds, value.microseconds)),
    slice: lambda value: ("slice", (value.start, value.stop, value.step)),
}

MAKERS: dict[str, Callable[..., Any]] = {
    "date": _make_date,
    "datetime": _make_datetime,
    "slice": slice,
    "time": _make_time,
    "timedelta": _make_timedelta,
}
