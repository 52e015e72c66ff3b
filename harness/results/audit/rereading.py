"""The work of an audit: completions read by other extractors, what differs judged, what flips kept.

An answer equal to one that the run judged for the same problem has that verdict; of equal new ones one is judged.
Problem by problem, so that memory does not grow with the samples; of flipped samples the first ones keep their answers.
"""

import difflib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from harness.errors import StoreFault
from harness.results.audit.parse_failures import ParseCounter
from harness.results.audit.record import ReadingFlip, ReadingResult
from harness.runs import judge
from harness.runs.plan import Progress
from harness.runs.store import reader
from harness.runs.store.reader import Result
from harness.schema import Generation, Judgement, Problem, Sandbox, Score, Scorer, unanswered
from harness.scorers import parallel
from harness.stats import estimates
from harness.stats.intervals import Floats
from harness.text.extract import Extractor

DIFF_LINES = 14  # lines of a shown difference


@dataclass(frozen=True)
class AnswerOutcome:
    """What an answer is worth; `values` is its score and statistics, None where judging failed."""

    status: str
    values: tuple[float, ...] | None

    @classmethod
    def of(cls, status: str, score: Score | None) -> "AnswerOutcome":
        return cls(status, None if score is None else (score.value, *score.stats))


@dataclass(frozen=True)
class Reread:
    """A sample whose answer under another extractor differs; `own` is what the run says of it.

    `row` is its place in the scores of its problem, which lack the samples that the run leaves out.
    """

    reading: int
    problem_id: str
    index: int
    row: int
    own: AnswerOutcome
    own_answer: str
    answer: str


@dataclass
class Tally:
    """What one extractor has given so far. `scores` has the problems in which something differs."""

    scores: dict[str, Floats] = field(default_factory=dict)
    differ: int = 0
    judged: int = 0
    faulted: set[str] = field(default_factory=set)
    faults: int = 0
    flips: list[ReadingFlip] = field(default_factory=list)


