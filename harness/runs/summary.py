"""Verdicts to metrics: values with intervals, notes and the signature, a pure function of the run's records."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

from harness.backends import pricing
from harness.config.identity import digest
from harness.config.run import RunConfig
from harness.runs.plan import Plan
from harness.runs.store import folder
from harness.schema import Estimate, Reduce, Summary, Task
from harness.stats import estimates
from harness.tasks.loading import data_files


class Member(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def group(self) -> str: ...


class Asked(Protocol):
    """What the numbers need of a plan."""

    @property
    def task(self) -> Task: ...
    @property
    def config(self) -> RunConfig: ...
    @property
    def problems(self) -> Sequence[Member]: ...


@dataclass(frozen=True)
class Heading:
    """What stands beside the numbers, settled before the first token."""

    signature: str
    notes: tuple[str, ...]


def heading(plan: Plan, counts: Mapping[str, int], record: Mapping[str, Any]) -> Heading:
    return Heading(signature(plan, record), _notes(plan, counts))


def summarise(plan: Asked, counts: Mapping[str, int], files: folder.Run, heading: Heading) -> Summary:
    """Metrics with intervals, a pure function of the records. A problem with a fault is in no metric of its scorer.

    The file is in canonical order: of each problem only what its metrics add up stays in memory.
    """
    ks = estimates.ks(min(counts.values()), plan.config.k)
    sums = {scorer.name: Sums(scorer.metrics(ks)) for scorer in plan.task.scorers}
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    beside = 0
    fault: tuple[str, ...] = ()
    for problem_id, rows in groupby(files.judgements.values(), key=lambda row: row.problem_id):
        scores: dict[str, array[float]] = {}
        width: dict[str, int] = {}
        spoilt: set[str] = set()
        for row in rows:
            statuses[row.status] += 1
            if raised := estimates.error_class(row.status, row.error):
                classes[raised] += 1
            if row.score is None:
                spoilt.add(row.scorer)
                fault = fault or (f"first fault, of {problem_id}: {row.error}",)
            else:
                beside += row.score.note == "in_process"
                scores.setdefault(row.scorer, array("d")).extend((row.score.value, *row.score.stats))
                width[row.scorer] = 1 + len(row.score.stats)
        for name in scores.keys() - spoilt:
            sums[name].add(problem_id, scores[name], width[name])
    metrics = {}
    for one in sums.values():
        metrics.update(one.metrics(plan.problems, plan.config.seed))
    cost = pricing.cost((row.completion for row in files.generations.values()), plan.config.backend)
    reused = sum(row.get("samples", 0) for row in folder.timings(files.folder) if row["stage"] == "reuse")
    return Summary(
        run_id=files.record["run_id"],
        task=plan.task.name,
        signature=heading.signature,
        problems=len(plan.problems),
        samples=sum(counts.values()),
        metrics=metrics,
        status_counts=dict(sorted(statuses.items())),
        errors=statuses["fault"],
        cost=cost.figures,
        error_classes=estimates.most_common(classes),
        notes=(*heading.notes, *_seen(beside), *_spent(plan, counts, cost, reused), *fault),
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

    def metrics(self, problems: Sequence[Member], seed: int) -> dict[str, Estimate]:
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
                    if counted := estimates.units(reduce, self.whole, everyone):
                        found[name] = estimates.estimate(reduce, list(counted.values()), seed=seed)
        return found


def _seen(beside: int) -> tuple[str, ...]:
    if not beside:
        return ()
    return (f"{beside} samples judged in_process: their tests' values cannot cross to the trusted side",)


def _notes(plan: Plan, counts: Mapping[str, int]) -> tuple[str, ...]:
    """What a reader of the numbers has to know and cannot see from them."""
    notes = []
    asked = len(plan.prompts)
    if len(plan.problems) < asked:
        notes.append(f"partial: {len(plan.problems)} of {asked} problems have completions")
    if plan.config.limit is not None:
        notes.append(f"limited to the first {asked} problems")
    if plan.config.only:
        notes.append(f"only {asked} chosen problems")
    for why, left_out in sorted(Counter(plan.left_out.values()).items()):
        notes.append(f"{left_out} problems left out: {why}")
    if plan.passed_over:
        notes.append(
            f"{plan.passed_over} recorded samples passed over: their problems are not asked or left out"
        )
    if len(set(counts.values())) > 1:
        notes.append(f"{min(counts.values())} to {max(counts.values())} samples a problem")
    notes += plan.selection.notes
    if plan.config.data == data_files.MINI:
        notes.append("the project's own mini rows, not the benchmark")
    return tuple(notes)


def _spent(plan: Asked, counts: Mapping[str, int], cost: pricing.Cost, reused: int) -> Iterator[str]:
    """What a reader of the cost has to know."""
    total = sum(counts.values())
    if cost.uncounted and plan.config.backend.kind != "replay":
        yield f"the server counted no tokens for {cost.uncounted} of {total} samples: the cost is not known"
    if reused:
        yield f"{reused} of {total} samples were reused from the answer store (--no-cache makes all anew)"


def signature(plan: Plan, record: Mapping[str, Any]) -> str:
    """One line that says what a number means: two runs with equal signatures may be compared."""
    sampling, judge, backend = plan.sampling, record["judge"], record["backend"]
    how = f"beams {sampling.beams}" if sampling.beams > 1 else "greedy"
    if sampling.temperature > 0:
        how = f"T {sampling.temperature:g} top-p {sampling.top_p:g} top-k {sampling.top_k}"
    for name, word in (("count_penalty", "count"), ("repetition_penalty", "repetition")):
        if (r := getattr(sampling, name)) != 1:
            how += f" {word} {r:g}"
    if sampling.banned_tokens:
        how += f" banned {digest(list(sampling.banned_tokens))[:8]}"
    if backend["kind"] == "replay":
        how = "recorded"
    parts = [
        f"{plan.task.name} v{plan.task.version}",
        f"{plan.config.split} {len(plan.problems)}x{sampling.samples}",
        f"data {digest(plan.data)[:8]}",
        f"prompt {plan.template.name}:{record['prompt']['hash'][:8]}",
        f"shots {plan.selection.label}",
        f"extract {plan.task.extract.__name__}",
        f"{how} max {sampling.max_tokens} seed {sampling.seed}",
        _judged(judge),
        *([backend["dtype"], backend["engine"]] if "dtype" in backend else [backend["kind"]]),
        *(scorer.signature(plan.problems) for scorer in plan.task.scorers if scorer.signature),
    ]
    return " | ".join(parts)


def _judged(judge: Mapping[str, Any] | None) -> str:
    """The sandbox, and the limits where they are not the task's own: a tighter one fails more programs."""
    if judge is None:
        return "judge text"
    limits = (
        ("cpu", judge["time_limit"], "s"),
        ("cpu", judge.get("time_factor"), "times the reference"),
        ("memory", judge["memory_mb"], "MB"),
    )
    own = [f"{name} {value:g} {unit}" for name, value, unit in limits if value is not None]
    where = [judge["interpreter"]] if "interpreter" in judge else []
    return " ".join(["judge", judge["sandbox"], *own, *where])
