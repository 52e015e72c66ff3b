"""Dates, durations and time zones of the standard library as plain parts, and back; see arrays.py.

`require` and `require_type` check what a hostile writer may have made, here and in the other files of this package.
"""

import datetime
import sys
from collections.abc import Callable
from typing import Any

from harness.sandbox.values.codec import Malformed, Uncrossable

Parts = tuple[Any, ...]


def require(condition: bool, what: str) -> None:
    if not condition:
        raise Malformed(what)


def require_type(kind: type, *values: Any) -> None:
    require(all(type(value) is kind for value in values), f"not of type {kind.__name__}")


def describe_zone(zone: Any) -> Any:
    """A time zone as (library, name or seconds east), None for none. Raises Uncrossable."""
    if zone is None:
        return None
    kind = type(zone)
    if kind is datetime.timezone:
        offset = zone.utcoffset(None)
        if offset.microseconds == 0:
            return ("fixed", offset.days * 86400 + offset.seconds)
    elif kind is getattr(sys.modules.get("zoneinfo"), "ZoneInfo", None) and isinstance(zone.key, str):
        return ("zoneinfo", zone.key)
    elif kind.__module__.partition(".")[0] == "pytz":
        name = getattr(zone, "zone", None) or getattr(zone, "_minutes", None)
        if isinstance(name, str | int):
            return ("pytz", name)
    raise Uncrossable(f"a time zone of type {kind.__name__} cannot cross")


def build_zone(parts: Any) -> Any:
    if parts is None:
        return None
    require_type(tuple, parts)
    library, name = parts
    match library, name:
        case "fixed", int():
            return datetime.timezone(datetime.timedelta(seconds=name)) if name else datetime.UTC
        case "zoneinfo", str():
            import zoneinfo

            return zoneinfo.ZoneInfo(name)
        case "pytz", str() | int():
            import pytz  # type: ignore[import-untyped, unused-ignore]

            return pytz.timezone(name) if isinstance(name, str) else pytz.FixedOffset(name)
    raise Malformed("no time zone")


def _describe_datetime(value: datetime.datetime) -> tuple[str, Parts]:
    at = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return "datetime", (at, value.fold, describe_zone(value.tzinfo))


def _build_datetime(at: Any, fold: Any, zone: Any) -> datetime.datetime:
    require_type(int, fold, *at)
    return datetime.datetime(*at).replace(tzinfo=build_zone(zone), fold=fold)


def _describe_time(value: datetime.time) -> tuple[str, Parts]:
    at = (value.hour, value.minute, value.second, value.microsecond)
    return "time", (at, value.fold, describe_zone(value.tzinfo))


def _build_time(at: Any, fold: Any, zone: Any) -> datetime.time:
    require_type(int, fold, *at)
    return datetime.time(*at).replace(tzinfo=build_zone(zone), fold=fold)


def _build_date(*at: Any) -> datetime.date:
    require_type(int, *at)
    return datetime.date(*at)


def _build_timedelta(*parts: Any) -> datetime.timedelta:
    require_type(int, *parts)
    return datetime.timedelta(*parts)


DESCRIBERS: dict[type, Callable[[Any], tuple[str, Parts]]] = {
    datetime.datetime: _describe_datetime,
    datetime.time: _describe_time,
    datetime.date: lambda value: ("date", (value.year, value.month, value.day)),
    datetime.timedelta: lambda value: ("timedelta", (value.days, value.seconds, value.microseconds)),
    slice: lambda value: ("slice", (value.start, value.stop, value.step)),
}

BUILDERS: dict[str, Callable[..., Any]] = {
    "date": _build_date,
    "datetime": _build_datetime,
    "slice": slice,
    "time": _build_time,
    "timedelta": _build_timedelta,
}
