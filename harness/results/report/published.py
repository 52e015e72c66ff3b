"""Published numbers next to one's own: the papers' tables as printed, with their known defects as footnotes.

The files are results/reference/<arXiv id>.json. `settings` says of each of a paper's tasks which of ours it is, on
which problems, and how it was asked; or why no run compares with it (`apart`). A run on the same problems stands
beside the paper's rows, any other one apart, with the reason. Published values come without per-problem results, so
nothing is tested against them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from harness.errors import UserError, unknown
from harness.results.report.sections import Section, row_estimate
from harness.results.report.tables import printable
from harness.runs.store.reader import Result
from harness.tasks.loading import registry

FOLDER = (
    Path(__file__).resolve().parent / "reference"
)  # a link to results/reference; the wheel ships the files
METRICS: Mapping[str, str] = {
    "EM@1": "em@1",
    "EM@10": "em@10",
    "CodeBLEU": "codebleu",
    "BLEU": "bleu",
    "Pass@1": "pass@1",
    "Pass@2": "pass@2",
    "Pass@5": "pass@5",
    "pass@1": "pass@1",
    "avg_tests_passed": "avg_tests_passed",
    "logic_accuracy": "logic_accuracy",
}


@dataclass(frozen=True)
class PublishedSetting:
    """A task of ours as a paper has it: its options, split and number of problems, the sampling that its values need.

    `group` is the part of the problems that the values are about. `apart` says why no run of the task compares.
    """

    task: str
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"
    problems: int = 0  # 0: not known
    sampling: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""
    apart: str = ""

    def difference(self, run: Result) -> str:
        """Why the run does not stand beside the values; "" if it does."""
        if self.apart:
            return self.apart
        if run.record["data"]["set"] == "mini":
            return f"the project's own mini rows, not the benchmark's {self.problems or self.split}"
        defaults = registry.options(run.config.task) if self.options else {}
        for name, wanted in self.options.items():
            own = run.config.options.get(name, next(iter(defaults.get(name, [])), ""))
            if str(own).lower() != str(wanted).lower():
                return f"{name} is {own}, the paper's {wanted}"
        if run.config.split != self.split:
            return f"the split is {run.config.split}, the paper's {self.split}"
        if self.problems not in (0, len(run.samples)):
            return f"{len(run.samples)} problems, the paper's {self.problems}"
        return ""

    def decoded_otherwise(self, run: Result) -> str:
        """In what the run's sampling is not the paper's; "" if in nothing."""
        own = run.record["sampling"]
        other = [f"{k} {own[k]:g} for {v:g}" for k, v in self.sampling.items() if own.get(k, v) != v]
        return ", ".join(other)


@dataclass(frozen=True)
class PublishedValue:
    """One printed value, 0..1, with our names for its task and metric."""

    paper: str
    table: str
    name: str
    setting: PublishedSetting
    metric: str
    value: float
    notes: tuple[str, ...]

    @property
    def task(self) -> str:
        return self.setting.task


def load(paper: str) -> dict[str, Any]:
    """A paper's file. Raises UserError if there is none."""
    names = papers()
    if paper not in names:
        raise UserError(f"--paper: {unknown('paper', paper, names)}")
    plain: dict[str, Any] = json.loads((FOLDER / f"{paper}.json").read_text(encoding="utf-8"))
    return plain


def papers() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def settings(plain: Mapping[str, Any]) -> dict[str, PublishedSetting]:
    """The settings of a paper's file, by its own names of tasks."""
    return {name: PublishedSetting(**fields) for name, fields in plain["settings"].items()}


def metric_name(metric: str, setting: PublishedSetting) -> str:
    """Our name for a paper's metric; its own where we have none, which no run has."""
    return METRICS.get(metric, metric) + (f"[{setting.group}]" if setting.group else "")


def published_values(papers: Sequence[str]) -> Iterator[PublishedValue]:
    """Every printed value of one of our tasks and metrics, each setting once (tables before figures)."""
    for paper in papers:
        plain = load(paper)
        known, seen = settings(plain), set()
        for row in sorted(plain["rows"], key=lambda row: not row["table"].startswith("Table")):
            setting = known.get(row["task"])
            if setting is None or setting.apart or row["metric"] not in METRICS or row["value"] is None:
                continue
            metric = metric_name(row["metric"], setting)
            key = (_row_name(row), row["task"], metric)
            if key in seen:
                continue
            seen.add(key)
            scale = 100 if row["unit"] == "%" else 1
            notes = tuple(plain["defects"][note] for note in row.get("notes", ()))
            value = row["value"] / scale
            yield PublishedValue(paper, row["table"], _row_name(row), setting, metric, value, notes)


def set_apart(section: Section, papers: Sequence[str]) -> list[str]:
    """A line for each reason for which values of the section's task do not stand beside its runs, or that there are
    none."""
    about = {paper: [s for s in settings(load(paper)).values() if s.task == section.task] for paper in papers}
    lines = [
        f"arXiv {paper}, set apart: {why}"
        for paper, found in about.items()
        for why in dict.fromkeys(s.difference(section.runs[0]) for s in found)
        if why and not _other_part(why, found, section.runs[0])
    ]
    if papers and not any(about.values()):
        lines.append(f"nothing is published for {section.task} in {', '.join(f'arXiv {p}' for p in papers)}")
    return lines


