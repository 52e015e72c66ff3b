"""A comparison in the terminal: differences to the reference row, cost, and the problems that flipped."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.results import compare
from harness.results.compare import Comparison, ComparisonCell, Flip
from harness.results.report.tables import amount, figure, printable
from harness.results.rows import ComparisonRow
from harness.runs import contamination
from harness.schema import Estimate, Unit

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("value", "95 % interval", "difference", "95 % interval", "p", "+ / -")
LEVEL = 0.05  # of p (Holm) up to which a difference is called significant
MAX_ANSWER_LINES = 30  # lines of an answer shown next to another
NAME_WIDTH = 24  # a method's name up to this many columns stays on one line
SEEDS_NOTE = (
    "the intervals above cover the choice of problems, given these seeds; 'sd between seeds' is the standard deviation"
    " of the value over seeds, 'se of both' the standard error of the row's value over seeds and problems"
)
MIN_WIDTH = (
    100  # columns; in a narrower terminal rich would truncate numbers, while wrapped lines lose nothing
)


def signed(unit: Unit, value: float) -> str:
    """A difference with its sign, in percentage points for a share; zero has no sign."""
    text = f"{100 * value:+.2f}" if unit == "share" else f"{value:+.4g}"
    return text.lstrip("+-") if float(text) == 0 else text


def minimum_detectable(unit: Unit, value: float, n: int) -> str:
    """ "minimum detectable difference at 80 % power: 16.56 points (n=100)"."""
    if unit == "share" and value > 1:
        return f"no difference would be found at 80 % power (n={n})"
    points = " points" if unit == "share" else ""
    return f"minimum detectable difference at 80 % power: {figure(unit, value)}{points} (n={n})"


def p_value(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def p_of(cell: ComparisonCell) -> float:
    """Of a cell with a difference."""
    assert cell.difference is not None
    return cell.difference.p if cell.p_holm is None else cell.p_holm


def significant(cell: ComparisonCell) -> bool:
    return p_of(cell) <= LEVEL


def direction(cell: ComparisonCell) -> str:
    """Which way the difference goes: "good" or "bad"."""
    assert cell.difference is not None
    return "good" if (cell.difference.value > 0) != cell.estimate.lower_is_better else "bad"


def interval(e: Estimate) -> str:
    return f"{figure(e.unit, e.low)} to {figure(e.unit, e.high)}"


def difference_interval(cell: ComparisonCell) -> str:
    assert cell.difference is not None
    low, high = (signed(cell.estimate.unit, end) for end in (cell.difference.low, cell.difference.high))
    return f"{low} to {high}"


def cell_texts(cell: ComparisonCell) -> tuple[str, ...]:
    """The columns of a cell; the reference row has no difference."""
    estimate, difference, unit = cell.estimate, cell.difference, cell.estimate.unit
    head = (figure(unit, estimate.value), interval(estimate))
    if difference is None:
        return (*head, "reference", "", "", "")
    return (
        *head,
        signed(unit, difference.value),
        difference_interval(cell),
        p_value(p_of(cell)),
        f"{difference.better} / {difference.worse}",
    )


def notes(comparison: Comparison, *, seeds: bool = True) -> Iterator[str]:
    """The notes under the table; `seeds` includes the lines about seeds."""
    tests = {cell.difference.test for cells in comparison.cells.values() for cell in cells if cell.difference}
    yield (
        f"differences to {comparison.rows[0].name}, paired by problem; two-sided p ({', '.join(sorted(tests))}),"
        " Holm-corrected over the rows of a metric; + / -: problems that got better / worse"
    )
    if comparison.clusters:
        yield f"problems are sampled in {comparison.clusters} clusters (--no-cluster: one by one)"
    for metric, cells in comparison.cells.items():
        seen = [cell.detectable for cell in cells if cell.detectable]
        if seen:
            n = comparison.clusters or len(comparison.problems[metric])
            yield f"{metric}: {minimum_detectable(cells[0].estimate.unit, max(seen), n)}"
        for row, cell in zip(comparison.rows, cells, strict=True):
            if seeds and (s := cell.seeds) is not None:
                between, among, both = (
                    figure(cell.estimate.unit, v) for v in (s.sd_seeds, s.se_problems, s.se)
                )
                yield (
                    f"{metric}, {row.name}: {s.seeds} seeds, standard deviation between seeds {between},"
                    f" standard error over problems {among}, over both {both}"
                )
    yield from (f"{row.name}: {said}" for row, said in contaminated(comparison.rows))
    if comparison.faults:
        yield f"{comparison.faults} samples could not be judged and count as failed: rerun their command"
    if comparison.skipped:
        yield f"{comparison.skipped} problems skipped: judging failed in one of the runs"
    for row in comparison.rows:
        if row.runs:
            yield f"{row.name}: {', '.join(run.run_id for run in row.runs)}"


def contaminated(rows: Iterable[ComparisonRow]) -> Iterator[tuple[ComparisonRow, str]]:
    """The rows whose adapter or model was trained on problems that it is asked, each adapter's line once."""
    for row in rows:
        said = filter(None, (contamination.note(run.record) for run in row.runs))
        yield from ((row, line) for line in dict.fromkeys(said))


