"""An audit in a terminal: a row an extractor, what flips, and how answers fail to parse."""

from typing import TYPE_CHECKING, Literal

from harness.results.audit.record import Audit, ReadingFlip, ReadingResult
from harness.results.report.comparison import signed
from harness.results.report.tables import figure, printable

if TYPE_CHECKING:
    from rich.table import Table


def render(audit: Audit, width: int | None = None) -> str:
    """`width` in columns; None asks the terminal."""
    from rich.console import Console

    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        if audit.readings and audit.read:
            console.print(_table(audit))
        for line in _lines(audit):
            console.print(printable(line), soft_wrap=True)
        for reading in audit.readings:
            for flip in reading.flips:
                if flip.diff:
                    console.print(_flip(audit, reading, flip), soft_wrap=True)
    return captured.get()


def _table(audit: Audit) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("extractor", "answers differ", audit.metric, "difference", "flips", "+ / -"):
        justify: Literal["left", "right"] = "left" if name == "extractor" else "right"
        table.add_column(name, justify=justify, no_wrap=name != "extractor", overflow="fold")
    unit, own = audit.estimate.unit, audit.estimate.value
    table.add_row(Text(printable(f"{audit.extractor} (own)")), "", figure(unit, own))
    for reading in audit.readings:
        if reading.estimate is None:
            value, gap = "none judged", ""
        else:
            value = figure(unit, reading.estimate.value)
            gap = signed(unit, reading.estimate.value - own) if reading.differ else ""
        better = sum(_better(audit, flip) for flip in reading.flips)
        flips = (str(len(reading.flips)), f"{better} / {len(reading.flips) - better}")
        row = (reading.extractor, str(reading.differ), value, gap, *(flips if reading.differ else ()))
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _better(audit: Audit, flip: ReadingFlip) -> bool:
    return (flip.value > flip.own_value) != audit.estimate.lower_is_better


def _lines(audit: Audit) -> list[str]:
    unread = audit.samples - audit.read
    if not audit.read:
        return [
            f"nothing to read: the {audit.samples} completions were recorded as programs or continuations, which are"
            " taken to the letter; an audit needs raw outputs (rows with 'text')"
        ]
    lines = []
    if unread:
        lines.append(f"{unread} of {audit.samples} completions were recorded to the letter: nothing to read")
    if not audit.readings:
        lines.append(
            f"the task reads completions in its own way only ({audit.extractor}): name another by --extract"
        )
    parsing = audit.parsing
    if parsing.failed:
        kinds = ", ".join(f"{kind} {count}" for kind, count in parsing.kinds.items())
        lines.append(f"{parsing.failed} of {parsing.answers} answers do not parse or compile: {kinds}")
    if audit.faults:
        lines.append(f"{audit.faults} answers could not be judged: their problems are left out of that row")
    if audit.note:
        lines.append(audit.note)
    elif audit.readings:
        spread, half = (
            figure(audit.estimate.unit, width)
            for width in (audit.spread, (audit.estimate.high - audit.estimate.low) / 2)
        )
        lines.append(f"{audit.metric} moves by {spread} with the extractor; half its 95 % interval is {half}")
    return lines


def _flip(audit: Audit, reading: ReadingResult, flip: ReadingFlip) -> str:
    unit = audit.estimate.unit
    own, other = (
        f"scored {figure(unit, value)}" if status == "scored" else status
        for status, value in ((flip.own_status, flip.own_value), (flip.status, flip.value))
    )
    head = f"{flip.problem_id} [{flip.index}]  {audit.extractor}: {own}  {reading.extractor}: {other}"
    return "\n".join(["", printable(head), *(f"  {printable(line)}" for line in flip.diff.split("\n"))])
