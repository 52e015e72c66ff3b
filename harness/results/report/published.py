"""Published numbers next to one's own: the papers' tables as printed, with their known defects as footnotes.

The files are results/reference/<arXiv id>.json. Published values come without per-problem results, so nothing is tested
against them; a different setting (data, prompt, decoding) is not visible in a number.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from harness.errors import UserError, unknown
from harness.results.report.sections import Section, row_estimate
from harness.results.report.tables import printable

FOLDER = (
    Path(__file__).resolve().parent / "reference"
)  # a link to results/reference; the wheel ships the files
TASKS: Mapping[str, str] = {  # the papers' names -> ours
    "Conala": "conala",
    "CodeAlpacaPy": "codealpaca_py",
    "APPS": "apps",
    "HumanEval": "humaneval",
    "MBPP": "mbpp",
    "WikiSQL": "wikisql",
    "Spider": "spider",
    "CSpider": "cspider",
    "CoSQL": "cosql",
    "BIRD": "bird",
}
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
class PublishedValue:
    """One printed value, 0..1, with our names for its task and metric."""

    paper: str
    table: str
    name: str
    task: str
    metric: str
    value: float
    notes: tuple[str, ...]


def load(paper: str) -> dict[str, Any]:
    """A paper's file. Raises UserError if there is none."""
    names = sorted(path.stem for path in FOLDER.glob("*.json"))
    if paper not in names:
        raise UserError(f"--paper: {unknown('paper', paper, names)}")
    plain: dict[str, Any] = json.loads((FOLDER / f"{paper}.json").read_text(encoding="utf-8"))
    return plain


def our_names(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The task and metric of this project that a printed row is about, or None."""
    name, _, part = (row["task"] or "").removeprefix("text-to-SQL/").partition("/")
    task, metric = TASKS.get(name), METRICS.get(row["metric"])
    if task is None or metric is None:
        return None
    return task, f"{metric}[{part}]" if part else metric


def published_values(papers: Sequence[str]) -> Iterator[PublishedValue]:
    """Every printed value of one of our tasks and metrics, each setting once (tables before figures)."""
    for paper in papers:
        plain = load(paper)
        seen = set()
        for row in sorted(plain["rows"], key=lambda row: not row["table"].startswith("Table")):
            named = our_names(row)
            if named is None or row["value"] is None:
                continue
            key = (_row_name(row), *named)
            if key in seen:
                continue
            seen.add(key)
            scale = 100 if row["unit"] == "%" else 1
            notes = tuple(plain["defects"][note] for note in row.get("notes", ()))
            yield PublishedValue(paper, row["table"], _row_name(row), *named, row["value"] / scale, notes)


def _row_name(row: Mapping[str, Any]) -> str:
    size = "" if not row["size"] or row["size"] == "-" else f" {row['size']}"
    return f"{row['model']}{size}" + (f", {row['method']}" if row["method"] else "")


# ---------------------------------------------------------------- HTML


def html(paper: str, sections: Sequence[Section]) -> str:
    """Every table of the paper, topped by this report's rows where they have values for its columns."""
    plain = load(paper)
    tables = "".join(
        _table(plain, name, sections) for name in dict.fromkeys(row["table"] for row in plain["rows"])
    )
    notes = "".join(
        f'<li id="note-{_id(paper)}-{key}">{text(note)}</li>' for key, note in plain["defects"].items()
    )
    return (
        f'<section id="reference-{_id(paper)}"><h2>Published: {text(plain["title"])} '
        f'<small class="quiet">arXiv {text(paper)}</small></h2>'
        "<p>Values as printed, in the paper's own units. They come without per-problem results, so there"
        " is no interval and no test; different data, prompts or decoding do not show in a number.</p>"
        f'{tables}<h3>Known defects of the source</h3><ol type="a" class="small">{notes}</ol></section>'
    )


def _table(plain: Mapping[str, Any], name: str, sections: Sequence[Section]) -> str:
    rows = [row for row in plain["rows"] if row["table"] == name]
    columns = list(dict.fromkeys((row["task"], row["metric"], row["unit"]) for row in rows))
    found = {(_row_name(row), row["task"], row["metric"]): row for row in rows}
    sample = {(row["task"], row["metric"]): our_names(row) for row in rows}
    head = "".join(
        f'<th scope="col" class="n">{text(task or "")}<span class="sub">{text(metric)}, {text(unit or "")}</span></th>'
        for task, metric, unit in columns
    )
    keys = list(plain["defects"])
    lines = []
    for label, values in _report_rows(sections, [sample[task, metric] for task, metric, _ in columns]):
        cells = "".join(
            f'<td class="n">{_report_value(value, unit)}</td>'
            for value, (_, _, unit) in zip(values, columns, strict=True)
        )
        lines.append(
            f'<tr class="reference"><td class="name">{text(label)}<span class="sub">this report</span></td>{cells}</tr>'
        )
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
    sections: Sequence[Section], columns: Sequence[tuple[str, str] | None]
) -> Iterator[tuple[str, list[float | None]]]:
    for section in sections:
        for row in section.rows:
            values = []
            for column in columns:
                found = row_estimate(row, column[1]) if column and column[0] == section.task else None
                values.append(None if found is None else found.value)
            if any(value is not None for value in values):
                mini = row.runs[0].record["data"]["set"] == "mini"
                where = f"{section.title} (the project's own mini rows)" if mini else section.title
                yield f"{where}: {row.name}", values


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
