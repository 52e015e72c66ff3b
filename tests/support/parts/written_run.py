"""A run at work, step by step: the rows of a finished one written again by the store's own code, under its lock."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.runs.store.run_folder import open_run, read_json
from harness.schema import Generation, Judgement
from tests.support.command import rows


class WrittenRun:
    """`generate(n)` and `judge(n)` write the next n rows, `end()` the summary; leaving the block unlocks it."""

    def __init__(self, folder: Path, like: Path) -> None:
        self.like = like
        self._summary = (like / "summary.json").read_bytes()
        self._rows = {name: rows(like / f"{name}.jsonl") for name in ("generations", "judgements")}
        self._done = dict.fromkeys(self._rows, 0)
        self._files = open_run(folder, read_json(like / "run.json"))
        self._files.write_problems(rows(like / "problems.jsonl"))

    def generate(self, n: int, **said: Any) -> None:
        """`said` stands for what the completions had."""
        for row in self._next("generations", n):
            row["completion"] |= said
            self._files.generations.append(Generation.model_validate_json(json.dumps(row)))
        self._files.generations.flush()

    def judge(self, n: int) -> None:
        for row in self._next("judgements", n):
            self._files.judgements.append(Judgement.model_validate_json(json.dumps(row)))
        self._files.judgements.flush()

    def end(self) -> None:
        (self._files.folder / "summary.json").write_bytes(self._summary)

    def _next(self, name: str, n: int) -> list[dict[str, Any]]:
        start = self._done[name]
        self._done[name] += n
        return self._rows[name][start : start + n]

    def __enter__(self) -> "WrittenRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)