def render(comparison: Comparison, flips: Sequence[Flip], most: int, width: int | None = None) -> str:
    """Tables of metrics and cost, then the first `most` flipped problems with both answers side by side."""
    from rich.console import Console
    from rich.text import Text

    tables = [_metric_table(comparison)]
    if any(value for row in comparison.rows for value in compare.mean_cost(row).values()):
        tables.append(_cost_table(comparison))
    if seeds := any(cell.seeds for cells in comparison.cells.values() for cell in cells):
        tables.append(_seed_table(comparison))
    console = Console(width=width or max(Console().width, MIN_WIDTH), highlight=False, markup=False)
    with console.capture() as captured:
        for table in tables:
            console.print(table)
        if seeds:
            console.print(Text(SEEDS_NOTE), soft_wrap=True)
        for note in notes(comparison, seeds=False):
            console.print(Text(printable(note)), soft_wrap=True)
        for flip in flips[:most]:
            unit = next(iter(comparison.cells.values()))[0].estimate.unit
            console.print(_flip_table(unit, flip, comparison.rows[0].name))
        if len(flips) > most:
            console.print(f"{len(flips) - most} more flipped problems: --flips N shows more, --json all")
    return captured.get()


def _table() -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _metric_table(comparison: Comparison) -> "Table":
    from rich.text import Text

    table = _table()
    table.add_column("metric", no_wrap=True)
    table.add_column("method", overflow="fold")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for metric, cells in comparison.cells.items():
        for i, (row, cell) in enumerate(zip(comparison.rows, cells, strict=True)):
            texts = (metric if i == 0 else "", row.name, *cell_texts(cell))
            table.add_row(*(Text(printable(text)) for text in texts))
    return table


def _seed_table(comparison: Comparison) -> "Table":
    """How much each row varies with the seed, and with the choice of problems."""
    from rich.text import Text

    table = _table()
    table.add_column("metric", no_wrap=True)
    table.add_column("method", overflow="fold")
    for name in ("seeds", "sd between seeds", "se of problems", "se of both"):
        table.add_column(name, justify="right", no_wrap=True)
    for metric, cells in comparison.cells.items():
        shown = metric
        for row, cell in zip(comparison.rows, cells, strict=True):
            if (s := cell.seeds) is not None:
                values = (figure(cell.estimate.unit, v) for v in (s.sd_seeds, s.se_problems, s.se))
                table.add_row(*(Text(printable(t)) for t in (shown, row.name, str(s.seeds), *values)))
                shown = ""
    return table


def _cost_table(comparison: Comparison) -> "Table":
    from rich.text import Text

    costs = [compare.mean_cost(row) for row in comparison.rows]
    names = list(dict.fromkeys(name for cost in costs for name, value in cost.items() if value))
    table = _table()
    short = max(len(row.name) for row in comparison.rows) <= NAME_WIDTH
    table.add_column("cost", overflow="fold", no_wrap=short)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row, cost in zip(comparison.rows, costs, strict=True):
        shown = [amount(cost[name]) if name in cost else "" for name in names]
        table.add_row(*(Text(printable(text)) for text in (row.name, *shown)))
    return table


def _flip_table(unit: Unit, flip: Flip, reference: str) -> "Table":
    from rich.box import SQUARE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SQUARE, title=Text(printable(flip.problem_id)), title_justify="left", expand=True)
    ends = zip((reference, flip.row), (flip.before, flip.after), flip.statuses, strict=True)
    for name, value, status in ends:
        table.add_column(Text(printable(f"{name}: {figure(unit, value)} {status}")), ratio=1, overflow="fold")
    table.add_row(*(Text(_truncate(answer)) for answer in flip.answers))
    return table


def _truncate(answer: str) -> str:
    lines = [printable(line.expandtabs(4)) for line in answer.split("\n")]
    more = [f"... {len(lines) - MAX_ANSWER_LINES} more lines"] if len(lines) > MAX_ANSWER_LINES else []
    return "\n".join([*lines[:MAX_ANSWER_LINES], *more])


def markdown(comparison: Comparison) -> str:
    """The metric table, for a pull request."""
    from harness.results.report.tables import escape_markdown

    head = ("metric", "method", *COLUMNS)
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "--:|" * len(COLUMNS)]
    for metric, cells in comparison.cells.items():
        for row, cell in zip(comparison.rows, cells, strict=True):
            lines.append(
                "| " + " | ".join(map(escape_markdown, (metric, row.name, *cell_texts(cell)))) + " |"
            )
    lines += ["", *(f"- {escape_markdown(note)}" for note in notes(comparison))]
    return "\n".join(lines) + "\n"
