"""Every sample of a report, packed for a page: columns of numbers for the list, texts in chunks opened on demand.

Blobs are gzip in base64, so nothing that a model wrote appears in the page as text. The page's script
(`assets/page.js`) reads them.
"""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from harness.results.report.sections import is_graded, sample_outcome
from harness.runs.store import reader
from harness.runs.store.reader import Result
from harness.schema import Generation, Judgement

CHUNK_CHARS = 2_000_000  # characters of text in one chunk: tens of milliseconds to open
MAX_TEXT_CHARS = 20_000  # characters kept of one text
COLUMNS = ("run", "problem", "sample", "kind", "value")
MAX_KINDS = (
    100  # outcomes told apart: programs choose the names of their exceptions, and each may take a new one
)
OTHER = "other"


def pack(runs: Sequence[Result], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(id, base64) of every blob: `c0`, `c1` ... the texts, then `index`. `names` are the rows' names.

    A row of the index is one sample: run, problem, sample, outcome, value in percent (255 for none). `starts` are the
    first rows of the chunks. Of many outcomes the rare ones are one, called other.
    """
    kinds: dict[str, int] = {}
    problems: dict[tuple[str, str], int] = {}
    columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
    starts = [0]
    chunk: list[list[Any]] = []
    size, number = 0, 0
    for i, run in enumerate(runs):
        rows: dict[str, Mapping[str, Any]] = {row["problem_id"]: row for row in reader.problems(run.folder)}
        for row in _rows(run):
            problem = problems.setdefault((run.summary.task, row["problem_id"]), len(problems))
            columns["run"].append(i)
            columns["problem"].append(problem)
            columns["sample"].append(row["index"])
            columns["kind"].append(kinds.setdefault(row["kind"], len(kinds)))
            columns["value"].append(row["value"])
            texts = _texts(row, rows.get(row["problem_id"], {}))
            chunk.append(texts)
            size += sum(map(len, map(str, texts)))
            if size > CHUNK_CHARS:
                yield f"c{number}", _blob(chunk)
                chunk, size, number = [], 0, number + 1
                starts.append(len(columns["run"]))
    if chunk:
        yield f"c{number}", _blob(chunk)
    else:
        starts.pop()
    names_of_kinds, columns["kind"] = _fold(list(kinds), columns["kind"])
    yield (
        "index",
        _blob(
            {
                "runs": list(names),
                "kinds": names_of_kinds,
                "problems": [name for _, name in problems],
                "groups": _groups(runs, problems),
                "columns": {name: _column(values) for name, values in columns.items()},
                "starts": starts,
                "count": len(columns["run"]),
            }
        ),
    )


def _rows(run: Result) -> Iterator[dict[str, Any]]:
    """One row per sample, in the order of the generations, with the verdict of the run's first scorer."""
    first, graded = next(iter(run.scores), ""), is_graded(run)
    verdicts = {
        (row["problem_id"], row["index"]): row
        for row in reader.rows(run.folder / "judgements.jsonl", Judgement)
        if row["scorer"] == first or not first
    }
    for row in reader.rows(run.folder / "generations.jsonl", Generation):
        verdict = verdicts[row["problem_id"], row["index"]]
        completion = row["completion"]
        value = verdict["score"]["value"] if graded and verdict["score"] is not None else None
        yield {
            **row,
            "text": completion["text"],
            "answer": verdict["answer"],
            "error": verdict.get("error", ""),
            "kind": sample_outcome(verdict, completion, graded),
            "value": 255 if value is None else round(100 * min(max(value, 0.0), 1.0)),
        }


def _texts(row: Mapping[str, Any], problem: Mapping[str, Any]) -> list[Any]:
    """[completion, answer, error, prompt, references, shots, reasoning]; an answer equal to its completion is 0."""
    answer = 0 if row["answer"] == row["text"] else truncate(row["answer"])
    later = row["index"] > 0  # the page reads it from the problem's first sample
    return [
        truncate(row["text"]),
        answer,
        truncate(row["error"]),
        0 if later else truncate(prompt_text(problem.get("prompt", {}))),
        0 if later else [truncate(text) for text in problem.get("references", ())],
        0 if later else "\n".join(map(shot_text, row.get("shots", ()))),
        truncate(row["completion"].get("reasoning", "")),
    ]


def prompt_text(prompt: Mapping[str, Any]) -> str:
    """A prompt of problems.jsonl as a person reads it: of a chat each turn under its role."""
    shown = prompt.get("text") or "\n\n".join(
        f"[{m['role']}]\n{m['content']}" for m in prompt.get("messages", ())
    )
    return f"{shown}\n[suffix]\n{prompt['suffix']}" if "suffix" in prompt else shown


def shot_text(shot: Mapping[str, Any]) -> str:
    similarity = shot.get("similarity")
    return str(shot["id"]) if similarity is None else f"{shot['id']} (similarity {similarity})"


def truncate(text: str) -> str:
    return (
        text
        if len(text) <= MAX_TEXT_CHARS
        else f"{text[:MAX_TEXT_CHARS]}\n... {len(text) - MAX_TEXT_CHARS} more characters"
    )


def _groups(runs: Sequence[Result], problems: Mapping[tuple[str, str], int]) -> list[str]:
    known = {(run.summary.task, name): group for run in runs for name, group in run.groups.items()}
    return [known.get(key, "") for key in problems]


def _fold(kinds: Sequence[str], values: Sequence[int]) -> tuple[list[str], list[int]]:
    """The kinds without the rarest exceptions beyond MAX_KINDS, and the values that name them."""
    if len(kinds) <= MAX_KINDS:
        return list(kinds), list(values)
    count = Counter(values)
    ranked = sorted(count, key=lambda kind: (kinds[kind].startswith("error: "), -count[kind], kind))
    kept = sorted(ranked[: MAX_KINDS - 1])
    place = {kind: i for i, kind in enumerate(kept)}
    return [*(kinds[kind] for kind in kept), OTHER], [place.get(kind, len(kept)) for kind in values]


def _column(values: Sequence[int]) -> str:
    """Little-endian whole numbers in base64, each of 1, 2 or 4 bytes: as few as hold the largest."""
    width = next(width for width in (1, 2, 4) if max(values, default=0) < 256**width)
    return base64.b64encode(np.asarray(values, dtype=f"<u{width}").tobytes()).decode()


def _blob(plain: Any) -> str:
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), 6, mtime=0)).decode()
