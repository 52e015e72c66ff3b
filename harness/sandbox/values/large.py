"""Values too large to cross: only their digest does, and one that equals what a test expects needs nothing more.

A program that names a digest without having the value would have to know the value that the test expects. Where the
digests differ, or a test asks for something else, the value is fetched after all, as far as it fits.
"""

import marshal
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from harness.sandbox.values.opaque import Opaque

MIN_BYTES = 8 << 20  # of the marshalled value
_ITEMS = 1000
_KINDS: dict[str, type] = {kind.__name__: kind for kind in (list, tuple, dict, set, frozenset)}


def digest(value: object) -> str:
    """The kind and digest of a large container of plain values; empty for any other value."""
    kind = type(value)
    if kind.__name__ not in _KINDS or _KINDS[kind.__name__] is not kind:
        return ""
    total = 0
    try:
        for part in _parts(value):
            total += len(part)
            if total > MIN_BYTES:
                import hashlib  # few values are large

                hashed = hashlib.sha256()
                for each in _parts(value):
                    hashed.update(each)
                return f"{kind.__name__}:{hashed.hexdigest()}"
    except ValueError:
        pass  # something in it is not plain, or it is nested too deep
    return ""


def _parts(value: Any) -> Iterator[bytes]:
    """Its items, some at a time: the bytes of all of them may be more than there is memory for. This version of the
    format writes equal values of equal types as equal bytes.
    """
    items = iter(value.items() if type(value) is dict else value)
    while some := tuple(islice(items, _ITEMS)):
        yield marshal.dumps(some, 2)


class LargeValue(Opaque):
    """The tester's stand-in for a value of which it knows the digest. It is fetched when that does not do."""

    def __init__(self, number: int, told: str, fetch: Callable[[int], Any]) -> None:
        kind, _, self.digest = told.partition(":")
        super().__init__(number, kind)
        self._fetch = fetch
        self._value: Any = None

    def whole(self) -> Any:
        if self._value is None:
            self._value = self._fetch(self.number)
        return self._value

    @property  # type: ignore[misc] # for isinstance
    def __class__(self) -> type:
        return _KINDS.get(self.name, object)

    def __eq__(self, other: object) -> bool:
        if type(other) is LargeValue:
            return self.whole() == other.whole()  # type: ignore[no-any-return]
        return digest(other) == f"{self.name}:{self.digest}" or self.whole() == other

    def __hash__(self) -> int:
        return hash(self.whole())

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.whole())

    def __iter__(self) -> Any:
        return iter(self.whole())

    def __getitem__(self, key: Any) -> Any:
        return self.whole()[key]

    def __contains__(self, item: object) -> bool:
        return item in self.whole()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole(), name)