def _other_part(why: str, found: Sequence[PublishedSetting], run: Result) -> bool:
    """Whether the reason is only that a run has one language and not the others, of which it has its own."""
    return any(not s.difference(run) for s in found) and not any(s.apart == why for s in found)


def _row_name(row: Mapping[str, Any]) -> str:
    size = "" if not row["size"] or row["size"] == "-" else f" {row['size']}"
    return f"{row['model']}{size}" + (f", {row['method']}" if row["method"] else "")


# ---------------------------------------------------------------- HTML


def html(paper: str, sections: Sequence[Section]) -> str:
    """Every table of the paper, topped by this report's rows on the same problems; the others' reasons above."""
    plain = load(paper)
    tables = "".join(
        _table(plain, name, sections) for name in dict.fromkeys(row["table"] for row in plain["rows"])
    )
    notes = "".join(
        f'<li id="note-{_id(paper)}-{key}">{text(note)}</li>' for key, note in plain["defects"].items()
    )
    apart = "".join(
        f'<p class="small"><b>{text(section.title)}</b>: {text(line)}</p>'
        for section in sections
        for line in set_apart(section, [paper])
    )
    asked = "".join(
        f"<li>{text(name)}: {text(_how(setting))}</li>" for name, setting in settings(plain).items()
    )
    return (
        f'<section id="reference-{_id(paper)}"><h2>Published: {text(plain["title"])} '
        f'<small class="quiet">arXiv {text(paper)}</small></h2>'
        "<p>Values as printed, in the paper's own units. They come without per-problem results, so there"
        f" is no interval and no test. Runs on the paper's own problems stand above its rows.</p>{apart}"
        f'<details><summary>How the paper asked</summary><ul class="small">{asked}</ul></details>'
        f'{tables}<h3>Known defects of the source</h3><ol type="a" class="small">{notes}</ol></section>'
    )


def _how(setting: PublishedSetting) -> str:
    if setting.apart:
        return setting.apart
    options = "".join(f", {name} {value}" for name, value in setting.options.items())
    count = f" of {setting.problems} problems" if setting.problems else ""
    return f"{setting.task}{options}, {setting.split} split{count}: {setting.protocol}"


def _table(plain: Mapping[str, Any], name: str, sections: Sequence[Section]) -> str:
    rows = [row for row in plain["rows"] if row["table"] == name]
    columns = list(dict.fromkeys((row["task"], row["metric"], row["unit"]) for row in rows))
    found = {(_row_name(row), row["task"], row["metric"]): row for row in rows}
    head = "".join(
        f'<th scope="col" class="n">{text(task or "")}<span class="sub">{text(metric)}, {text(unit or "")}</span></th>'
        for task, metric, unit in columns
    )
    keys = list(plain["defects"])
    known = settings(plain)
    lines = []
    asked = [(known.get(task), metric) for task, metric, _ in columns]
    for label, sub, values in _report_rows(sections, asked):
        cells = "".join(
            f'<td class="n">{_report_value(value, unit)}</td>'
            for value, (_, _, unit) in zip(values, columns, strict=True)
        )
        below = f'<span class="sub wrap">this report{text(sub)}</span>'
        lines.append(f'<tr class="reference"><td class="name">{text(label)}{below}</td>{cells}</tr>')
    for label in dict.fromkeys(_row_name(row) for row in rows):
        cells = "".join(
            f'<td class="n">{_published_value(found.get((label, task, metric)), keys)}</td>'
            for task, metric, _ in columns
        )
        lines.append(f'<tr><td class="name">{text(label)}</td>{cells}</tr>')
    return (
        f"<details{' open' if name.startswith('Table') else ''}><summary>{text(name)}</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(name)}"><table><thead><tr>'
        f'<th scope="col">model, method</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div></details>'
    )


def _report_rows(
    sections: Sequence[Section], columns: Sequence[tuple[PublishedSetting | None, str]]
) -> Iterator[tuple[str, str, list[float | None]]]:
    """Name, remark and values of each row that was asked the columns' problems and has one of their metrics."""
    for section in sections:
        run = section.runs[0]
        fits = [s is not None and s.task == section.task and not s.difference(run) for s, _ in columns]
        for row in section.rows:
            values: list[float | None] = []
            for fit, (setting, metric) in zip(fits, columns, strict=True):
                e = row_estimate(row, metric_name(metric, setting)) if fit and setting else None
                values.append(None if e is None else e.value)
            if any(value is not None for value in values):
                others = (
                    s.decoded_otherwise(run) for fit, (s, _) in zip(fits, columns, strict=True) if fit and s
                )
                other = next(filter(None, others), "")
                yield f"{section.title}: {row.name}", f", decoded otherwise: {other}" if other else "", values


def _report_value(value: float | None, unit: str) -> str:
    return "" if value is None else f"{100 * value if unit == '%' else value:.2f}"


def _published_value(row: Mapping[str, Any] | None, keys: Sequence[str]) -> str:
    if row is None:
        return ""
    value, unit = row["value"], row["unit"]
    shown = "not printed" if value is None else f"{value:,.0f}" if unit == "count" else f"{value:.2f}"
    if unit == "0-1" and value is not None:
        shown = f"{value:.3f}"
    notes = "".join(sorted(note for note in row.get("notes", ()) if note in keys))
    return shown + (f"<sup>{escape(notes)}</sup>" if notes else "")


def _id(paper: str) -> str:
    return paper.replace(".", "-")


def text(value: object) -> str:
    return escape(printable(str(value)))
