"""One self-contained HTML page of finished runs: no network, no framework, no script but its own.

Text from runs is escaped, and samples are packed (`samples.py`). A content security policy with the script's hash is a
second line of defence.
"""

import base64
import hashlib
import itertools
from collections.abc import Iterator, Sequence, Set
from html import escape
from pathlib import Path

from harness import __version__
from harness.errors import install
from harness.results.compare import ComparisonCell, mean_cost
from harness.results.report import across_tasks, plots, samples, text_metrics
from harness.results.report.comparison import contaminated, minimum_detectable, p_value, signed
from harness.results.report.sections import (
    Section,
    metric_names,
    row_estimate,
    run_names,
    sample_outcomes,
)
from harness.results.report.tables import amount, figure, printable
from harness.results.rows import ComparisonRow
from harness.runs.store.run_folder import audit_note
from harness.schema import Estimate

ASSETS = Path(__file__).resolve().parent / "assets"
CAPTIONS = {
    "methods": "Every method with its 95 % interval",
    "examples": "Against the number of examples in the prompt",
    "cost": "Against the length of the prompt",
    "parameters": "Against the number of trained parameters",
    "memory": "Against the memory used in training",
    "groups": "By group of problems",
    "pass-at-k": "Against k",
    "thinking": "Against the tokens for reasoning and answer",
    "metrics": "All metrics",
}
# At 1,280 pixels no column of either table is cut.
METRIC_COLUMNS = 4  # beside the first metric, with its interval and difference
FURTHER_COLUMNS = 8
SEED_COLUMNS = ("sd of seeds", "se of problems", "se of both")
FAILURE_COLOURS = tuple(
    f"var(--s{i})" for i in (2, 5, 4, 7, 1, 6, 8)
)  # green is reserved for correct samples


def render(sections: Sequence[Section], skipped: Sequence[str] = (), extra: Sequence[str] = ()) -> str:
    """The page. `skipped` has a line per run that could not be read, `extra` further sections (published tables)."""
    runs = [run for section in sections for run in section.runs]
    names = run_names(sections)
    script = asset("text.js") + asset("page.js")
    blobs = "".join(
        f'<script type="text/plain" id="blob-{name}">{text}</script>\n'
        for name, text in samples.pack(runs, names)
    )
    across = across_tasks.html(sections)
    title = "Results: " + ", ".join(dict.fromkeys(section.task for section in sections))
    body = [
        f'<header class="top"><h1>{text(title)}</h1>',
        f'<p class="quiet">{len(runs)} runs, {sum(run.summary.samples for run in runs):,} samples.'
        " Shares are in percent, with 95 % intervals; differences are paired by problem.</p>",
        _navigation(sections, bool(across)),
        "</header><main>",
        *(f'<p class="warning">{text(line)}</p>' for line in skipped),
        across,
        *(part for section in sections for part in _section(section)),
        *extra,
        asset("samples.html"),
        f"</main><footer>Made by harness {text(__version__)} from the run folders.</footer>",
    ]
    return frame(title, "\n".join(body) + "\n" + blobs, script)


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def frame(title: str, body: str, script: str, style: str = "", connect: str = "'none'") -> str:
    """A whole page with its style, its script and a policy that allows no other script.

    `style` comes after the report's own; `connect`: whom the script may ask, nobody unless told.
    """
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; connect-src {connect}; script-src 'sha256-{sha}'; style-src 'unsafe-inline';"
        " base-uri 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{asset('page.css')}{style}</style></head>\n<body>\n{body}"
        f"<script>{script}</script>\n</body></html>\n"
    )


def text(value: object) -> str:
    """Any value as escaped text."""
    return escape(printable(str(value)))


def anchor(section: Section) -> str:
    return "task-" + "".join(c if c.isalnum() else "-" for c in section.title)


def _navigation(sections: Sequence[Section], across: bool) -> str:
    items = ['<li><a href="#across">Across tasks</a></li>'] if across else []
    items += [f'<li><a href="#{anchor(s)}">{text(s.title)}</a></li>' for s in sections]
    return f'<nav aria-label="Parts"><ul>{"".join(items)}<li><a href="#samples">Samples</a></li></ul></nav>'


