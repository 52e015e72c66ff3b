"""Verdicts to metrics: values with intervals, notes and the signature, a pure function of the run's records."""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, Protocol

from harness.backends import pricing
from harness.config.run import RunConfig
from harness.runs.resolve import Header
from harness.runs.store.run_folder import RunFolder, read_timings
from harness.schema import Completion, Estimate, Generation, Judgement, Reduce, Summary, Task, unanswered
from harness.schema.sample_index import SampleIndex
from harness.stats import estimates
from harness.stats.one_thread import load_numpy

UNUSUAL = ("length", "tool_calls")  # ends that are counted beside those without an answer
# What is counted of completions, and how a person reads it.
WORDS: Mapping[str, str] = {
    "refused": "refused",
    "filtered": "filtered",
    "skipped": "skipped",
    "empty": "empty",
    "tool_calls": "calling a tool",
    "length": "ended by length",
    "cut_off": "ended inside a thought",
}
MOST_CUT = 0.05  # a greater share of completions that were cut needs a word
CURES: Mapping[str, str] = {
    "length": "sampling.max_tokens may be too small for them",
    "cut_off": "a reasoning model needs sampling.max_reasoning_tokens besides",
}


class Grouped(Protocol):
    """What the numbers need of a problem."""

    @property
    def id(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def cluster(self) -> str: ...


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
    """Metrics with intervals, a pure function of the records. A problem with a fault is in no metric of its scorer,
    one with a sample that could not be made in none.

    The file is in canonical order: of each problem only what its metrics add up stays in memory.
    """
    load_numpy()
    made = files.generations.keys
    counted = Completions(frozenset(files.record.get("exclude", ())))
    cost = pricing.total_cost(counted.all(files.generations.values()), run.config.backend)
    left = {name: n - counted.left_out[name] for name, n in run.counts.items() if made.count(name) == n}
    least = min((n for n in left.values() if n), default=0)
    ks = estimates.k_values(least, [k for k in run.config.k if k <= least])
    sums = {scorer.name: Sums(scorer.metrics(ks)) for scorer in run.task.scorers}
    seen = Seen(counted.excluded)
    for problem_id, rows in groupby(files.judgements.values(), key=lambda row: row.problem_id):
        scored, failed = seen.scores(problem_id, rows)
        for name, (scores, width) in scored.items() if left.get(problem_id) else ():
            add = sums[name].add_failed if name in failed else sums[name].add
            add(problem_id, scores, width)
    metrics = {}
    for one in sums.values():
        metrics.update(one.metrics(run.problems, run.config.seed))
    reused = sum(row.get("samples", 0) for row in read_timings(files.folder) if row["stage"] == "reuse")
    return Summary(
        run_id=files.record["run_id"],
        task=run.task.name,
        signature=run.header.signature,
        problems=sum(made.count(problem.id) > 0 for problem in run.problems),
        samples=len(made),
        metrics=metrics,
        status_counts=dict(sorted(seen.statuses.items())),
        errors=seen.statuses["fault"],
        cost=cost.figures,
        error_classes=estimates.most_common(seen.error_classes),
        completions=dict(sorted(counted.counts.items())),
        missing=sum(run.counts.values()) - len(made),
        notes=(
            *_missing_notes(run, made),
            *run.header.notes,
            *counted.notes(len(made)),
            *_k_notes(min(run.counts.values()), least, run.config.k),
            *seen.notes(),
            *_unit_notes(metrics),
            *_cost_notes(run, cost, reused),
            *seen.first_fault,
        ),
    )


def _missing_notes(run: Judged, made: SampleIndex) -> Iterator[str]:
    """First of all notes: it begins with the word by which a run is known that must not be compared."""
    total = sum(run.counts.values())
    if missing := total - len(made):
        without = sum(made.count(name) < n for name, n in run.counts.items())
        yield (
            f"partial: {missing} of {total} samples could not be made; problems that miss some ({without}) are in no"
            " metric; rerun the same command to make them"
        )


def _k_notes(planned: int, least: int, asked: Sequence[int]) -> Iterator[str]:
    """The k's for which leaving samples out has left too few."""
    if lost := [f"{k}" for k in estimates.k_values(planned, asked) if k > least > 0]:
        yield f"no metric at k = {', '.join(lost)}: a problem has no more than {least} samples left"


def _unit_notes(metrics: Mapping[str, Estimate]) -> Iterator[str]:
    """A line for each metric that is declared a share and is none, so that its percentage means nothing."""
    for name, e in metrics.items():
        if e.unit == "share" and not -1e-9 <= e.value <= 1 + 1e-9:
            yield f"{name} is {e.value:g}, not a share of 0 to 1: its scorer has to say unit='number'"


@dataclass
class Completions:
    """What is counted over all completions: how they ended, and the samples without an answer that are left out."""

    exclude: frozenset[str]
    counts: Counter[str] = field(default_factory=Counter)
    excluded: set[tuple[str, int]] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)  # problem id -> its samples that are
    all_thought: int = 0  # thoughts that ended by themselves, without an answer behind them

    def all(self, rows: Iterable[Generation]) -> Iterator[Completion]:
        """The completions, counted as they pass."""
        for row in rows:
            said = row.completion
            why = unanswered(said.finish, said.text)
            ends = {why, "cut_off" if said.cut_off else None, said.finish if said.finish in UNUSUAL else None}
            self.counts.update(end for end in ends if end is not None)
            counts = {"reasoned": bool(said.reasoning), "after_stop_tokens": said.after_stop_tokens}
            self.counts.update({name: int(n) for name, n in counts.items() if n})
            self.all_thought += why == "empty" and bool(said.reasoning) and not said.cut_off
            if why in self.exclude:
                self.excluded.add((row.problem_id, row.index))
                self.left_out[row.problem_id] += 1
            yield said

    def notes(self, total: int) -> Iterator[str]:
        found = [f"{n} {WORDS[name]}" for name in WORDS if (n := self.counts[name])]
        if found:
            yield f"of {total} completions {', '.join(found)}"
        if self.exclude:
            which = ", ".join(sorted(self.exclude))
            yield f"{len(self.excluded)} samples are left out of the metrics (judge.exclude: {which})"
        if self.all_thought:
            yield (
                f"{self.all_thought} empty answers have a thought that ended by itself: the answer may have been"
                " taken for thought (at a server, by its reasoning parser)"
            )
        for name, cure in CURES.items():
            if (share := self.counts[name] / max(1, total)) > MOST_CUT:
                yield f"{100 * share:.1f} % of the completions {WORDS[name]}: {cure}"


