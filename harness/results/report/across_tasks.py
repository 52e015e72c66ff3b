"""One table over all tasks of a page: what each method gains or costs on each, against that task's reference.

Of adapters it is the transfer matrix: the gain of each on its own task, and its interference elsewhere. Colour says
which way and how far, on one scale for all tasks of a unit; bold is what is significant at 5 % (Holm, within its task);
the interval is below the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results.compare import ComparisonCell
from harness.results.report.comparison import direction
from harness.results.report.sections import Section

COLUMNS = 6  # tasks side by side: at 1,280 pixels none is cut
STRONGEST = 0.45  # opacity of the colour of the largest difference
ToneCell = tuple[ComparisonCell | None, str, int]  # with its colour and how strong that is, in percent


@dataclass(frozen=True)
class AcrossTasks:
    tasks: Sequence[Section]
    rows: Sequence[tuple[str, Sequence[ToneCell]]]


def tables(sections: Sequence[Section]) -> list[AcrossTasks]:
    """In blocks of tasks that a page is wide enough for; none of one task, or without a method of several."""
    tasks = [section for section in sections if section.cells]
    cells = {
        (row.name, number): cell
        for number, section in enumerate(tasks)
        for row, cell in zip(section.rows, section.cells, strict=True)
    }
    # The methods as the first task's comparison has them, the reference first.
    methods = dict.fromkeys(row.name for section in tasks for row in section.comparison.rows)
    names = [name for name in methods if sum((name, n) in cells for n in range(len(tasks))) > 1]
    if len(tasks) < 2 or len(names) < 2:
        return []
    largest = dict[str, float]()  # by unit, so that one colour means one difference in all tasks
    for (name, number), cell in cells.items():
        if name in names and cell.difference:
            unit = tasks[number].unit
            largest[unit] = max(largest.get(unit, 0.0), abs(cell.difference.value))
    blocks = [range(len(tasks))[start : start + COLUMNS] for start in range(0, len(tasks), COLUMNS)]
    return [
        AcrossTasks(
            [tasks[n] for n in block],
            [(name, [_coloured(cells.get((name, n)), largest) for n in block]) for name in names],
        )
        for block in blocks
    ]


def _coloured(cell: ComparisonCell | None, largest: dict[str, float]) -> ToneCell:
    if cell is None or cell.difference is None:
        return cell, "", 0
    most = largest[cell.estimate.unit]
    share = round(100 * STRONGEST * abs(cell.difference.value) / most) if most else 0
    return cell, direction(cell), share
