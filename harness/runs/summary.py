"""Verdicts to metrics: values with intervals, notes and the signature, a pure function of the run's records."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

from harness.backends import pricing
from harness.config.run import RunConfig
from harness.runs.resolve import Header
from harness.runs.store.run_folder import RunFolder, read_timings
from harness.schema import Estimate, Judgement, Reduce, Summary, Task
from harness.stats import estimates


class Grouped(Protocol):
    """What the numbers need of a problem."""

    @property
    def id(self) -> str: ...
    @property
    def group(self) -> str: ...


class Judged(Protocol):
    """What the numbers need of a run: a ResolvedRun, or what merged shards recorded of one."""

    @property
    def task(self) -> Task: ...
    @property
    def config(self) -> RunConfig: ...
    @property
    def problems(self) -> Sequence[Grouped]: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def header(self) -> Header: ...


def summarise(run: Judged, files: RunFolder) -> Summary:
    """Metrics with intervals, a pure function of the records. A problem with a fault is in no metric of its scorer.

    The file is in canonical order: of each problem only what its metrics add up stays in memory.
    """
    ks = estimates.k_values(min(run.counts.values()), run.config.k)
    sums = {scorer.name: Sums(scorer.metrics(ks)) for scorer in run.task.scorers}
    seen = Seen()
    for problem_id, rows in groupby(files.judgements.values(), key=lambda row: row.problem_id):
        for name, (scores, width) in seen.scores(problem_id, rows).items():
            sums[name].add(problem_id, scores, width)
    metrics = {}
    for one in sums.values():
        metrics.update(one.metrics(run.problems, run.config.seed))
    cost = pricing.total_cost((row.completion for row in files.generations.values()), run.config.backend)
    reused = sum(row.get("samples", 0) for row in read_timings(files.folder) if row["stage"] == "reuse")
    return Summary(
        run_id=files.record["run_id"],
        task=run.task.name,
        signature=run.header.signature,
        problems=len(run.problems),
        samples=sum(run.counts.values()),
        metrics=metrics,
        status_counts=dict(sorted(seen.statuses.items())),
        errors=seen.statuses["fault"],
        cost=cost.figures,
        error_classes=estimates.most_common(seen.error_classes),
        notes=(
            *run.header.notes,
            *seen.notes(),
            *_unit_notes(metrics),
            *_cost_notes(run, cost, reused),
            *seen.first_fault,
        ),
    )


def _unit_notes(metrics: Mapping[str, Estimate]) -> Iterator[str]:
    """A line for each metric that is declared a share and is none, so that its percentage means nothing."""
    for name, e in metrics.items():
        if e.unit == "share" and not -1e-9 <= e.value <= 1 + 1e-9:
            yield f"{name} is {e.value:g}, not a share of 0 to 1: its scorer has to say unit='number'"


@dataclass
class Seen:
    """What is counted over all judgements, whatever their scorer."""

    statuses: Counter[str] = field(default_factory=Counter)
    error_classes: Counter[str] = field(default_factory=Counter)
    in_process: int = 0
    first_fault: tuple[str, ...] = ()

    def scores(self, problem_id: str, rows: Iterable[Judgement]) -> dict[str, tuple["array[float]", int]]:
        """A problem's scores by scorer, sample by sample, `width` values each; none of a scorer with a fault."""
        scores: dict[str, array[float]] = {}
        width: dict[str, int] = {}
        faulted: set[str] = set()
        for row in rows:
            self.statuses[row.status] += 1
            if raised := estimates.error_class(row.status, row.error):
                self.error_classes[raised] += 1
            if row.score is None:
                faulted.add(row.scorer)
                self.first_fault = self.first_fault or (f"first fault, of {problem_id}: {row.error}",)
            else:
                self.in_process += row.score.note == "in_process"
                scores.setdefault(row.scorer, array("d")).extend((row.score.value, *row.score.stats))
                width[row.scorer] = 1 + len(row.score.stats)
        return {name: (scores[name], width[name]) for name in scores.keys() - faulted}

    def notes(self) -> Iterator[str]:
        if self.in_process:
            yield (
                f"{self.in_process} samples judged in_process: their tests' values cannot cross to the trusted side"
            )


@dataclass
class Sums:
    """What a scorer's metrics need of each problem: a vector each; all scores, where one takes problems together."""

    reduces: Mapping[str, Reduce]
    judged: dict[str, int] = field(default_factory=dict)  # problem id -> row of the vectors
    vectors: dict[str, "array[float]"] = field(
        default_factory=dict
    )  # metric -> the problems' vectors, end to end
    whole: dict[str, Any] = field(default_factory=dict)  # problem id -> [samples, 1 + stats]

    def add(self, problem_id: str, scores: "array[float]", width: int) -> None:
        """A problem's scores, sample by sample, `width` values each."""
        import numpy as np

        of_one = np.frombuffer(scores).reshape(-1, width)
        self.judged[problem_id] = len(self.judged)
        for name, reduce in self.reduces.items():
            if reduce.over is None:
                vector = estimates.per_problem_vectors(reduce, [of_one])[0]
                self.vectors.setdefault(name, array("d")).extend(vector)
            else:
                self.whole[problem_id] = of_one

    def metrics(self, problems: Sequence[Grouped], seed: int) -> dict[str, Estimate]:
        """Each metric over all problems and, where they have several groups, over each group."""
        import numpy as np

        if not self.judged:
            return {}
        judged = [problem for problem in problems if problem.id in self.judged]
        groups = sorted({problem.group for problem in judged})
        chosen = {"": judged}
        if len(groups) > 1:
            chosen |= {f"[{group}]": [p for p in judged if p.group == group] for group in groups}
        found = {}
        for suffix, members in chosen.items():
            rows = [self.judged[problem.id] for problem in members]
            for name, reduce in self.reduces.items():
                if reduce.over is None:
                    vectors = np.frombuffer(self.vectors[name]).reshape(len(self.judged), -1)[rows]
                    found[name + suffix] = estimates.estimate_rows(reduce, vectors, seed=seed)
                elif not suffix:  # what is taken together may lie in several groups
                    everyone = (problem.id for problem in problems)
                    if counted := estimates.scores_by_unit(reduce, self.whole, everyone):
                        found[name] = estimates.estimate(reduce, list(counted.values()), seed=seed)
        return found


def _cost_notes(run: Judged, cost: pricing.RunCost, reused: int) -> Iterator[str]:
    """What a reader of the cost has to know."""
    total = sum(run.counts.values())
    if cost.uncounted and run.config.backend.kind != "replay":
        yield f"the server counted no tokens for {cost.uncounted} of {total} samples: the cost is not known"
    if reused:
        yield f"{reused} of {total} samples were reused from the completion cache (--no-cache regenerates)"
