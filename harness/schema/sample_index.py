"""Which samples exist already, one bit for each: a million samples take an eighth of a megabyte.

A key is (problem id, sample index, scorer); for rows without a scorer that is "".
"""

from collections.abc import Iterator

Key = tuple[str, int, str]

MAX_SAMPLES = 1 << 24  # of a problem: a larger index is damaged, and would take two megabytes of bits


class SampleIndex:
    """A set of keys. Indices must be 0 to MAX_SAMPLES - 1."""

    def __init__(self) -> None:
        self._bits: dict[str, dict[str, bytearray]] = {}  # scorer -> problem id -> bits
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Key]:
        for scorer, by_problem in self._bits.items():
            for problem_id, bits in by_problem.items():
                for at, byte in enumerate(bits):
                    yield from ((problem_id, 8 * at + bit, scorer) for bit in range(8) if byte >> bit & 1)

    def has(self, problem_id: str, index: int, scorer: str = "") -> bool:
        bits = self._bits.get(scorer, {}).get(problem_id, b"")
        at = index >> 3
        return 0 <= at < len(bits) and bool(bits[at] >> (index & 7) & 1)

    def count(self, problem_id: str, scorer: str = "") -> int:
        """How many samples of a problem exist."""
        return int.from_bytes(self._bits.get(scorer, {}).get(problem_id, b"")).bit_count()

    def add(self, problem_id: str, index: int, scorer: str = "") -> bool:
        """False when it existed before."""
        if self.has(problem_id, index, scorer):
            return False
        assert 0 <= index < MAX_SAMPLES
        bits = self._bits.setdefault(scorer, {}).setdefault(problem_id, bytearray())
        at = index >> 3
        if at >= len(bits):
            bits.extend(bytes(at + 1 - len(bits)))
        bits[at] |= 1 << (index & 7)
        self._size += 1
        return True

    def remove(self, problem_id: str, index: int, scorer: str = "") -> None:
        assert self.has(problem_id, index, scorer)
        self._bits[scorer][problem_id][index >> 3] &= ~(1 << (index & 7))
        self._size -= 1
