"""The table in a terminal. Text from runs is printed as text, never as markup or control codes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.results.report import tables
from harness.results.report.tables import printable

SHORTEST_RUN = 12  # columns that a run's name is folded to


def render(summaries: Sequence[Mapping[str, Any]], width: int | None = None) -> str:
    """The table and, below it, each run's notes and signature. `width` in columns; None asks the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    faults = any(summary["errors"] for summary in summaries)
    columns = tables.COLUMNS if faults else tables.COLUMNS[:-1]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in {"value", "k / n", "faults"} else "left"
        table.add_column(column, justify=justify, no_wrap=column != "run", overflow="fold")
    rows = [[printable(cell) for cell in row[: len(columns)]] for row in tables.rows(summaries)]
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        if _width(columns, rows) <= console.width:
            console.print(table)
        else:  # a number that is cut would be another number
            for row in rows:
                console.print(Text(_lines(columns, row)), soft_wrap=True)
        for summary in summaries:
            console.print(Text(printable(summary["run_id"]), style="bold"), soft_wrap=True)
            for note in tables.footnotes(summary):
                console.print(Text("  " + printable(note)), soft_wrap=True)
    return captured.get()


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The columns that the table needs at least: names of runs fold, nothing else does."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    return min(widths[0], SHORTEST_RUN) + sum(widths[1:]) + 2 * len(widths)


def _lines(columns: Sequence[str], row: Sequence[str]) -> str:
    """A row below one another: the run, the metric with its value, and the rest by its column's name."""
    run, metric, value, *rest = row
    named = [f"    {name} {cell}" for name, cell in zip(columns[3:], rest, strict=True) if cell]
    return "\n".join([*([run] if run else []), f"  {metric} {value}", *named])
