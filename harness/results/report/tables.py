"""Tables of summaries. People see shares in percent, with 95 % interval and count; files keep 0..1."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.schema import Unit

COLUMNS = ("run", "metric", "value", "95 % interval", "k / n", "faults")  # the last only if there are any
MAX_EXCEPTIONS = 8  # exceptions listed under a table; summary.json has all

Summaries = Sequence[Mapping[str, Any]]


def printable(text: str) -> str:
    """Escape control characters: a model's name or a verdict must not move the cursor or break a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def figure(unit: Unit, value: float) -> str:
    """A share in percent with two decimals; any other number with four digits."""
    if unit == "share":
        return f"{100 * value:.2f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """ "a, b and c"; of more than `most` the others by their number."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} others"]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def rows(summaries: Summaries) -> Iterator[tuple[str, ...]]:
    """One row per metric; only a run's first row has its name."""
    for summary in summaries:
        name = summary["run_id"]
        for metric, estimate in summary["metrics"].items():
            unit = estimate.get("unit", "share")
            value, low, high = (figure(unit, estimate[key]) for key in ("value", "low", "high"))
            if estimate.get("with_faults") is not None:
                value += f" ({figure(unit, estimate['with_faults'])})"
            n, k = estimate["n"], estimate["k"]
            count = f"{n}" if k is None else f"{k:g} / {n}"
            yield name, metric, value, f"{low} to {high}", count, str(summary["errors"] or "")
            name = ""
        if not summary["metrics"]:
            yield name, "no metrics: no sample could be judged", "", "", "", str(summary["errors"])


def verdicts(summary: Mapping[str, Any]) -> str:
    """ "passed 61, failed 80, error 23" for executed code; empty for text metrics."""
    counts = {status: n for status, n in summary["status_counts"].items() if status != "scored"}
    return ", ".join(f"{status} {n}" for status, n in sorted(counts.items(), key=lambda item: -item[1]))


def exceptions(summary: Mapping[str, Any]) -> str:
    """ "NameError 12, TypeError 3": the exceptions that ended programs, the most frequent ones."""
    counts = list(summary.get("error_classes", {}).items())
    shown = [f"{name} {n}" for name, n in counts[:MAX_EXCEPTIONS]]
    more = sum(n for _, n in counts[MAX_EXCEPTIONS:])
    return ", ".join([*shown, f"others {more}"] if more else shown)


def footnotes(summary: Mapping[str, Any]) -> list[str]:
    """The lines under a table: verdicts, exceptions, notes, signature."""
    lines = [f"verdicts: {verdicts(summary)}"] if verdicts(summary) else []
    if any(e.get("with_faults") is not None for e in summary["metrics"].values()):
        lines.append("in brackets: the value with samples that could not be judged counted as failed")
    lines += [f"exceptions: {exceptions(summary)}"] if exceptions(summary) else []
    if "price" in (spent := summary["cost"]):
        tokens = (
            f"{spent['prompt_tokens']:,.0f} prompt and {spent['completion_tokens']:,.0f} completion tokens"
        )
        lines += [f"price: {amount(spent['price'])} for {tokens}"]
    return [*lines, *summary["notes"], summary["signature"]]


def amount(value: float) -> str:
    """A cost: whole from 1,000 on, else one decimal, or two digits if it is too small for that."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.1 or not value else f"{value:.2g}"


def markdown(summaries: Summaries) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|--:|---|--:|--:|"]
    lines += ["| " + " | ".join(map(escape_markdown, row)) + " |" for row in rows(summaries)]
    for summary in summaries:
        lines += ["", f"**{escape_markdown(summary['run_id'])}**", ""]
        lines += [f"- {escape_markdown(note.replace('|', '·'))}" for note in footnotes(summary)]
    return "\n".join(lines) + "\n"


def escape_markdown(cell: str) -> str:
    """Escape what Markdown would read as a cell border, emphasis, code, HTML or a link."""
    return re.sub(r"([\\|*`<]|\](?=[(\[]))", r"\\\1", printable(cell))


def csv_text(summaries: Summaries) -> str:
    """One row per metric; a run in which no sample could be judged has one row without a metric."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["run_id", "task", "metric", "value", "low", "high", "n", "k", "with_faults", "errors", "signature"]
    )
    for summary in summaries:
        for metric, e in summary["metrics"].items():
            figures = [e["value"], e["low"], e["high"], e["n"], "" if e["k"] is None else e["k"]]
            figures.append("" if (failed := e.get("with_faults")) is None else failed)
            head = [summary["run_id"], summary["task"], metric]
            writer.writerow([*head, *figures, summary["errors"], summary["signature"]])
        if not summary["metrics"]:
            blank = [""] * 7
            writer.writerow(
                [summary["run_id"], summary["task"], *blank, summary["errors"], summary["signature"]]
            )
    return out.getvalue()


def json_text(summaries: Summaries) -> str:
    return json.dumps(list(summaries), indent=2, ensure_ascii=False) + "\n"
