"""Values of the standard library's own types as a name and plain parts, and back.

A right answer may be a UserList where a list is asked for, the keys of a dict where a set is, a named tuple, a date.
Each is built again here with this side's classes, so that it equals what it would equal in one process, and nothing
that a program wrote takes part in a comparison. A subclass of a program's own is sent as the type that it extends.
"""

import builtins
import collections
import keyword
import sys
import types
from array import array
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from functools import lru_cache
from typing import Any

from harness.sandbox.values import datetimes
from harness.sandbox.values.codec import Malformed

Parts = tuple[Any, ...]
Described = tuple[str, Parts]

_MAX_FIELDS = 64
_ELEMENTS = frozenset("bBhHiIlLqQfd")
# Modules whose types are told by name, where they are loaded.
_TYPE_MODULES = ("builtins", "collections", "datetime", "decimal", "fractions")
_CONSTANTS: dict[str, object] = {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}


def describe(value: object) -> Described | None:
    """The kind and parts of a value of a known class; None for any other."""
    kind = type(value)
    describer = _DESCRIBERS.get(kind)
    if describer is not None:
        return describer(value)
    if kind.__module__ in _ELSEWHERE:
        return _describe_elsewhere(value, kind)
    if issubclass(kind, _PLAIN) or kind.__module__ == "numpy":
        return None  # the codec itself knows what they are; there may be many
    for base, describer in _BASES:
        if isinstance(value, base):
            return describer(value)
    return None


def build(kind: str, parts: Any) -> Any:
    """The inverse of `describe`. Raises Malformed for anything that `describe` does not make."""
    builder = _BUILDERS.get(kind)
    if builder is None or type(parts) is not tuple:
        raise Malformed(f"unknown kind {kind[:40]!r}")
    try:
        return builder(*parts)
    except (MemoryError, Malformed):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a type raises for parts that do not fit
        raise Malformed(f"{kind}: {type(error).__name__}") from None


KINDS = (describe, build)

# ---------------------------------------------------------------- collections and views


def _describe_tuple(value: Any) -> Described | None:
    """A named tuple: its class's name and fields, and the items."""
    fields = getattr(type(value), "_fields", None)
    if type(fields) is not tuple or not all(type(name) is str for name in fields):
        return None
    return "namedtuple", (type(value).__name__[:100], fields, tuple(tuple.__iter__(value)))


def _build_namedtuple(name: Any, fields: Any, items: Any) -> Any:
    _require(
        type(name) is str and type(fields) is tuple and type(items) is tuple and len(fields) == len(items)
    )
    return _named_tuple(name, fields)._make(items)


@lru_cache(maxsize=128)
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    _require(len(fields) <= _MAX_FIELDS and all(type(each) is str and len(each) <= 100 for each in fields))
    if not name.isidentifier() or keyword.iskeyword(name):
        name = "NamedTuple"
    return collections.namedtuple(name, fields)  # checks that each field is an identifier


def _describe_memory(value: Any) -> Described | None:
    if value.ndim != 1 or value.format not in _ELEMENTS:
        return None
    return "memoryview", (value.format, value.tobytes())


def _build_memory(element: Any, data: Any) -> memoryview:
    _require(type(data) is bytes and element in _ELEMENTS)
    return memoryview(data).cast("B").cast(element)


def _describe_array(value: Any) -> Described | None:
    return ("elements", (value.typecode, value.tobytes())) if value.typecode in _ELEMENTS else None


def _build_array(element: Any, data: Any) -> "array[Any]":
    _require(type(data) is bytes and element in _ELEMENTS)
    made: array[Any] = array(element)
    made.frombytes(data)
    return made


def _build_chain(*maps: Any) -> Any:
    _require(all(isinstance(each, dict) for each in maps))
    return ChainMap(*maps)


def _require(condition: bool) -> None:
    if not condition:
        raise Malformed("parts that do not fit")


def _of(kind: type, function: Callable[[Any], Any]) -> Callable[..., Any]:
    """A builder of one part, which has to be exactly of that type."""

    def build_one(part: Any) -> Any:
        _require(type(part) is kind)
        return function(part)

    return build_one


# ---------------------------------------------------------------- types, constants, exceptions


def _describe_type(value: type) -> Described | None:
    module, name = value.__module__, value.__name__
    if module not in _TYPE_MODULES or getattr(sys.modules.get(module), name, None) is not value:
        return None
    return "type", (module, name)


