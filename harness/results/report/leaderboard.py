"""A static site over every run below a folder: one sortable, searchable table per task; CSV and Markdown too.

A row's rank is a range: behind the rows that a paired test finds better, before those that it finds worse
(`compare.rank_ranges`). Published rows and those reported by other tools have no interval and no rank.
"""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from harness.results import compare
from harness.results.external import ExternalResult
from harness.results.report import page
from harness.results.report.comparison import contaminated
from harness.results.report.published import PublishedValue, published_values, set_apart
from harness.results.report.sections import Section
from harness.results.report.tables import escape_markdown, figure
from harness.runs.store import reader
from harness.schema import Unit

COLUMNS = (
    "task",
    "rank",
    "rank_to",
    "tied",
    "model",
    "method",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "seeds",
    "prompt_tokens",
    "published",
    "runs",
    "signature",
    "faults",
)


RANK_NOTE = (
    "A rank is a range where no test tells rows apart: 2 to 4 is behind one row that the paired test on the same"
    " problems finds better, and fourth at worst, because it finds all others worse (p at most 0.05,"
    " Holm-corrected over the other rows, as in harness compare with this row first)."
)
TEXT_COLUMNS = {1, 2}  # columns of the table that are not numeric


@dataclass(frozen=True)
class LeaderboardRow:
    """One line of a task's table. For a value that was not measured here `rank` is 0, `low` and `high` are None."""

    task: str
    metric: str
    model: str
    method: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    rank: int = 0
    rank_to: int = 0
    seeds: int = 0
    prompt_tokens: float = 0.0
    published: str = ""
    runs: tuple[Path, ...] = ()
    signature: str = ""
    faults: int = 0
    unit: Unit = "share"
    contaminated: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What takes from the value's worth."""
        said = f"{self.faults} samples could not be judged and count as failed"
        return (*([said] if self.faults else []), *self.contaminated)

    @property
    def tied(self) -> bool:
        return self.rank_to > self.rank


def make_rows(
    sections: Sequence[Section],
    published: Sequence[PublishedValue] = (),
    imported: Sequence[ExternalResult] = (),
) -> list[LeaderboardRow]:
    """Every row of every section, best first; after a task's runs, results of other tools and published values."""
    found: list[LeaderboardRow] = []
    for section in sections:
        found += _run_rows(section)
        reported = [entry for one in imported for entry in external_rows(one, section)]
        sign = 1 if section.lower_is_better else -1
        found += sorted(reported, key=lambda row: sign * row.value)
        same = [row for row in beside(section, published) if row.metric == section.metric]
        found += [_published_row(section, row) for row in sorted(same, key=lambda row: sign * row.value)]
    return found


def beside(section: Section, published: Sequence[PublishedValue]) -> list[PublishedValue]:
    """The published values on the section's own problems."""
    settings = {id(row.setting): row.setting for row in published if row.task == section.task}
    same = {key for key, setting in settings.items() if not setting.difference(section.runs[0])}
    return [row for row in published if id(row.setting) in same]


def published_notes(section: Section, papers: Sequence[str]) -> list[str]:
    """What a reader has to know of the papers' values for the section: those of other metrics, and those set apart."""
    other: dict[str, list[PublishedValue]] = {}
    for row in beside(section, list(published_values(papers))):
        if row.metric != section.metric:
            other.setdefault(row.metric, []).append(row)
    lines = []
    for metric, rows in other.items():
        if "[" not in metric:
            lines.append(f"{len(rows)} values of {metric} are published: --metric {metric} shows them")
        elif metric.startswith(f"{section.metric}["):
            shown = "; ".join(f"{row.name} {figure(section.unit, row.value)}" for row in rows)
            lines.append(f"published, {metric}: {shown}")
    return [*lines, *set_apart(section, papers)]


