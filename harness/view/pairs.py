"""Two runs side by side: the samples that both have, by problem and number, and which of the two is right.

Which samples make a pair is written to a table of its own, some thousands at a time, so that nobody waits for a
million; a page is then a part of that table. Of runs at work it is made anew, though not all the time.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from harness.view.index import IndexedRun, RunIndex
from harness.view.samples import PAGE, Plain

# What can be asked for -> the kinds of pairs: 2 where the left one is right, and 1 more where the right one is.
SHOWN: Mapping[str, Sequence[int]] = {
    "all": (0, 1, 2, 3),
    "differ": (1, 2),
    "left": (2,),
    "right": (1,),
    "neither": (0,),
}
NAMES = ("problem", "sample", "at", "ended", "other_at", "other_ended")
STEP = 5000  # pairs that are found while others wait
FIND_S = 0.5  # a page waits no longer for more pairs
REST = 5  # a table of runs at work is kept for so many times what it took
MOST_TABLES = 4


@dataclass
class PairTable:
    """The pairs of two runs as they were at `versions`. `after`: the offset up to which they are found."""

    number: int
    versions: tuple[int, int]
    after: int = -1
    whole: bool = False
    took: float = 0.0
    until: float = 0.0
    counts: dict[int, int] = field(default_factory=dict)


@dataclass
class Pairs:
    """The tables of those pairs of runs that were asked for last. Threads may share one."""

    index: RunIndex
    _tables: OrderedDict[tuple[int, int], PairTable] = field(default_factory=OrderedDict)
    _last: int = 0

    def page(self, left: IndexedRun, right: IndexedRun, show: str, start: int) -> Plain:
        """The pairs from number `start` on; `show` is one of SHOWN. `counts`: of each; `share`: how much is read."""
        began = monotonic()
        while True:
            with self.index.lock:
                table = self._table(left, right)
                if not table.whole:
                    self._find(table, left, right)
                if table.whole or monotonic() - began > FIND_S:
                    return self._page(table, left, right, show, start)

    def _table(self, left: IndexedRun, right: IndexedRun) -> PairTable:
        names, versions = (left.number, right.number), (left.version, right.version)
        table = self._tables.pop(names, None)
        if table is not None and table.versions != versions and monotonic() > table.until:
            self._drop(table)
            table = None
        if table is None:
            self._last += 1
            table = PairTable(self._last, versions)
            self.index.select(
                f"CREATE TABLE pairs_{table.number} (at INTEGER PRIMARY KEY, other INTEGER, kind INTEGER)"
            )
        self._tables[names] = table
        while len(self._tables) > MOST_TABLES:
            self._drop(self._tables.popitem(last=False)[1])
        return table

    def _drop(self, table: PairTable) -> None:
        self.index.select(f"DROP TABLE pairs_{table.number}")

    def _find(self, table: PairTable, left: IndexedRun, right: IndexedRun) -> None:
        """The next STEP samples of the left run, with the same of the right one."""
        began = monotonic()
        ends = self.index.select(
            f"SELECT MAX(at), COUNT(*) FROM (SELECT at FROM samples_{left.number} WHERE at > ? ORDER BY at LIMIT ?)",
            (table.after, STEP),
        )
        last, n = ends[0]
        if n:
            found = self.index.select(
                f"INSERT INTO pairs_{table.number}"
                " SELECT l.at, r.at, 2 * (l.ended = 'correct') + (r.ended = 'correct')"
                f" FROM samples_{left.number} AS l JOIN samples_{right.number} AS r"
                " ON r.problem = l.problem AND r.sample = l.sample WHERE l.at > ? AND l.at <= ? RETURNING kind",
                (table.after, last),
            )
            for (kind,) in found:
                table.counts[kind] = table.counts.get(kind, 0) + 1
            table.after = last
        table.whole = n < STEP
        table.took += monotonic() - began
        table.until = monotonic() + REST * table.took if table.whole else 0.0

    def _page(
        self, table: PairTable, left: IndexedRun, right: IndexedRun, show: str, start: int
    ) -> dict[str, Any]:
        kinds = ", ".join(map(str, SHOWN[show]))
        rows = self.index.select(
            "SELECT l.problem, l.sample, l.at, l.ended, r.at, r.ended"
            f" FROM (SELECT at, other FROM pairs_{table.number} WHERE kind IN ({kinds}) ORDER BY at LIMIT ? OFFSET ?)"
            f" AS p JOIN samples_{left.number} AS l ON l.at = p.at JOIN samples_{right.number} AS r ON r.at = p.other"
            " ORDER BY l.at",
            (PAGE, start),
        )
        found = 1.0 if table.whole else table.after / max(1, left.generations.size)
        return {
            "rows": [dict(zip(NAMES, row, strict=True)) for row in rows],
            "start": start,
            "counts": {
                name: sum(table.counts.get(kind, 0) for kind in those) for name, those in SHOWN.items()
            },
            "share": min(left.share, right.share, found),
        }
