"""One self-contained HTML page of finished runs: no network, no framework, no script but its own.

Text from runs is escaped, and samples are packed (`samples.py`). A content security policy with the script's hash is a
second line of defence.
"""

import base64
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness import __version__
from harness.errors import install
from harness.results.compare import ComparisonCell, mean_cost
from harness.results.report import across_tasks, cutoff, plots, published, samples, text_metrics
from harness.results.report.comparison import (
    contaminated,
    difference_interval,
    direction,
    interval,
    minimum_detectable,
    p_of,
    p_value,
    signed,
    significant,
)
from harness.results.report.sections import (
    Section,
    metric_names,
    row_estimate,
    run_names,
    sample_outcomes,
    why_apart,
)
from harness.results.report.tables import amount, figure, listed
from harness.results.report.templates import asset, environment
from harness.results.rows import ComparisonRow
from harness.runs.store.run_folder import audit_note
from harness.schema import Estimate

if TYPE_CHECKING:
    from jinja2 import Environment

CAPTIONS = {
    "methods": "Every method with its 95 % interval",
    "examples": "Against the number of examples in the prompt",
    "cost": "Against the length of the prompt",
    "parameters": "Against the number of trained parameters",
    "memory": "Against the memory used in training",
    "groups": "By group of problems",
    "pass-at-k": "Against k",
    "thinking": "Against the tokens for reasoning and answer",
    "metrics": "Metrics side by side",
}
METRIC_COLUMNS, SEED_COLUMNS = (
    4,
    3,
)  # beside the first metric, with its interval and difference: at 1,280 pixels none is cut
IN_WORDS = {
    "pass@1": "solves {} of the problems at the first try",
    "em@1": "answers {} of the problems as the reference does",
}
NOTHING = Markup()
FEW = 3  # sections, of which the menu has the parts too
FAILURE_COLOURS = tuple(
    f"var(--s{i})" for i in (2, 5, 4, 7, 1, 6, 8)
)  # green is reserved for correct samples


def render(
    sections: Sequence[Section], skipped: Sequence[str] = (), papers: Sequence[str] = (), day: str = ""
) -> str:
    """The page. `skipped` has a line per run that could not be read; `papers` are those whose tables it has, and `day`
    is a model's cut-off date."""
    runs = [run for section in sections for run in section.runs]
    title = "Results: " + ", ".join(dict.fromkeys(section.task for section in sections))
    packed = samples.pack(runs, run_names(sections))
    return fill(
        "page.html",
        **_frame(title, asset("text.js") + asset("page.js")),
        lead=lead(sections),
        runs=len(runs),
        samples=f"{sum(run.summary.samples for run in runs):,}",
        few=len(sections) <= FEW,
        skipped=skipped,
        across=across_tasks.tables(sections),
        sections=[_section(section) for section in sections],
        cutoff=day,
        cutoff_lines=list(cutoff.lines(sections, day)) if day else [],
        papers=[published.shown(paper, sections) for paper in papers],
        version=__version__,
        blobs=((name, Markup(text)) for name, text in packed),  # base64
    )


def frame(title: str, body: Markup, script: Markup, style: Markup = NOTHING, connect: str = "'none'") -> str:
    """A whole page with its style, its script and a policy that allows no other script.

    `style` comes after the report's own; `connect`: whom the script may ask, nobody unless told.
    """
    return fill("frame.html", body=body, **_frame(title, script, style, connect))


def _frame(title: str, script: Markup, style: Markup = NOTHING, connect: str = "'none'") -> dict[str, str]:
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = asset("page.css") + style
    return {"title": title, "script": script, "style": style, "sha": sha, "connect": connect}


