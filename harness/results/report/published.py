"""Published numbers next to one's own: the papers' tables as printed, with their known defects as footnotes.

The files are results/reference/<arXiv id>.json. `settings` says of each of a paper's tasks which of ours it is, on
which problems, and how it was asked; or why no run compares with it (`apart`). A run on the same problems stands
beside the paper's rows, any other one apart, with the reason. Published values come without per-problem results, so
nothing is tested against them.
"""

import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError, unknown
from harness.results.report.sections import Section, row_estimate
from harness.runs.store.reader import Result
from harness.tasks.loading import registry

FOLDER = (
    Path(__file__).resolve().parent / "reference"
)  # a link to results/reference; the wheel ships the files
COLUMNS = 6  # at most of a published table in one block: at 1,280 pixels none is cut
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


# Columns (task, metric, unit), own rows (name, remark, values), printed rows (name, (value, notes) a column).
PublishedBlock = tuple[
    list[tuple[str, str, str]], list[tuple[str, str, list[str]]], list[tuple[str, list[tuple[str, str]]]]
]


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


# ---------------------------------------------------------------- for a page


def shown(paper: str, sections: Sequence[Section]) -> dict[str, Any]:
    """What a page says of a paper: every table, topped by this report's rows on the same problems, and why others are
    apart."""
    plain = load(paper)
    return {
        "name": paper,
        "anchor": f"reference-{paper.replace('.', '-')}",
        "title": plain["title"],
        "defects": plain["defects"],
        "apart": [(section.title, line) for section in sections for line in set_apart(section, [paper])],
        "asked": [(name, _how(setting)) for name, setting in settings(plain).items()],
        "tables": [
            (name, list(_blocks(plain, name, sections)))
            for name in dict.fromkeys(row["table"] for row in plain["rows"])
        ],
    }


def _how(setting: PublishedSetting) -> str:
    if setting.apart:
        return setting.apart
    options = "".join(f", {name} {value}" for name, value in setting.options.items())
    count = f" of {setting.problems} problems" if setting.problems else ""
    return f"{setting.task}{options}, {setting.split} split{count}: {setting.protocol}"


def _blocks(plain: Mapping[str, Any], name: str, sections: Sequence[Section]) -> Iterator[PublishedBlock]:
    """A table in blocks of as many columns as a page is wide; a block leaves out the rows that it has nothing of."""
    rows = [row for row in plain["rows"] if row["table"] == name]
    columns = list(dict.fromkeys((row["task"], row["metric"], row["unit"]) for row in rows))
    found = {(_row_name(row), row["task"], row["metric"]): row for row in rows}
    labels, known, keys = dict.fromkeys(map(_row_name, rows)), settings(plain), set(plain["defects"])
    wide = math.ceil(len(columns) / math.ceil(len(columns) / COLUMNS))
    for start in range(0, len(columns), wide):
        here = columns[start : start + wide]
        units = [unit for _, _, unit in here]
        asked = [(known.get(task), metric) for task, metric, _ in here]
        own = [
            (label, said, [_own_value(value, unit) for value, unit in zip(values, units, strict=True)])
            for label, said, values in _report_rows(sections, asked)
        ]
        cells = {label: [found.get((label, task, metric)) for task, metric, _ in here] for label in labels}
        printed = [(label, [_printed(row, keys) for row in of]) for label, of in cells.items() if any(of)]
        yield here, own, printed


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


def _own_value(value: float | None, unit: str) -> str:
    return "" if value is None else f"{100 * value if unit == '%' else value:.2f}"


def _printed(row: Mapping[str, Any] | None, keys: Container[str]) -> tuple[str, str]:
    """A value as printed, and the letters of its notes."""
    if row is None:
        return "", ""
    digits = {"count": ",.0f", "0-1": ".3f"}.get(row["unit"], ".2f")
    value = "not printed" if row["value"] is None else format(row["value"], digits)
    return value, "".join(sorted(note for note in row.get("notes", ()) if note in keys))