def external_rows(one: ExternalResult, section: Section) -> list[LeaderboardRow]:
    """What another tool reported for the section's task and metric (`pass@1,create_test` counts as pass@1), if it is
    on as many problems."""
    if one.task != section.task or not section.metric or one.n != len(section.runs[0].samples):
        return []
    return [
        LeaderboardRow(
            task=section.title,
            metric=section.metric,
            model=one.model,
            method="" if one.shots is None else f"{one.shots}-shot",
            value=figure.value,
            n=one.n,
            published=f"{one.label}, {name}, not judged here",
            unit=section.unit,
        )
        for name, figure in one.metrics.items()
        if name.partition(",")[0] == section.metric
    ]


def _run_rows(section: Section) -> Iterator[LeaderboardRow]:
    estimates = [cell.estimate for cell in section.cells]
    ranges = compare.rank_ranges(section.comparison, section.metric) if estimates else []
    for row, e, place in zip(section.rows, estimates, section.order, strict=False):
        best, worst = ranges[place]
        first = row.runs[0]
        cost = first.summary.cost.get("prompt_tokens", 0.0) / max(first.summary.samples, 1)
        yield LeaderboardRow(
            task=section.title,
            metric=section.metric,
            model=reader.model(first.config),
            method=row.method,
            value=e.value,
            low=e.low,
            high=e.high,
            n=e.n,
            rank=best,
            rank_to=worst,
            seeds=len(row.runs),
            prompt_tokens=cost,
            runs=tuple(run.folder for run in row.runs),
            signature=first.summary.signature,
            faults=sum(run.faults for run in row.runs),
            unit=e.unit,
            contaminated=tuple(said for _, said in contaminated([row])),
        )


def _published_row(section: Section, row: PublishedValue) -> LeaderboardRow:
    model, _, method = row.name.partition(", ")
    source = f"arXiv {row.paper}, {row.table}"
    noted = f" ({' '.join(row.notes)})" if row.notes else ""
    return LeaderboardRow(
        section.title, section.metric, model, method, row.value, published=source + noted, unit=section.unit
    )


def rank_text(entry: LeaderboardRow) -> str:
    """ "3", or "1 to 2" where no test tells the rows apart."""
    if entry.rank == 0:
        return ""
    return f"{entry.rank} to {entry.rank_to}" if entry.tied else str(entry.rank)


# ---------------------------------------------------------------- files


