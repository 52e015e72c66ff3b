"""What an answer is worth: scores, judgements, scorers, metrics, the summary."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.errors import ConfigError
from harness.schema.base import Status, Value
from harness.schema.execution import Sandbox
from harness.schema.problems import Problem
from harness.schema.samples import Completion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Score(Value):
    """`value` is this sample's own figure; `stats` are the sufficient statistics corpus metrics are computed from."""

    value: float
    stats: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a scorer says of one answer; `score` is None exactly when `status` is `fault`.

    Seconds go to timings only.
    """

    status: Status
    score: Score | None
    error: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0


class Judgement(Value):
    """One line of judgements.jsonl."""

    problem_id: str
    index: int
    scorer: str
    answer: str
    status: Status
    score: Score | None
    error: str = ""


Unit = Literal["share", "number"]


@dataclass(frozen=True)
class Reduce:
    """A corpus metric as a function of a sum over problems, so that one bootstrap serves them all.

    `per_problem` maps one problem's scores, shape [samples, 1 + stats] (value first), to a vector of length m.
    `of_sum` maps the vectors' sums, shape [..., m], to values of shape [...]. Without it the metric is the plain mean
    over problems of the first component, and its count k is that component's sum.
    With `over`, problems for which it names the same problem (the first of a conversation) count as one, each
    sample of it worth the least of theirs, column by column: right where all are right.

    `unit` says how people see the metric: a `share` of 0..1 in percent, a `number` (a count, bits, a ratio) as it is.
    `lower_is_better` decides what is better and worse in comparisons, gates and rankings.
    """

    per_problem: "Callable[[Floats], Floats]"
    of_sum: "Callable[[Floats], Floats] | None" = None
    over: Callable[[str], str] | None = None
    unit: Unit = "share"
    lower_is_better: bool = False


Answer = tuple[Problem, str]
Need = Literal["likelihoods", "training", "classifier"]


def _no_classifier() -> "tuple[Callable[[Sequence[str]], Floats], int]":
    raise ConfigError("this run has no classifier")


@dataclass(frozen=True)
class Supplies:
    """What a run hands to the scorers that `need` it, each made when it is first asked for.

    `likelihoods` are the completions that a LikelihoodBackend made of the problems' solutions, by problem id.
    `training` is the task's train split. `classifier` gives probabilities [texts, classes], and the class in question.
    """

    likelihoods: Callable[[], Mapping[str, Completion]]
    training: Callable[[], Sequence[Problem]]
    classifier: "Callable[[], tuple[Callable[[Sequence[str]], Floats], int]]" = _no_classifier


@dataclass(frozen=True)
class Scorer:
    """`score` takes (problem, answer) pairs lazily and yields one Verdict each, in order.

    `metrics(ks)` names the corpus metrics; ks are the k's that every problem has samples enough for. `executes` says
    whether a sandbox is needed: without, none is started and `score` is handed None. `signature`, where
    there is one, says of which version or variant the numbers are, given the problems that were judged. `raw`:
    it judges the completion's text, not the answer found in it.

    A scorer with `needs` judges more than answers: `prepare` makes, from the run's supplies, the one that judges.
    `together` says that a sample's verdict depends on the problem's earlier samples, so that a run that was cut off
    among them begins the problem anew. `source` says of a scorer that is not built in where it is from (a file's
    digest, a package's version); loading it sets that. `cacheable`: it judges by what programs do in the sandbox, not
    by how long they take, so that an equal program's result serves as well (sandbox/verdict_cache.py). `queries`: it
    has the sandbox run queries and no program.
    """

    name: str
    score: "Callable[[Iterable[Answer], Sandbox | None], Iterator[Verdict]]"
    metrics: Callable[[Sequence[int]], Mapping[str, Reduce]]
    executes: bool = False
    signature: Callable[[Sequence[Problem]], str] | None = None
    needs: tuple[Need, ...] = ()
    prepare: "Callable[[Supplies], Scorer] | None" = None
    together: bool = False
    raw: bool = False
    source: str = ""
    cacheable: bool = False
    queries: bool = False


class Estimate(Value):
    """A metric with its 95 % interval. n problems; k is the sum over problems where the metric is a mean of them.

    `unit` and `lower_is_better` are the metric's own (`Reduce`); files have them only where they are not the default.
    `with_faults` is the value with samples that could not be judged counted as failed, None where there are none: a
    program that brings the judge down is no gain.
    """

    value: float
    low: float
    high: float
    n: int
    k: float | None = None
    unit: Unit = Field(default="share", exclude_if=lambda unit: unit == "share")
    lower_is_better: bool = Field(default=False, exclude_if=lambda lower: not lower)
    with_faults: float | None = Field(default=None, exclude_if=lambda value: value is None)


class Summary(Value):
    """summary.json. `errors` counts samples whose judge failed; they are in no metric.

    `error_classes` counts, over all executed answers, the classes of the exceptions that ended them. `completions`
    counts how samples ended where that is out of the ordinary: refused, filtered, skipped, empty (for no such reason),
    tool_calls, length, cut_off (inside a thought), reasoned, and tokens after a stop string. `missing` counts
    the samples that could not be made; their problems are in no metric.
    `thinking_budget`, of a reasoning model: the first metric, had every sample ended after so many tokens.
    """

    run_id: str
    task: str
    signature: str
    problems: int
    samples: int
    metrics: Mapping[str, Estimate]
    status_counts: Mapping[str, int]
    errors: int
    cost: Mapping[str, float]
    error_classes: Mapping[str, int] = {}
    completions: Mapping[str, int] = Field(default={}, exclude_if=lambda counts: not counts)
    missing: int = Field(default=0, exclude_if=lambda count: count == 0)
    thinking_budget: Mapping[int, Estimate] = Field(default={}, exclude_if=lambda curve: not curve)
    notes: tuple[str, ...] = ()
