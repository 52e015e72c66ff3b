"""One table over all tasks of a page: what each method gains or costs on each, against that task's reference.

Of adapters it is the transfer matrix: the gain of each on its own task, and its interference elsewhere. Colour says
which way and how far, on one scale for all tasks of a unit; bold is what is significant at 5 % (Holm, within its task);
the interval is below the difference.
"""

from collections.abc import Iterator, Sequence
from html import escape

from harness.results.compare import ComparisonCell
from harness.results.report.comparison import p_value, signed
from harness.results.report.sections import Section
from harness.results.report.tables import figure, printable

STRONGEST = 0.45  # opacity of the colour of the largest difference
LEVEL = 0.05


def html(sections: Sequence[Section]) -> str:
    """The table; nothing where there is one task, or no method that several tasks have."""
    tasks = [section for section in sections if section.cells]
    cells = {
        (row.name, number): cell
        for number, section in enumerate(tasks)
        for row, cell in zip(section.rows, section.cells, strict=True)
    }
    names = [name for name in _in_order(tasks) if sum((name, n) in cells for n in range(len(tasks))) > 1]
    if len(tasks) < 2 or len(names) < 2:
        return ""
    return "\n".join(_table(tasks, names, cells))


def _in_order(tasks: Sequence[Section]) -> list[str]:
    """The methods as the first task's comparison has them, the reference first."""
    return list(dict.fromkeys(row.name for section in tasks for row in section.comparison.rows))


def _table(
    tasks: Sequence[Section], names: Sequence[str], cells: dict[tuple[str, int], ComparisonCell]
) -> Iterator[str]:
    yield '<section id="across"><h2>Across tasks</h2>'
    yield (
        '<p class="quiet">Differences to the reference of each task, paired by problem, in points for shares, with 95 %'
        " intervals; bold where significant at 5 % (Holm).</p>"
    )
    heads = "".join(f"<th>{_text(section.title)}<br>{_text(section.metric)}</th>" for section in tasks)
    region = 'class="scroll" tabindex="0" role="region" aria-label="Across tasks"'
    yield f"<div {region}><table><thead><tr><th>method</th>{heads}</tr></thead><tbody>"
    largest = dict[str, float]()  # by unit, so that one colour means one difference in all tasks
    for (name, number), cell in cells.items():
        if name in names and cell.difference:
            unit = tasks[number].unit
            largest[unit] = max(largest.get(unit, 0.0), abs(cell.difference.value))
    for name in names:
        row = "".join(
            _cell(section, cells.get((name, number)), largest.get(section.unit, 0.0))
            for number, section in enumerate(tasks)
        )
        yield f'<tr><th scope="row">{_text(name)}</th>{row}</tr>'
    yield "</tbody></table></div></section>"


def _cell(section: Section, cell: ComparisonCell | None, largest: float) -> str:
    if cell is None:
        return "<td></td>"
    if cell.difference is None:
        shown = figure(section.unit, cell.estimate.value)
        return f'<td>{shown}<span class="sub">reference</span></td>'
    gap, low, high = (getattr(cell.difference, name) for name in ("value", "low", "high"))
    p = cell.p_holm if cell.p_holm is not None else cell.difference.p
    value = signed(section.unit, gap)
    shown = f"<b>{value}</b>" if p <= LEVEL else value
    better = (gap < 0) == section.lower_is_better
    share = round(100 * STRONGEST * abs(gap) / largest) if largest and gap else 0
    colour = f"color-mix(in srgb, var(--{'good' if better else 'bad'}) {share}%, transparent)"
    interval = f"{signed(section.unit, low)} to {signed(section.unit, high)}, p {p_value(p)}"
    return f'<td style="background:{colour}">{shown}<span class="sub">{interval}</span></td>'


def _text(value: str) -> str:
    return escape(printable(value))
