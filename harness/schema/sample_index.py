"""Which samples are there already, a bit for each: a million samples take an eighth of a megabyte.

A key is (problem id, sample index, scorer); rows without a scorer have "" there.
"""

from collections.abc import Iterator

Key = tuple[str, int, str]

MOST = 1 << 24  # samples a problem: more is a damaged index, and would be two megabytes of bits


class Keys:
    """A set of keys. Indices must be 0 to MOST - 1."""

    def __init__(self) -> None:
        self._bits: dict[str, dict[str, bytearray]] = {}  # scorer -> problem id -> bits
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Key]:
        for scorer, by_name in self._bits.items():
            for name, bits in by_name.items():
                for at, byte in enumerate(bits):
                    yield from ((name, 8 * at + bit, scorer) for bit in range(8) if byte >> bit & 1)

    def has(self, name: str, index: int, scorer: str = "") -> bool:
        bits = self._bits.get(scorer, {}).get(name, b"")
        at = index >> 3
        return 0 <= at < len(bits) and bool(bits[at] >> (index & 7) & 1)

    def count(self, name: str, scorer: str = "") -> int:
        """How many samples of a problem are there."""
        return int.from_bytes(self._bits.get(scorer, {}).get(name, b"")).bit_count()

    def add(self, name: str, index: int, scorer: str = "") -> bool:
        """False when it was there before."""
        if self.has(name, index, scorer):
            return False
        assert 0 <= index < MOST
        bits = self._bits.setdefault(scorer, {}).setdefault(name, bytearray())
        at = index >> 3
        if at >= len(bits):
            bits.extend(bytes(at + 1 - len(bits)))
        bits[at] |= 1 << (index & 7)
        self._size += 1
        return True

    def remove(self, name: str, index: int, scorer: str = "") -> None:
        assert self.has(name, index, scorer)
        self._bits[scorer][name][index >> 3] &= ~(1 << (index & 7))
        self._size -= 1