@dataclass
class Seen:
    """What is counted over all judgements, whatever their scorer. The scores of `excluded` samples are left out."""

    excluded: Collection[tuple[str, int]] = ()
    statuses: Counter[str] = field(default_factory=Counter)
    error_classes: Counter[str] = field(default_factory=Counter)
    in_process: int = 0
    first_fault: tuple[str, ...] = ()
    causes: Counter[str] = field(default_factory=Counter)  # of faults, while they are few

    def scores(
        self, problem_id: str, rows: Iterable[Judgement]
    ) -> tuple[dict[str, tuple["array[float]", int]], set[str]]:
        """A problem's scores by scorer, sample by sample, `width` values each; and the scorers with faults, which are
        zeros there."""
        found: dict[str, list[tuple[float, ...]]] = {}
        faulted: set[str] = set()
        for row in rows:
            self.statuses[row.status] += 1
            if raised := estimates.error_class(row.status, row.error):
                self.error_classes[raised] += 1
            if (problem_id, row.index) in self.excluded:
                continue
            values: tuple[float, ...] = ()
            if row.score is None:
                faulted.add(row.scorer)
                if row.error in self.causes or len(self.causes) < 1000:
                    self.causes[row.error] += 1
                self.first_fault = self.first_fault or (f"first fault, of {problem_id}: {row.error}",)
            else:
                self.in_process += row.score.note == "in_process"
                values = (row.score.value, *row.score.stats)
            found.setdefault(row.scorer, []).append(values)
        scores = {}
        for name, samples in found.items():
            width = max(map(len, samples)) or 1
            scores[name] = array("d", chain(*(values or (0.0,) * width for values in samples))), width
        return scores, faulted

    def notes(self) -> Iterator[str]:
        if self.in_process:
            yield (
                f"{self.in_process} samples judged in_process: their tests' values cannot cross to the trusted side"
            )
        for cause, count in self.causes.most_common(3):
            if count > 1:
                yield f"{count} samples not judged: {cause}"