@dataclass
class Rereading:
    """The work: a run, its problems, the other extractors, and what has become of their answers."""

    run: Result
    scorer: Scorer
    problems: Mapping[str, Problem]
    extractors: Mapping[str, Extractor]
    shown: int
    progress: Progress
    tallies: list[Tally] = field(default_factory=list)
    parsing: ParseCounter = field(default_factory=ParseCounter)
    read: int = 0
    waiting: deque[list[Reread]] = field(default_factory=deque)

    def _answers(self) -> Iterator[tuple[Problem, str]]:
        """The answers that have to be judged, each once; those who gave it wait for the verdict."""
        done, total = 0, sum(self.run.samples.values())
        for problem_id, rows in groupby(self._rows(), key=lambda row: row[0].problem_id):
            problem, pairs = self.problems[problem_id], list(rows)
            known = {row.answer: AnswerOutcome.of(row.status, row.score) for _, row in pairs if row.score}
            for answer, reread in self._differing(problem, pairs).items():
                stored = judge.as_stored(answer)
                if stored in known:
                    self._settle(reread, known[stored], judged=False)
                else:
                    self.waiting.append(reread)
                    yield problem, answer
            done += len(pairs)
            self.progress("audit", done, total)

    def judge(self, sandbox: Sandbox | None, workers: int | None) -> None:
        """Read and judge; afterwards the tallies are complete."""
        self.tallies = [Tally() for _ in self.extractors]
        score = parallel.parallelize(self.scorer, workers)
        for verdict in score(self._answers(), sandbox if self.scorer.executes else None):
            self._settle(self.waiting.popleft(), AnswerOutcome.of(verdict.status, verdict.score), judged=True)

    def _rows(self) -> Iterator[tuple[Generation, Judgement]]:
        """Each sample with the scorer's judgement of it. Both files are in canonical order."""
        judged = (
            row
            for row in reader.rows(self.run.folder / "judgements.jsonl", Judgement)
            if row["scorer"] == self.scorer.name
        )
        for made, row in zip(
            reader.rows(self.run.folder / "generations.jsonl", Generation), judged, strict=True
        ):
            generation = Generation.model_validate_json(json.dumps(made))
            judgement = Judgement.model_validate_json(json.dumps(row))
            if (generation.problem_id, generation.index) != (judgement.problem_id, judgement.index):
                raise StoreFault(f"{self.run.folder}: its files are in different orders: rerun its command")
            yield generation, judgement

    def _differing(
        self, problem: Problem, pairs: Sequence[tuple[Generation, Judgement]]
    ) -> dict[str, list[Reread]]:
        """What the extractors read otherwise in a problem's samples, by answer."""
        found: dict[str, list[Reread]] = {}
        left_out = self.run.record.get("exclude", ())
        counted = [
            p for p in pairs if unanswered(p[0].completion.finish, p[0].completion.text) not in left_out
        ]
        for row, (generation, judgement) in enumerate(counted):
            self.parsing.add(problem, judgement)
            if generation.completion.form != "output":
                continue
            self.read += 1
            for number, extract in enumerate(self.extractors.values()):
                answer = extract(problem, generation.completion)
                if judge.as_stored(answer) != judgement.answer:
                    self.tallies[number].differ += 1
                    own = AnswerOutcome.of(judgement.status, judgement.score)
                    found.setdefault(answer, []).append(
                        Reread(number, problem.id, judgement.index, row, own, judgement.answer, answer)
                    )
        return found

    def _settle(self, reread: Sequence[Reread], outcome: AnswerOutcome, judged: bool) -> None:
        """What an answer is worth, for all samples that other extractors read it in."""
        for number in {one.reading for one in reread}:
            self.tallies[number].judged += judged
        for one in reread:
            tally = self.tallies[one.reading]
            before = self.run.scores[self.scorer.name].get(one.problem_id)
            if outcome.values is None:
                tally.faults += 1
                tally.faulted.add(one.problem_id)
            elif before is not None and one.own.values is not None:  # else the run has no number for it
                scores = tally.scores.setdefault(one.problem_id, before.copy())
                scores[one.row] = outcome.values
                if outcome.values[0] != one.own.values[0]:
                    tally.flips.append(_flip(one, one.own.values[0], outcome, len(tally.flips) < self.shown))

    def results(self, metric: str) -> tuple[ReadingResult, ...]:
        """What each extractor gives for the metric."""
        return tuple(self._result(number, name, metric) for number, name in enumerate(self.extractors))

    def _result(self, number: int, name: str, metric: str) -> ReadingResult:
        tally, reduce = self.tallies[number], self.run.reduces[metric][1]
        own = self.run.scores[self.scorer.name]
        scores = {
            key: tally.scores.get(key, values) for key, values in own.items() if key not in tally.faulted
        }
        reread = replace(self.run, scores={**self.run.scores, self.scorer.name: scores})
        judged = reread.judged(metric)
        names = [name for name in self.run.samples if name in judged]
        return ReadingResult(
            extractor=name,
            differ=tally.differ,
            judged=tally.judged,
            faults=tally.faults,
            estimate=estimates.estimate_rows(
                reduce,
                reread.vectors(metric, names),
                clusters=reread.cluster_labels(names),
                seed=self.run.config.seed,
            )
            if names
            else None,
            flips=tuple(tally.flips),
        )


def _flip(one: Reread, own_value: float, outcome: AnswerOutcome, shown: bool) -> ReadingFlip:
    assert outcome.values is not None
    return ReadingFlip(
        problem_id=one.problem_id,
        index=one.index,
        own_status=one.own.status,
        own_value=own_value,
        status=outcome.status,
        value=outcome.values[0],
        diff=_diff(one.own_answer, one.answer) if shown else "",
    )


def _diff(own: str, other: str) -> str:
    """The lines in which two answers differ."""
    lines = list(difflib.unified_diff(own.splitlines(), other.splitlines(), n=1, lineterm=""))[2:]
    more = [f"... {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    return "\n".join([*lines[:DIFF_LINES], *more])
