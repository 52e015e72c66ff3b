"""The table in a terminal. Text from runs is printed as text, never as markup or control codes."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from harness.results.report import tables
from harness.results.report.tables import printable

SHORTEST_RUN = 12  # columns that a run's name is folded to
RIGHT = {"value", "k / n", "faults"}  # columns of figures


def render(summaries: Sequence[Mapping[str, Any]], width: int | None = None) -> str:
    """The table and, below it, each run's notes and signature. `width` in columns; None asks the terminal."""
    faults = any(summary["errors"] for summary in summaries)
    columns = tables.COLUMNS if faults else tables.COLUMNS[:-1]
    rows = [[printable(cell) for cell in row[: len(columns)]] for row in tables.rows(summaries)]
    lines = _table(columns, rows, width or shutil.get_terminal_size().columns)
    for summary in summaries:
        lines.append(printable(summary["run_id"]))
        lines += [f"  {printable(note)}" for note in tables.footnotes(summary)]
    return "".join(f"{line}\n" for line in lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Names of runs fold where the table is too wide, nothing else does: a number that is cut would be another."""
    first, *others = (max(map(len, cells)) for cells in zip(columns, *rows, strict=True))
    left = width - sum(others) - 2 * (len(others) + 1)
    if left < min(first, SHORTEST_RUN):
        return [_lines(columns, row) for row in rows]
    widths = [min(first, left), *others]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.rjust(of) if name in RIGHT else cell.ljust(of)
            for name, cell, of in zip(columns, row, widths, strict=True)
        )
        return f" {'  '.join(cells)} "

    total = sum(widths) + 2 * len(widths)
    folded = [line(part) for row in rows for part in _folded(row, widths[0])]
    return [" " * total, line(columns), f" {'─' * (total - 2)} ", *folded, " " * total]


def _folded(row: Sequence[str], width: int) -> list[list[str]]:
    """The row, with the rest of a long name in rows of its own."""
    name, *cells = row
    rest = [name[at : at + width] for at in range(width, len(name), width)]
    return [[name[:width], *cells], *([part, *[""] * len(cells)] for part in rest)]


def _lines(columns: Sequence[str], row: Sequence[str]) -> str:
    """A row below one another: the run, the metric with its value, and the rest by its column's name."""
    run, metric, value, *rest = row
    named = [f"    {name} {cell}" for name, cell in zip(columns[3:], rest, strict=True) if cell]
    return "\n".join([*([run] if run else []), f"  {metric} {value}", *named])