def csv_text(found: Sequence[LeaderboardRow]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in found:
        blank = ("" if value is None else value for value in (entry.low, entry.high, entry.n))
        writer.writerow(
            [
                *(entry.task, entry.rank or "", entry.rank_to or "", int(entry.tied)),
                *(entry.model, entry.method, entry.metric),
                *(entry.value, *blank, entry.seeds or "", entry.prompt_tokens or "", entry.published),
                *(" ".join(path.name for path in entry.runs), entry.signature, entry.faults),
            ]
        )
    return out.getvalue()


Notes = Mapping[str, Sequence[str]]  # by a section's title


def markdown(found: Sequence[LeaderboardRow], notes: Notes) -> str:
    lines = []
    for task in dict.fromkeys(entry.task for entry in found):
        of_task = [entry for entry in found if entry.task == task]
        lines += [f"## {escape_markdown(task)}, {escape_markdown(of_task[0].metric)}", ""]
        lines += ["| rank | model | method | value | 95 % interval | n |", "|--:|---|---|--:|---|--:|"]
        for e in of_task:
            method = f"{e.method} (reported: {e.published})" if e.published else e.method
            method += "".join(f" ({said})" for said in e.remarks)
            cells = (rank_text(e), e.model, method, figure(e.unit, e.value), _interval(e), str(e.n or ""))
            lines.append("| " + " | ".join(map(escape_markdown, cells)) + " |")
        lines += ["", *(f"- {escape_markdown(line)}" for line in notes.get(task, ())), ""]
    return "\n".join([*lines, RANK_NOTE, ""])


def _interval(entry: LeaderboardRow) -> str:
    if entry.low is None or entry.high is None:
        return ""
    return f"{figure(entry.unit, entry.low)} to {figure(entry.unit, entry.high)}"


def site(
    sections: Sequence[Section],
    found: Sequence[LeaderboardRow],
    skipped: Sequence[str],
    notes: Notes,
    out: Path,
) -> dict[str, str]:
    """File name -> HTML: index.html over all tasks and a page for each. Links are relative to `out`."""
    pages = {"index.html": _index(sections, found, skipped, notes)}
    for section in sections:
        of_task = [entry for entry in found if entry.task == section.title]
        body = (
            f'<header class="top"><p><a href="index.html">All tasks</a></p><h1>{page.text(section.title)}</h1></header>'
            f"<main>{page.section_html(section)}<h3>Ranks</h3>{_html_table(of_task, out)}"
            f"{_html_notes(section, notes)}</main>"
        )
        pages[f"{page.anchor(section)}.html"] = page.frame(section.title, body, _script())
    return pages


def _html_notes(section: Section, notes: Notes) -> str:
    return "".join(f'<p class="small quiet">{page.text(line)}</p>' for line in notes.get(section.title, ()))


def _index(
    sections: Sequence[Section], found: Sequence[LeaderboardRow], skipped: Sequence[str], notes: Notes
) -> str:
    parts = [
        '<header class="top"><h1>Leaderboard</h1><p class="quiet">'
        + page.text(RANK_NOTE)
        + " Published and imported rows have no rank.</p>"
        "</header><main>",
        *(f'<p class="warning">{page.text(line)}</p>' for line in skipped),
        '<label class="small quiet">Filter by task, model or method <input type="search" id="filter"></label>',
    ]
    for section in sections:
        of_task = [entry for entry in found if entry.task == section.title]
        link = f'<a href="{page.anchor(section)}.html">{page.text(section.title)}</a>'
        parts.append(f"<h2>{link}</h2>{_html_table(of_task, None)}{_html_notes(section, notes)}")
    parts.append(
        '</main><footer><a href="leaderboard.csv">CSV</a> <a href="leaderboard.md">Markdown</a></footer>'
    )
    return page.frame("Leaderboard", "".join(parts), _script())


def _html_table(found: Sequence[LeaderboardRow], out: Path | None) -> str:
    metric = found[0].metric if found else "value"
    names = ("rank", "model", "method", metric, "95 % interval", "n", "seeds", "prompt tokens")
    head = "".join(
        f'<th scope="col"{"" if i in TEXT_COLUMNS else " class=n"}>'
        f'<button type="button" class="sort">{page.text(name)}</button></th>'
        for i, name in enumerate(names)
    )
    rows = "".join(_html_row(entry, out) for entry in found)
    if not found:
        return "<p>No metrics: no sample could be judged.</p>"
    inside = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    label = page.text(f"{found[0].task}: ranks")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="sortable">{inside}</table></div>'
    )


def _html_row(entry: LeaderboardRow, out: Path | None) -> str:
    method = page.text(entry.method)
    if entry.published:
        method += f' <span class="sub wrap">reported: {page.text(entry.published)}</span>'
    method += "".join(f' <span class="sub wrap">{page.text(said)}</span>' for said in entry.remarks)
    for run in entry.runs if out else ():
        if out and (run / "report.html").is_file():
            link = os.path.relpath(run / "report.html", out)
            method += f' <a href="{escape(link)}">report</a>'
    cells = [
        (entry.rank or 10**6, rank_text(entry)),
        (entry.model, page.text(entry.model)),
        (entry.method, method),
        (entry.value, figure(entry.unit, entry.value)),
        (entry.low if entry.low is not None else -1, _interval(entry)),
        (entry.n or 0, str(entry.n or "")),
        (entry.seeds, str(entry.seeds or "")),
        (entry.prompt_tokens, f"{entry.prompt_tokens:.1f}" if entry.prompt_tokens else ""),
    ]
    kind = ' class="reference"' if entry.published else ""
    return (
        f"<tr{kind}>"
        + "".join(
            f'<td{"" if i in TEXT_COLUMNS else " class=n"} data-key="{page.text(key)}">{shown}</td>'
            for i, (key, shown) in enumerate(cells)
        )
        + "</tr>"
    )


def _script() -> str:
    return (page.ASSETS / "leaderboard.js").read_text(encoding="utf-8")
