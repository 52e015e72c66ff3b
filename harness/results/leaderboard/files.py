"""The leaderboard as CSV, JSON, Markdown and Parquet: a row a model, method and task; the matrix in Markdown."""

import csv
import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.results.leaderboard.matrix import ModelRow
from harness.results.leaderboard.rows import RANK_NOTE, LeaderboardRow
from harness.results.report.tables import escape_markdown, figure

Notes = Mapping[str, Sequence[str]]  # by a section's title


def plain_rows(found: Sequence[LeaderboardRow]) -> list[dict[str, Any]]:
    """Each row as plain values: None where there is none, shares 0..1."""
    return [
        {
            "task": row.task,
            "rank": row.rank or None,
            "rank_to": row.rank_to or None,
            "tied": row.tied,
            "model": row.model,
            "method": row.method,
            "metric": row.metric,
            "value": row.value,
            "low": row.low,
            "high": row.high,
            "n": row.n,
            "seeds": row.seeds or None,
            "prompt_tokens": row.prompt_tokens or None,
            "published": row.published or None,
            "runs": " ".join(path.name for path in row.runs),
            "signature": row.signature,
            "faults": row.faults,
            "group": row.group or None,
            "size": row.card.size if row.card else None,
        }
        for row in found
    ]


def csv_text(found: Sequence[LeaderboardRow]) -> str:
    out = io.StringIO()
    rows = plain_rows(found)
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "tied": int(row["tied"])})
    return out.getvalue()


def json_text(found: Sequence[LeaderboardRow], models: Sequence[ModelRow]) -> str:
    lines = [
        {
            "name": row.name,
            "group": row.group or None,
            "win_rate": row.win_rate,
            "card": row.card.model_dump(mode="json", exclude={"recordings"}) if row.card else None,
            "values": {task: cell.value for task, cell in row.cells.items()},
        }
        for row in models
    ]
    return json.dumps({"models": lines, "rows": plain_rows(found)}, ensure_ascii=False, indent=1) + "\n"


def parquet_there() -> bool:
    """Whether Parquet can be written, which takes pyarrow."""
    return importlib.util.find_spec("pyarrow") is not None


def parquet_bytes(found: Sequence[LeaderboardRow]) -> bytes | None:
    """None where pyarrow is not installed."""
    if not parquet_there():
        return None
    import pyarrow
    from pyarrow import parquet

    out = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(plain_rows(found)), out)
    return bytes(out.getvalue())


def markdown(found: Sequence[LeaderboardRow], models: Sequence[ModelRow], notes: Notes) -> str:
    tasks = list(dict.fromkeys(row.task for row in found))
    lines = []
    if len(tasks) > 1 and models:
        lines += [_line(["model", "win rate", *tasks]), "|---|--:|" + "--:|" * len(tasks)]
        for row in models:
            cells = [row.cells.get(task) for task in tasks]
            shown = [f"{figure(cell.unit, cell.value)}" if cell else "" for cell in cells]
            lines.append(_line([row.name, percent(row.win_rate), *shown]))
        lines.append("")
    for task in tasks:
        of_task = [entry for entry in found if entry.task == task]
        lines += [f"## {escape_markdown(task)}, {escape_markdown(of_task[0].metric)}", ""]
        lines += ["| rank | model | method | value | 95 % interval | n |", "|--:|---|---|--:|---|--:|"]
        for e in of_task:
            method = f"{e.method} (reported: {e.published})" if e.published else e.method
            method += "".join(f" ({said})" for said in e.remarks)
            lines.append(
                _line(
                    [rank_text(e), e.model, method, figure(e.unit, e.value), interval_text(e), str(e.n or "")]
                )
            )
        lines += ["", *(f"- {escape_markdown(line)}" for line in notes.get(task, ())), ""]
    return "\n".join([*lines, RANK_NOTE, ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, cells)) + " |"


def rank_text(entry: LeaderboardRow) -> str:
    """ "3", or "1 to 2" where no test tells the rows apart."""
    if entry.rank == 0:
        return ""
    return f"{entry.rank} to {entry.rank_to}" if entry.tied else str(entry.rank)


def interval_text(entry: LeaderboardRow) -> str:
    if entry.low is None or entry.high is None:
        return ""
    return f"{figure(entry.unit, entry.low)} to {figure(entry.unit, entry.high)}"


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