# ---------------------------------------------------------------- a section


def section_html(section: Section) -> str:
    return "\n".join(_section(section))


def _section(section: Section) -> Iterator[str]:
    problems = len(section.runs[0].samples)
    size = f'<small class="quiet">{problems} problems</small>'
    yield f'<section id="{anchor(section)}"><h2>{text(section.title)} {size}</h2>'
    if section.cells:
        yield f'<p class="answer">{_headline(section)}</p>'
    yield from _warnings(section)
    yield _table(section)
    if section.cells:
        yield f'<p class="small quiet">{_table_notes(section)}</p>'
    yield from _further_tables(section)
    if not plots.available():
        how = text(install("plots"))
        yield f'<p class="small quiet">No plots: the package matplotlib is not installed ({how}).</p>'
    elif figures := plots.all_of(section):
        yield '<div class="figures">'
        for name, drawn in figures.items():
            caption = f"{CAPTIONS[name]} ({section.metric})" if name != "metrics" else CAPTIONS[name]
            drawing = plots.svg(drawn).replace("<svg", f'<svg role="img" aria-label="{text(caption)}"', 1)
            yield f"<figure><figcaption>{text(caption)}</figcaption>{drawing}</figure>"
        yield "</div>"
    yield from text_metrics.html(section)
    yield from _outcomes(section)
    yield from _signatures(section)
    yield "</section>"


def _warnings(section: Section) -> Iterator[str]:
    """Who was trained on what is asked, and what audits have to say of the runs' numbers."""
    for row, said in contaminated(section.rows):
        yield f'<p class="warning"><b>{text(row.name)}</b>: {text(said)}</p>'
    for row in section.rows:
        for run in row.runs:
            if said := audit_note(run.folder, run.summary.model_dump(mode="json")):
                yield f'<p class="warning"><b>{text(row.name)}</b>: {text(said)}</p>'


def _headline(section: Section) -> str:
    """The result in one sentence."""
    best, cell = section.rows[0], section.cells[0]
    value = f"{_with_unit(cell.estimate)} ({_interval(cell.estimate)})"
    if len(section.rows) == 1:
        return f"<b>{text(best.name)}</b> has {text(section.metric)} of <b>{value}</b>."
    reference = section.comparison.rows[0]
    if cell.difference is None:
        return f"The reference <b>{text(best.name)}</b> is best on {text(section.metric)}: <b>{value}</b>."
    p = cell.p_holm if cell.p_holm is not None else cell.difference.p
    gap = signed(section.unit, cell.difference.value)
    significance = f"{'' if p <= 0.05 else 'not '}statistically significant (p {p_value(p)})"
    unit = " points" if section.unit == "share" else ""
    return (
        f"Best on {text(section.metric)} is <b>{text(best.name)}</b> with <b>{value}</b>: {gap}{unit} compared with"
        f" {text(reference.name)}, {significance}."
    )


def _with_unit(e: Estimate) -> str:
    return figure(e.unit, e.value) + (" %" if e.unit == "share" else "")


def _interval(e: Estimate) -> str:
    return f"{figure(e.unit, e.low)} to {figure(e.unit, e.high)}"


def _table(section: Section) -> str:
    others = metric_names(section)[1 : 1 + METRIC_COLUMNS]
    faults = any(run.summary.errors for run in section.runs)
    several = len(section.rows) > 1
    head = [
        "method",
        section.metric,
        "",
        *(["difference", "95 % interval", "p (Holm)"] if several else []),
        *(SEED_COLUMNS if _has_seeds(section) else ()),
        *others,
    ]
    head += ["faults"] if faults else []
    top = max((cell.estimate.high for cell in section.cells), default=1.0) or 1.0
    rows = []
    in_order = section.comparison.cells.get(section.metric) or [None] * len(section.rows)
    for row, cell in zip(section.comparison.rows, in_order, strict=True):
        more = [_metric_text(row, name) for name in others]
        more += [str(sum(run.summary.errors for run in row.runs) or "")] if faults else []
        rows.append(_table_row(section, row, cell, top, more))
    return _scrolled(f"{section.title}: results", head, rows, words={0, 2})


