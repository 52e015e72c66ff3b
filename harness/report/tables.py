"""Tables of summaries. A person sees percent with the 95 % interval and the count; files keep 0..1."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COLUMNS = ("run", "metric", "value", "95 % interval", "k / n", "faults")  # the last only where there are any

Summaries = Sequence[Mapping[str, Any]]


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def rows(summaries: Summaries) -> Iterator[tuple[str, ...]]:
    """One row a metric; the run's name stands only on its first row."""
    for summary in summaries:
        name = summary["run_id"]
        for metric, estimate in summary["metrics"].items():
            interval = f"{percent(estimate['low'])} to {percent(estimate['high'])}"
            n, k = estimate["n"], estimate["k"]
            count = f"{n}" if k is None else f"{k:g} / {n}"
            yield name, metric, percent(estimate["value"]), interval, count, str(summary["errors"] or "")
            name = ""
        if not summary["metrics"]:
            yield name, "no metric: every sample ended in a fault", "", "", "", str(summary["errors"])


def verdicts(summary: Mapping[str, Any]) -> str:
    """ "passed 61, failed 80, error 23" for runs of code; empty where all there is is text."""
    counts = {status: n for status, n in summary["status_counts"].items() if status != "scored"}
    return ", ".join(f"{status} {n}" for status, n in sorted(counts.items(), key=lambda item: -item[1]))


def footnotes(summary: Mapping[str, Any]) -> list[str]:
    """What has to stand under the numbers: verdicts, notes, signature."""
    lines = [f"verdicts: {verdicts(summary)}"] if verdicts(summary) else []
    return [*lines, *summary["notes"], summary["signature"]]


def markdown(summaries: Summaries) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|--:|---|--:|--:|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows(summaries)]
    for summary in summaries:
        lines += ["", f"**{summary['run_id']}**", ""]
        lines += [f"- {note.replace('|', '·')}" for note in footnotes(summary)]
    return "\n".join(lines) + "\n"


def csv_text(summaries: Summaries) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run_id", "task", "metric", "value", "low", "high", "n", "k", "errors", "signature"])
    for summary in summaries:
        for metric, e in summary["metrics"].items():
            figures = [e["value"], e["low"], e["high"], e["n"], "" if e["k"] is None else e["k"]]
            head = [summary["run_id"], summary["task"], metric]
            writer.writerow([*head, *figures, summary["errors"], summary["signature"]])
    return out.getvalue()


def json_text(summaries: Summaries) -> str:
    return json.dumps(list(summaries), indent=2, ensure_ascii=False) + "\n"
