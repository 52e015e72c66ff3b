"""The table in a terminal. Text from runs is printed as text, never as markup or control codes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.results.report import tables
from harness.results.report.tables import printable


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
    for row in tables.rows(summaries):
        table.add_row(*(Text(printable(cell)) for cell in row[: len(columns)]))
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
        for summary in summaries:
            console.print(Text(printable(summary["run_id"]), style="bold"), soft_wrap=True)
            for note in tables.footnotes(summary):
                console.print(Text("  " + printable(note)), soft_wrap=True)
    return captured.get()
