"""The tester's stand-ins for a candidate's values and exceptions that are not plain data.

An opaque value equals nothing but itself: the candidate's own `__eq__` never runs here.
"""

import builtins
from collections.abc import Callable
from typing import Any

from harness.sandbox.values import codec


class Opaque:
    """Stands for a value that cannot be serialised. Equal to nothing but itself; passed back to the candidate it is the
    original value again.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name} object>"


class OpaqueIterable(Opaque):
    """An opaque value that can be iterated over; each item is fetched when it is needed."""

    def __init__(self, number: int, name: str, fetch: Callable[[int], Any]) -> None:
        super().__init__(number, name)
        self.fetch = fetch

    def __iter__(self) -> "OpaqueIterable":
        return self

    def __next__(self) -> Any:
        item = self.fetch(self.number)
        if not item:
            raise StopIteration
        return item[0]


def handle_of(value: object) -> codec.Handle:
    if isinstance(value, Opaque):
        return value.number, "object", value.name
    return codec.refuse(value)


# ---------------------------------------------------------------- exceptions

_SPECIAL = {"UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError", "ExceptionGroup"}
_EXCEPTIONS: dict[str, type[Exception]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and name not in _SPECIAL
}


def rebuild_exception(bases: tuple[Any, ...], arguments: bytes, text: str) -> Exception | None:
    """The built-in exception nearest to the candidate's; None for one that is no Exception (KeyboardInterrupt)."""
    kinds = [_EXCEPTIONS[name] for name in bases if type(name) is str and name in _EXCEPTIONS]
    if not kinds:
        return None
    try:
        return kinds[0](*codec.decode(arguments, lambda number, kind, name: Opaque(number, name)))
    except Exception:  # noqa: BLE001 - not the codec's bytes, or arguments that this exception does not take
        return kinds[0](text)
