"""What a reader asks of an opened run: a page of its samples, those with a text, one in full.

Plain values, ready for JSON. Texts are read from the run's files at the offsets of the index.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any, BinaryIO

from harness.results.report.samples import prompt_text, shot_text, truncate
from harness.view.appended import line_at, parse
from harness.view.index import IndexedRun, RunIndex

PAGE = 100  # samples
SEARCH_S = 0.5  # a search answers with what it has found after so long, and where to go on

LISTED = "at, problem, sample, ended, value"

Plain = dict[str, Any]


def about(index: RunIndex, run: IndexedRun) -> Plain:
    """How much of the run there is to read, and what can be chosen from."""
    return {
        "version": run.version,
        "share": run.share,
        "scorer": run.scorer,
        "ends": index.ends(run),
    }


def page(index: RunIndex, run: IndexedRun, ended: str, start: int, newest: bool) -> Plain:
    """The samples from number `start` on, in the order of the file or from its end; with `ended` those that did so."""
    with index.lock:  # of one version, all of it
        total = index.ends(run).get(ended, 0) if ended else run.count
        # From the end is from the start, backwards.
        first, last = (max(0, total - start - PAGE), total - start) if newest else (start, start + PAGE)
        after, before = (0, 0) if ended else run.mark(first)
        query = f"SELECT {LISTED} FROM samples_{run.number} WHERE at >= ?{' AND ended = ?' if ended else ''}"
        rows = index.select(
            f"{query} ORDER BY at LIMIT ? OFFSET ?",
            [after, *([ended] if ended else []), max(0, last - first), first - before],
        )
        listed = [_listed(row) for row in (reversed(rows) if newest else rows)]
        return {"rows": listed, "start": start, "total": total, **about(index, run)}


def _listed(row: Sequence[Any]) -> Plain:
    return dict(zip(LISTED.split(", "), row, strict=True))


# ---------------------------------------------------------------- search


def search(index: RunIndex, run: IndexedRun, query: str, ended: str, after: int) -> Plain:
    """Samples behind the offset `after` with the text in their id, answer, error or completion, whatever its case.

    `next` is where to go on, None at the end; `searched` how much of the run is done.
    """
    found: list[Plain] = []
    where, values = (" AND ended = ?", [ended]) if ended else ("", [])
    until, at = monotonic() + SEARCH_S, after
    with ExitStack() as stack:
        texts = _Texts(run, query, stack)
        while True:
            rows = index.select(
                f"SELECT {LISTED}, judged FROM samples_{run.number} WHERE at > ?{where} ORDER BY at LIMIT 200",
                [at, *values],
            )
            for *listed, judged in rows:
                at = listed[0]
                if texts.have(at, str(listed[1]), judged):
                    found.append(_listed(listed))
                if len(found) == PAGE or monotonic() > until:
                    searched = at / max(1, run.generations.size)
                    return {"rows": found, "next": at, "searched": searched, **about(index, run)}
            if not rows:
                return {"rows": found, "next": None, "searched": 1.0, **about(index, run)}


class _Texts:
    """Looks a text up in samples' lines."""

    def __init__(self, run: IndexedRun, query: str, stack: ExitStack) -> None:
        self._query = query.lower()
        # Most lines are ruled out as they are; what is not ASCII is escaped in them in one of several ways.
        self._quick = json.dumps(self._query)[1:-1].encode() if query.isascii() else b""
        self._said, self._judged = (
            stack.enter_context(path.open("rb"))
            if path.is_file()
            else None  # not yet, in a run that has just begun
            for path in (run.generations.path, run.judgements.path)
        )

    def have(self, at: int, problem: str, judged: int) -> bool:
        if self._query in problem.lower():
            return True
        places = ((self._said, at), (self._judged, judged))
        return any(self._in_line(file, offset) for file, offset in places if file is not None and offset >= 0)

    def _in_line(self, file: BinaryIO, offset: int) -> bool:
        file.seek(offset)
        line = file.readline()
        if self._quick not in line.lower():
            return False
        row = parse(line)
        said = row.get("completion") or {}
        texts = (said.get("text"), said.get("reasoning"), row.get("answer"), row.get("error"))
        return any(self._query in text.lower() for text in texts if isinstance(text, str))


# ---------------------------------------------------------------- one sample


def whole(index: RunIndex, run: IndexedRun, at: int) -> Plain | None:
    """Everything about the sample whose line begins at that offset; None where none does any more."""
    known = index.select(f"SELECT {LISTED}, judged FROM samples_{run.number} WHERE at = ?", (at,))
    if not known:
        return None
    *listed, judged = known[0]
    _, problem, sample, *_ = listed
    made = parse(line_at(run.generations.path, at))
    if not _is_of(made, problem, sample):
        return None  # the file has been rewritten since
    verdicts = list(_verdicts(run, judged, problem, sample)) if judged >= 0 else []
    said, asked = made["completion"], _problem(index, run, problem)
    text = str(said.get("text", ""))
    answer = str(verdicts[0].get("answer", "")) if verdicts else text
    references = [truncate(str(each)) for each in asked.get("references", ())]
    parts = (
        ("Error", verdicts[0].get("error", "") if verdicts else ""),
        ("Answer", answer or "(empty)"),
        *(("Reference", reference) for reference in references),
        ("Completion", "" if text == answer else text),
        ("Reasoning", said.get("reasoning", "")),
        ("Refused or filtered", said.get("note", "")),
        ("Shots in the prompt", "\n".join(map(shot_text, made.get("shots", ())))),
        ("Prompt", prompt_text(asked.get("prompt", {}))),
    )
    return {
        **_listed(listed),
        "answer": truncate(answer),
        "references": references,
        "parts": [(title, truncate(str(shown))) for title, shown in parts if shown],
        "verdicts": [_verdict_text(verdict) for verdict in verdicts],
        "about": f"{said.get('completion_tokens', 0):,} tokens, ended by {said.get('finish', '')}",
    }


def _verdicts(run: IndexedRun, judged: int, problem: str, sample: int) -> Iterator[Plain]:
    """The verdicts on a sample, which stand together once a run has judged; before that the first scorer's alone."""
    with run.judgements.path.open("rb") as file:
        file.seek(judged)
        for line in file:
            row = parse(line)
            if not _is_of(row, problem, sample):
                return
            yield row


def _verdict_text(verdict: Mapping[str, Any]) -> str:
    score = verdict.get("score") or {}
    value = f" {score['value']:.4g}" if isinstance(score.get("value"), int | float) else ""
    note = f" ({score['note']})" if score.get("note") else ""
    return f"{verdict.get('scorer', '')}: {verdict.get('status', '')}{value}{note}"


def _problem(index: RunIndex, run: IndexedRun, problem: str) -> Plain:
    """The row of problems.jsonl, empty where an older run has none."""
    known = index.select(f"SELECT at FROM problems_{run.number} WHERE problem = ?", (problem,))
    row = parse(line_at(run.problems.path, known[0][0])) if known else {}
    return row if row.get("problem_id") == problem else {}


def _is_of(row: Mapping[str, Any], problem: str, sample: int) -> bool:
    return (row.get("problem_id"), row.get("index")) == (problem, sample)