@dataclass
class Sums:
    """What a scorer's metrics need of each problem: a vector each; all scores, where one takes problems together."""

    reduces: Mapping[str, Reduce]
    judged: dict[str, int] = field(default_factory=dict)  # problem id -> row of the vectors
    vectors: dict[str, "array[float]"] = field(
        default_factory=dict
    )  # metric -> the problems' vectors, end to end
    whole: dict[str, Any] = field(default_factory=dict)  # problem id -> [samples, 1 + stats]
    failed: dict[str, dict[str, float]] = field(
        default_factory=dict
    )  # metric -> problem with faults -> value

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

    def add_failed(self, problem_id: str, scores: "array[float]", width: int) -> None:
        """A problem with samples that could not be judged, which are zeros: it is in no metric but beside it."""
        import numpy as np

        of_one = np.frombuffer(scores).reshape(-1, width)
        for name, reduce in self.reduces.items():
            if estimates.can_fail(reduce):
                some = reduce.over is None and bool(of_one.any())
                value = float(reduce.per_problem(of_one)[0]) if some else 0.0
                self.failed.setdefault(name, {})[
                    problem_id if reduce.over is None else reduce.over(problem_id)
                ] = value

    def _with_faults(self, name: str, members: Collection[str], counted: Estimate) -> Estimate:
        """With the value that the faults of the members would leave."""
        lost = [value for unit, value in self.failed.get(name, {}).items() if unit in members]
        if not lost or counted.k is None:
            return counted
        value = (counted.k + sum(lost)) / (counted.n + len(lost))
        return counted.model_copy(update={"with_faults": value})

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
            clusters = estimates.cluster_labels([problem.cluster for problem in members])
            for name, reduce in self.reduces.items():
                if reduce.over is None:
                    vectors = np.frombuffer(self.vectors[name]).reshape(len(self.judged), -1)[rows]
                    e = estimates.estimate_rows(reduce, vectors, clusters=clusters, seed=seed)
                    everyone = {p.id for p in problems if not suffix or f"[{p.group}]" == suffix}
                    found[name + suffix] = self._with_faults(name, everyone, e)
                elif not suffix:  # what is taken together may lie in several groups
                    of = {problem.id: problem.cluster for problem in problems}
                    if counted := estimates.scores_by_unit(reduce, self.whole, of):
                        vectors = estimates.per_problem_vectors(reduce, list(counted.values()))
                        clusters = estimates.cluster_labels([of.get(unit, "") for unit in counted])
                        e = estimates.estimate_rows(reduce, vectors, clusters=clusters, seed=seed)
                        found[name] = self._with_faults(name, of, e)
        return found


def _cost_notes(run: Judged, cost: pricing.RunCost, reused: int) -> Iterator[str]:
    """What a reader of the cost has to know."""
    total = sum(run.counts.values())
    if cost.uncounted and run.config.backend.kind != "replay":
        yield f"the server counted no tokens for {cost.uncounted} of {total} samples: the cost is not known"
    if reused:
        yield f"{reused} of {total} samples were reused from the completion cache (--no-cache regenerates)"