def _further_tables(section: Section) -> Iterator[str]:
    """What does not fit beside the results: more metrics, folded, and what each method cost."""
    others = metric_names(section)[1 + METRIC_COLUMNS :]
    in_order = section.comparison.rows
    if others:
        yield f"<details><summary>{len(others)} further metrics</summary>"
    for start in range(0, len(others), FURTHER_COLUMNS):
        names = others[start : start + FURTHER_COLUMNS]
        rows = [_further_row(row, [_metric_text(row, name) for name in names]) for row in in_order]
        yield _scrolled(f"{section.title}: further metrics", ["method", *names], rows, words={0})
    if others:
        yield "</details>"
    costs = [mean_cost(row) for row in in_order]
    names = list(dict.fromkeys(name for cost in costs for name, value in cost.items() if value))
    if names:
        rows = [
            _further_row(row, [_cost_text(cost.get(name, 0.0)) for name in names])
            for row, cost in zip(in_order, costs, strict=True)
        ]
        head = ["cost", *(name.replace("_", " ") for name in names)]
        yield _scrolled(f"{section.title}: cost", head, rows, words={0})


def _further_row(row: ComparisonRow, values: Sequence[str]) -> str:
    tail = "".join(f'<td class="n">{text(value)}</td>' for value in values)
    return f'<tr><td class="name">{text(row.name)}</td>{tail}</tr>'


def _scrolled(label: str, head: Sequence[str], rows: Sequence[str], words: Set[int]) -> str:
    """A table that scrolls by itself where it is wider than the screen; the columns `words` are not numeric."""
    cells = "".join(
        f'<th scope="col"{"" if i in words else " class=n"}>{text(name)}</th>' for i, name in enumerate(head)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}"><table>'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _has_seeds(section: Section) -> bool:
    return any(cell.seeds for cell in section.cells)


def _cost_text(value: float) -> str:
    """A cost; empty if unknown (a recording has no tokens)."""
    return amount(value) if value else ""


def _metric_text(row: ComparisonRow, name: str) -> str:
    found = row_estimate(row, name)
    if found is None:
        return ""
    failed = (
        ""
        if found.with_faults is None
        else f" ({figure(found.unit, found.with_faults)} with faults as failed)"
    )
    return figure(found.unit, found.value) + failed


def _table_row(
    section: Section, row: ComparisonRow, cell: ComparisonCell | None, top: float, more: Sequence[str]
) -> str:
    seeds = f'<span class="sub">{len(row.runs)} seeds</span>' if len(row.runs) > 1 else ""
    if cell is not None and _has_seeds(section):
        s = cell.seeds
        spread = (figure(section.unit, v) for v in (s.sd_seeds, s.se_problems, s.se)) if s else ("", "", "")
        more = [*spread, *more]
    tail = "".join(f'<td class="n">{text(words)}</td>' for words in more)
    name = f'<td class="name">{text(row.name)}{seeds}</td>'
    if cell is None:
        return f'<tr>{name}<td colspan="5">no metrics: no sample could be judged</td>{tail}</tr>'
    e, unit = cell.estimate, section.unit
    shown = figure(unit, e.value)
    if len(section.rows) > 1 and e.value == section.cells[0].estimate.value:
        shown = f"<b>{shown}</b>"
    value = f'<td class="n">{shown}<span class="sub">{_interval(e)}</span></td>'
    drawn = f"<td>{_whisker(e, top)}</td>"
    d = cell.difference
    if len(section.rows) == 1:
        gap = ""
    elif d is None:
        gap = '<td class="n quiet">reference</td><td></td><td></td>'
    else:
        better = (d.value > 0) != e.lower_is_better
        significant = cell.p_holm is not None and cell.p_holm <= 0.05
        tone = (" up" if better else " down") if significant else ""
        p = cell.p_holm if cell.p_holm is not None else d.p
        gap = (
            f'<td class="n{tone}">{signed(unit, d.value)}</td>'
            f'<td class="n">{signed(unit, d.low)} to {signed(unit, d.high)}</td>'
            f'<td class="n">{text(p_value(p))}</td>'
        )
    kind = ' class="reference"' if d is None and len(section.rows) > 1 else ""
    return f"<tr{kind}>{name}{value}{drawn}{gap}{tail}</tr>"