def fill(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(values)


@cache
def _templates() -> "Environment":
    functions = (
        amount,
        difference_interval,
        direction,
        figure,
        install,
        interval,
        listed,
        row_estimate,
        p_of,
        p_value,
    )
    more = (signed, significant, whisker)
    return environment(**{function.__name__: function for function in (*functions, *more)})


def anchor(section: Section) -> str:
    return "task-" + "".join(c if c.isalnum() else "-" for c in section.title)


# ---------------------------------------------------------------- in a sentence


def lead(sections: Sequence[Section]) -> str:
    """The result for who knows neither the metric nor the test."""
    judged = [section for section in sections if section.cells]
    if not judged:
        return "No sample could be judged."
    compared = [section for section in judged if len(section.rows) > 1]
    if len(compared or judged) == 1:
        (one,) = compared or judged
        return (f"On {one.title}, " if len(judged) > 1 else "") + _lead_of_one(one)
    if not compared:
        return f"{len(judged)} tasks, one method each."
    best = Counter(listed(section.best) for section in compared).most_common()
    clear = sum(significant(_gap(section)[1]) for section in compared)
    (first, most), *others = best[:3]
    named = f"{first} on {most} of {len(compared)} tasks" + "".join(f", {name} on {n}" for name, n in others)
    leads = f"{clear} of {len(compared)} leads {'is' if clear == 1 else 'are'}"
    return f"Best: {named}{' ...' if best[3:] else ''}; {leads} more than chance explains."


def _lead_of_one(section: Section) -> str:
    best, e = section.rows[0], section.cells[0].estimate
    share = section.unit == "share"
    value = f"{100 * e.value:.3g} %" if share else figure(section.unit, e.value)
    said = f"{best.name} " + IN_WORDS.get(section.metric, f"has {section.metric} of {{}}").format(value)
    if same := section.best[1:]:
        return f"{said}, and so {'does' if len(same) == 1 else 'do'} {listed(same)}."
    if len(section.rows) == 1:
        return f"{said}."
    other, cell = _gap(section)
    assert cell.difference is not None
    gap = abs(cell.difference.value)
    points = f"{100 * gap:.3g} points" if share else f"{gap:.4g}"
    chance = "which is more than chance explains" if significant(cell) else "which may be chance"
    return f"{said}, {points} {'less' if e.lower_is_better else 'more'} than {other.name}, {chance}."


def _gap(section: Section) -> tuple[ComparisonRow, ComparisonCell]:
    """Whom the best method leads, with the tested difference: the reference, or if it is best, the next."""
    if section.cells[0].difference is None:
        return section.rows[1], section.cells[1]
    return section.comparison.rows[0], section.cells[0]


# ---------------------------------------------------------------- a section


def _section(section: Section) -> dict[str, Any]:
    """What a section's template shows."""
    rows = section.comparison.rows
    cells = section.comparison.cells.get(section.metric) or [None] * len(rows)
    others = metric_names(section)[1:]
    shown = (*rows, *section.set_apart)
    costs = [mean_cost(row) for row in shown]
    seeds = any(cell.seeds for cell in section.cells)
    beside = METRIC_COLUMNS - SEED_COLUMNS * seeds
    figures, texts = list(_figures(section)), text_metrics.table(section)
    parts = {
        "plots": "Plots" if figures else "",
        "text": "Text metrics" if texts else "",
        "outcomes": "Outcomes",
    }
    return {
        "section": section,
        "anchor": anchor(section),
        "parts": [(name, label) for name, label in parts.items() if label],
        "pairs": list(zip(rows, cells, strict=True)),
        "apart": [(row, why_apart(section, row)) for row in section.set_apart],
        "seeds": seeds,
        "faults": any(run.summary.errors for run in section.runs),
        "top": max((cell.estimate.high for cell in section.cells), default=1.0) or 1.0,
        "beside": others[:beside],
        "further": others[beside:],
        "notes": _table_notes(section) if section.cells else "",
        "warnings": list(_warnings(section)),
        "costs": list(zip(shown, costs, strict=True)),
        "cost_names": list(dict.fromkeys(name for cost in costs for name, value in cost.items() if value)),
        "plots": plots.available(),
        "figures": figures,
        "text_metrics": texts,
        **_outcomes(shown),
    }


def _warnings(section: Section) -> Iterator[tuple[str, str]]:
    """Who was trained on what is asked, and what audits have to say of the runs' numbers."""
    for row, said in contaminated(section.all_rows):
        yield row.name, said
    for row in section.all_rows:
        for run in row.runs:
            if said := audit_note(run.folder, run.summary.model_dump(mode="json")):
                yield row.name, said


def _figures(section: Section) -> Iterator[tuple[str, Markup]]:
    """Captions and drawings."""
    if plots.available():
        for name, drawn in plots.all_of(section).items():
            of = f" ({section.metric})" if name != "metrics" else ""
            yield CAPTIONS[name] + of, Markup(plots.svg(drawn, f"{anchor(section)}-{name}"))


def whisker(e: Estimate, top: float) -> list[str]:
    """Where an interval begins, ends and has its value, of a hundred."""
    return [f"{max(0.0, min(100.0, 100 * x / top)):.1f}" for x in (e.low, e.high, e.value)]


def _table_notes(section: Section) -> str:
    """Notes on how to read the table."""
    n = len(section.comparison.problems[section.metric])
    words = [f"{section.metric} on {n} problems"]
    tests = sorted({cell.difference.test for cell in section.cells if cell.difference})
    if tests:
        words.append(f"two-sided p ({', '.join(tests)}), Holm-corrected over the rows; coloured if p ≤ 0.05")
    if seen := [cell.detectable for cell in section.cells if cell.detectable]:
        words.append(minimum_detectable(section.unit, max(seen), n))
    if any(cell.seeds for cell in section.cells):
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
    return "; ".join(words) + "."


def _outcomes(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    """How the samples of each method ended, in bars of one order and colour: those that are correct first."""
    found = [(row.name, sample_outcomes(row)) for row in rows]
    kinds = sorted({kind for _, ended in found for kind in ended}, key=lambda k: (k != "correct", k))
    colours = dict(zip((k for k in kinds if k != "correct"), itertools.cycle(FAILURE_COLOURS), strict=False))
    bars = []
    for name, ended in found:
        total = sum(ended.values()) or 1
        bar = [(kind, ended[kind], f"{100 * ended[kind] / total:.2f}") for kind in kinds if kind in ended]
        bars.append((name, bar, ", ".join(f"{kind} {n}" for kind, n in ended.items())))
    return {"outcomes": bars, "colours": {k: colours.get(k, "var(--good)") for k in kinds}}