def _build_type(module: Any, name: Any) -> type:
    _require(module in _TYPE_MODULES and type(name) is str)
    found = getattr(__import__(module), name, None)
    if not isinstance(found, type):
        raise Malformed("no type")
    return found


def _describe_exception(value: Exception) -> Described | None:
    kind = type(value)
    plain = getattr(builtins, kind.__name__, None) is kind
    return ("exception", (kind.__name__, tuple(value.args))) if plain else None


def _build_exception(name: Any, arguments: Any) -> Exception:
    kind = vars(builtins).get(name) if type(name) is str else None
    _require(isinstance(kind, type) and issubclass(kind, Exception) and type(arguments) is tuple)
    return kind(*arguments)  # type: ignore[misc, no-any-return] # the line above


# ---------------------------------------------------------------- modules that few programs load

_ELSEWHERE = {"datetime", "uuid", "pathlib", "pathlib._local"}
_PATHS = ("PurePosixPath", "PosixPath", "PureWindowsPath")


def _describe_elsewhere(value: Any, kind: type) -> Described | None:
    name = kind.__name__
    if getattr(sys.modules.get(kind.__module__), name, None) is not kind:
        return None
    if kind.__module__ == "datetime":
        describer = datetimes.DESCRIBERS.get(kind)
        return describer(value) if describer else None
    if name == "UUID":
        return "uuid", (value.int,)
    return ("path", (name, str(value))) if name in _PATHS else None


def _build_uuid(number: Any) -> Any:
    import uuid

    _require(type(number) is int)
    return uuid.UUID(int=number)


def _build_path(name: Any, text: Any) -> Any:
    import pathlib

    _require(name in _PATHS and type(text) is str)
    return getattr(pathlib, name)(text)


# ---------------------------------------------------------------- tables

_ORDERED: OrderedDict[Any, Any] = OrderedDict()


def _keys(view: Any) -> Described:
    return "keys", (tuple(view),)


def _items(view: Any) -> Described:
    return "items", (tuple((key, value) for key, value in view),)


def _values(view: Any) -> Described:
    return "values", (tuple(view),)


_DESCRIBERS: dict[type, Callable[[Any], Described | None]] = {
    type({}.keys()): _keys,
    type({}.items()): _items,
    type({}.values()): _values,
    type(_ORDERED.keys()): _keys,
    type(_ORDERED.items()): _items,
    type(_ORDERED.values()): _values,
    types.MappingProxyType: lambda value: ("mappingproxy", (dict(value),)),
    types.SimpleNamespace: lambda value: ("namespace", (dict(vars(value)),)),
    memoryview: _describe_memory,
    array: _describe_array,
    slice: datetimes.DESCRIBERS[slice],
    type: _describe_type,
    type(Ellipsis): lambda value: ("constant", ("Ellipsis",)),
    type(NotImplemented): lambda value: ("constant", ("NotImplemented",)),
}
_PLAIN = (int, float, complex, str, bytes, bytearray, list, dict, set, frozenset)
# Where a program's own class extends one of these, it is sent as that. Most specific first.
_BASES: tuple[tuple[type, Callable[[Any], Described | None]], ...] = (
    (tuple, _describe_tuple),
    (UserList, lambda value: ("UserList", (list(value.data),))),
    (UserDict, lambda value: ("UserDict", (dict(value.data),))),
    (UserString, lambda value: ("UserString", (str(value.data),))),
    (ChainMap, lambda value: ("ChainMap", tuple(map(dict, value.maps)))),
    (KeysView, _keys),
    (ItemsView, _items),
    (ValuesView, _values),
    (Exception, _describe_exception),
)
_BUILDERS: dict[str, Callable[..., Any]] = {
    "namedtuple": _build_namedtuple,
    "UserList": _of(list, UserList),
    "UserDict": _of(dict, UserDict),
    "UserString": _of(str, UserString),
    "ChainMap": _build_chain,
    "keys": _of(tuple, lambda items: dict.fromkeys(items).keys()),
    "items": _of(tuple, lambda items: dict(items).items()),
    "values": _of(tuple, lambda items: dict(enumerate(items)).values()),
    "mappingproxy": _of(dict, types.MappingProxyType),
    "namespace": _of(dict, lambda names: types.SimpleNamespace(**names)),
    "memoryview": _build_memory,
    "elements": _build_array,
    "type": _build_type,
    "constant": _of(str, _CONSTANTS.__getitem__),
    "exception": _build_exception,
    "uuid": _build_uuid,
    "path": _build_path,
    **datetimes.BUILDERS,
}