def _whisker(e: Estimate, top: float) -> str:
    low, high, at = (max(0.0, min(100.0, 100 * x / top)) for x in (e.low, e.high, e.value))
    return (
        '<svg class="whisker" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<line class="zero" x1="0" x2="100" y1="6" y2="6"/><line x1="{low:.1f}" x2="{high:.1f}" y1="6" y2="6"/>'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="1.5" y2="10.5"/></svg>'
    )


def _table_notes(section: Section) -> str:
    """Notes on how to read the table."""
    n = len(section.comparison.problems[section.metric])
    words = [f"{section.metric} on {n} problems"]
    tests = sorted({cell.difference.test for cell in section.cells if cell.difference})
    if tests:
        words.append(f"two-sided p ({', '.join(tests)}), Holm-corrected over the rows; coloured if p ≤ 0.05")
    if seen := [cell.detectable for cell in section.cells if cell.detectable]:
        words.append(minimum_detectable(section.unit, max(seen), n))
    if _has_seeds(section):
        words.append(
            "intervals cover the choice of problems, given these seeds; 'sd of seeds' is the standard deviation between"
            " seeds, 'se of problems' the standard error over problems, 'se of both' that of the row's value"
        )
    if section.comparison.faults:
        words.append(f"{section.comparison.faults} samples could not be judged and count as failed")
    if section.comparison.skipped:
        words.append(
            f"{section.comparison.skipped} problems skipped because judging failed in one of the runs"
        )
    return text("; ".join(words) + ".")


def _outcomes(section: Section) -> Iterator[str]:
    found = [sample_outcomes(row) for row in section.comparison.rows]
    kinds = sorted({kind for of_row in found for kind in of_row}, key=lambda k: (k != "correct", k))
    colours = dict(zip((k for k in kinds if k != "correct"), itertools.cycle(FAILURE_COLOURS), strict=False))
    colours["correct"] = "var(--good)"
    yield "<h3>Outcomes of the samples</h3>"
    yield '<div class="scroll" tabindex="0" role="region" aria-label="Outcomes of the samples"><table><tbody>'
    for row, of_row in zip(section.comparison.rows, found, strict=True):
        total = sum(of_row.values()) or 1
        bar = "".join(
            f'<span style="width:{100 * n / total:.2f}%;background:{colours[kind]}" title="{text(kind)} {n}"></span>'
            for kind, n in sorted(of_row.items(), key=lambda item: kinds.index(item[0]))
        )
        counts = ", ".join(f"{kind} {n}" for kind, n in of_row.items())
        yield f'<tr><td class="name">{text(row.name)}</td>'
        yield f'<td><div class="bar" role="img" aria-label="{text(counts)}">{bar}</div>'
        yield f'<span class="sub wrap">{text(counts)}</span></td></tr>'
    yield "</tbody></table></div>"
    keys = "".join(f'<span><i style="background:{colours[kind]}"></i>{text(kind)}</span>' for kind in kinds)
    yield f'<div class="keys">{keys}</div>'


def _signatures(section: Section) -> Iterator[str]:
    yield "<details><summary>Signatures, notes and folders</summary>"
    for run in section.runs:
        notes = "".join(f"<br>{text(note)}" for note in run.summary.notes)
        yield f'<p class="signature"><b>{text(run.run_id)}</b> ({text(run.folder)})'
        yield f"<br>{text(run.summary.signature)}{notes}</p>"
    yield "</details>"
