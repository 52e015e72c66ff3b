"""What a run that has no summary yet has made so far, counted from its rows as they come.

The counters are those of the summary (runs/summary.py), so that what is shown while a run writes is what it ends with.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import ValidationError

from harness.backends import pricing
from harness.config.backend import BackendConfig
from harness.runs.summary import Completions
from harness.schema import Generation, Judgement, Unanswered
from harness.view.appended import AppendedRows

Row = TypeVar("Row", Generation, Judgement)


@dataclass
class LiveCounts:
    """`judged` is scorer -> verdicts, in the order of judging. `blank`: those of the first scorer without an answer.

    `damaged` is file -> lines that are no rows: a warning here, for the run's own command names them.
    """

    folder: Path
    backend: BackendConfig
    made: int = 0
    judged: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    blank: int = 0
    damaged: Counter[str] = field(default_factory=Counter)
    uncounted: int = 0
    cost: dict[str, float] = field(default_factory=dict)
    completions: Completions = field(default_factory=lambda: Completions(frozenset()))

    def __post_init__(self) -> None:
        self._generations = AppendedRows(self.folder / "generations.jsonl")
        self._judgements = AppendedRows(self.folder / "judgements.jsonl")

    def advance(self) -> bool:
        """Count one more block of each file. Whether all that is on disk has been counted."""
        block = self._generations.read()
        if block.anew:
            self.made, self.uncounted, self.damaged[Generation.__name__] = 0, 0, 0
            self.cost, self.completions = {}, Completions(frozenset())
        rows = self._rows(block.lines, Generation)
        self.made += len(rows)
        spent = pricing.total_cost(self.completions.all(rows), self.backend)
        for name, value in spent.figures.items():
            self.cost[name] = self.cost.get(name, 0.0) + value
        self.uncounted += spent.uncounted
        return self._judge() and block.last

    @property
    def unparsed(self) -> int:
        """Samples that say something in which no answer was found, as far as they are judged."""
        return max(0, self.blank - sum(self.completions.counts[why] for why in get_args(Unanswered)))

    def _judge(self) -> bool:
        block = self._judgements.read()
        if block.anew:
            self.judged, self.faults, self.blank, self.damaged[Judgement.__name__] = Counter(), 0, 0, 0
        for row in self._rows(block.lines, Judgement):
            self.judged[row.scorer] += 1
            self.faults += row.status == "fault"
            if row.scorer == next(iter(self.judged)):
                self.blank += not row.answer.strip()
        return block.last

    def _rows(self, lines: Sequence[tuple[int, bytes]], model: type[Row]) -> list[Row]:
        found = []
        for _, line in lines:
            try:
                found.append(_parse(line, model))
            except ValueError:  # pydantic's is one
                self.damaged[model.__name__] += 1
        return found


def _parse(line: bytes, model: type[Row]) -> Row:
    try:
        return model.model_validate_json(line, strict=False)
    except ValidationError:  # half a surrogate pair, which only Python's json accepts
        return model.model_validate(json.loads(line), strict=False)
