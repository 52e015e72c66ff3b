"""Compare several runs of one task, problem by problem: differences to the first, intervals, corrected p-values.

Runs that differ only in the seed are one row: each problem's vector is the mean over its seeds. Runs that must not be
compared are refused, naming the fields in which they differ. A pure function of stored records.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.errors import ConfigError, NotComparable, unknown
from harness.results.rows import ComparisonRow, group_seeds
from harness.runs.store import reader
from harness.runs.store.conditions import condition_differences
from harness.runs.store.reader import Result
from harness.schema import Estimate, Judgement, Reduce
from harness.stats import estimates, paired_tests, seeds
from harness.stats.intervals import Floats
from harness.stats.power import minimum_detectable_difference
from harness.stats.resampling import metric_value, pseudo_values
from harness.stats.seeds import SeedVariance

HEADLINES = 6  # metrics that a table shows unless more are asked for


@dataclass(frozen=True)
class ComparisonCell:
    """One metric of one row. `difference` is to the reference row (None there); `p_holm` is corrected over the rows."""

    estimate: Estimate
    difference: paired_tests.Difference | None = None
    p_holm: float | None = None
    detectable: float | None = None
    seeds: SeedVariance | None = None


@dataclass(frozen=True)
class Comparison:
    """`rows[0]` is the reference. `cells` is metric -> one cell per row. `skipped` counts problems with faults.
    `clusters` is how many clusters were the units of intervals and tests, 0 where problems were. `faults`
    counts samples that could not be judged and count as failed where a metric can have it; elsewhere their problems are
    skipped."""

    task: str
    rows: tuple[ComparisonRow, ...]
    problems: Mapping[str, tuple[str, ...]]
    cells: Mapping[str, tuple[ComparisonCell, ...]]
    skipped: int
    clusters: int = 0
    faults: int = 0


def compare(
    runs: Sequence[Result], metrics: Sequence[str] = (), *, clustered: bool | None = None, seed: int = 0
) -> Comparison:
    """Compare every run with the first, on `metrics` (default: all that the runs share).

    Problems of one cluster are sampled as one where the task declares clusters; `clustered` says so anyhow, and takes
    the groups where there are no clusters, or says that problems are sampled one by one. Raises NotComparable, and
    ConfigError for a metric that the runs do not have.
    """
    check_comparable(runs)
    if len(group_seeds(runs)) < 2:
        raise ConfigError("nothing to compare: give runs of at least two methods or models")
    for run in runs:
        if not run.reduces:
            raise ConfigError(
                f"{run.run_id} has no metrics, for no sample of it could be judged: leave it out"
            )
    return tabulate(runs, metrics, clustered=clustered, seed=seed)


def tabulate(
    runs: Sequence[Result], metrics: Sequence[str] = (), *, clustered: bool | None = None, seed: int = 0
) -> Comparison:
    """The same for runs known to be comparable. A single row has estimates and no differences."""
    rows = group_seeds(runs)
    shared = [name for name in rows[0].runs[0].reduces if all(name in run.reduces for run in runs)]
    for name in metrics:
        if name not in shared:
            raise ConfigError(unknown("metric", name, shared))
    wanted = list(metrics) or shared
    problems, found = {}, {}
    for metric in wanted:
        judged = set.intersection(*(run.judged(metric) for run in runs))
        problems[metric] = tuple(sorted(judged))
        if judged:
            found[metric] = _metric_cells(rows, metric, problems[metric], clustered, seed)
    skipped = max((len(runs[0].samples) - len(names) for names in problems.values()), default=0)
    first = next(iter(problems.values()), ())
    clusters = len(set(_clusters(runs[0], first, clustered) or ()))
    return Comparison(
        rows[0].runs[0].summary.task,
        rows,
        problems,
        found,
        skipped,
        clusters,
        sum(run.faults for run in runs),
    )


def _clusters(run: Result, problems: Sequence[str], clustered: bool | None) -> list[str] | None:
    if clustered is False:
        return None
    declared = run.cluster_labels(problems)
    if declared is None and clustered:
        return [run.groups.get(name, "") or name for name in problems]
    return declared


def check_comparable(runs: Sequence[Result]) -> None:
    """Raise NotComparable, listing what differs between the first run and the others."""
    for run in runs[1:]:
        if lines := condition_differences(runs[0], run):
            raise NotComparable(
                f"{runs[0].run_id} and {run.run_id} cannot be compared: {'; '.join(dict.fromkeys(lines))}"
            )


def headline_metrics(runs: Sequence[Result]) -> list[str]:
    """A few metrics that all runs share: no parts (codebleu.ngram), groups or variants (em_ws@1 beside em@1)."""
    stems: list[str] = []
    found = []
    for name in runs[0].reduces:
        stem = name.partition("@")[0]
        if "." in name or "[" in name or any(stem.startswith(f"{other}_") for other in stems):
            continue
        stems.append(stem)
        if all(name in run.reduces for run in runs):
            found.append(name)
    return found[:HEADLINES]


@dataclass(frozen=True)
class RowVectors:
    """One metric of every row on the same problems, and how it was sampled: what differences are computed from."""

    reduce: Reduce
    vectors: Sequence[Floats]
    single: bool
    clusters: Sequence[str] | None
    over_seeds: Sequence[SeedVariance | None]

    def design(self, i: int, j: int) -> paired_tests.Design:
        """How the rows i and j were sampled."""
        return _design(self.single, self.clusters, self.over_seeds[i], self.over_seeds[j])


def _row_vectors(
    rows: Sequence[ComparisonRow], metric: str, problems: Sequence[str], clustered: bool | None
) -> RowVectors:
    first = rows[0].runs[0]
    return RowVectors(
        reduce=first.reduces[metric][1],
        vectors=[_mean_vectors(row, metric, problems) for row in rows],
        single=all(
            len(row.runs) == 1 and set(run.samples.values()) == {1} for row in rows for run in row.runs
        ),
        clusters=_clusters(first, problems, clustered),
        over_seeds=[_over_seeds(row, metric, problems) for row in rows],
    )


def _metric_cells(
    rows: Sequence[ComparisonRow], metric: str, problems: Sequence[str], clustered: bool | None, seed: int
) -> tuple[ComparisonCell, ...]:
    found = _row_vectors(rows, metric, problems, clustered)
    return compare_vectors(
        found.reduce,
        found.vectors,
        single=found.single,
        clusters=found.clusters,
        over_seeds=found.over_seeds,
        seed=seed,
    )


def rank_ranges(comparison: Comparison, metric: str) -> list[tuple[int, int]]:
    """The ranks that each row may have: behind all that are significantly better, before all that are worse.

    A row's p-values are those of a comparison with that row as the reference, Holm-corrected over the others, so that
    no range contradicts `compare`.
    """
    rows = comparison.rows
    found = _row_vectors(rows, metric, comparison.problems[metric], bool(comparison.clusters))
    values = [cell.estimate.value for cell in comparison.cells[metric]]
    p = paired_tests.pairwise_p(found.reduce, found.vectors, found.design)
    ranges = []
    for i, value in enumerate(values):
        others = [j for j in range(len(rows)) if j != i]
        corrected = paired_tests.holm([p[i, j] for j in others])
        apart = [values[j] for j, each in zip(others, corrected, strict=True) if each <= paired_tests.ALPHA]
        above = sum(other < value if found.reduce.lower_is_better else other > value for other in apart)
        ranges.append((1 + above, len(rows) - (len(apart) - above)))
    return ranges


def compare_vectors(
    reduce: Reduce,
    vectors: Sequence[Floats],
    *,
    single: bool,
    clusters: Sequence[str] | None = None,
    over_seeds: Sequence[SeedVariance | None] = (),
    seed: int = 0,
) -> tuple[ComparisonCell, ...]:
    """One cell per row, from each row's vectors [problems, m] over the same problems; the first is the reference."""
    of_seeds = list(over_seeds) or [None] * len(vectors)
    differences = [
        paired_tests.paired_difference(
            reduce, vectors[0], each, _design(single, clusters, of_seeds[0], of_row), seed=seed
        )
        for each, of_row in zip(vectors[1:], of_seeds[1:], strict=True)
    ]
    corrected = paired_tests.holm([difference.p for difference in differences])
    found = []
    for i, (of_row, of_seed) in enumerate(zip(vectors, of_seeds, strict=True)):
        estimate = estimates.estimate_rows(reduce, of_row, clusters=clusters, over_seeds=of_seed, seed=seed)
        if i == 0:
            found.append(ComparisonCell(estimate, seeds=of_seed))
            continue
        difference = differences[i - 1]
        detectable = detectable_difference(difference, len(differences))
        found.append(ComparisonCell(estimate, difference, corrected[i - 1], detectable, of_seed))
    return tuple(found)


def _design(
    single: bool, clusters: Sequence[str] | None, *over_seeds: SeedVariance | None
) -> paired_tests.Design:
    return paired_tests.Design(single, clusters, tuple(row for row in over_seeds if row is not None))


def detectable_difference(difference: paired_tests.Difference, claims: int) -> float | None:
    """The minimum detectable difference, at the level that Holm's correction leaves the first of so many claims."""
    if difference.sd is None or difference.step is None:
        return None
    return minimum_detectable_difference(
        difference.sd, difference.units, step=difference.step, alpha=paired_tests.ALPHA / claims
    )


def _mean_vectors(row: ComparisonRow, metric: str, problems: Sequence[str]) -> Floats:
    mean: Floats = np.mean([run.vectors(metric, problems) for run in row.runs], axis=0)
    return mean


def _over_seeds(row: ComparisonRow, metric: str, problems: Sequence[str]) -> SeedVariance | None:
    """Of the problems' values; of a corpus metric's pseudo-values, as it has none for a single problem."""
    if len(row.runs) < 2 or len(problems) < 2:
        return None
    metric_of = partial(metric_value, row.runs[0].reduces[metric][1])
    ones = np.ones(len(problems))
    values = [pseudo_values(metric_of, run.vectors(metric, problems), ones) for run in row.runs]
    return seeds.seed_variance(np.stack(values))


# ---------------------------------------------------------------- flipped problems


@dataclass(frozen=True)
class Flip:
    """A problem on which a row's value differs from the reference's, with the first answer of both."""

    problem_id: str
    row: str
    before: float
    after: float
    answers: tuple[str, str]
    statuses: tuple[str, str]


def flips(comparison: Comparison, metric: str) -> Iterator[Flip]:
    """Every flipped problem of every row, those that got worse first. Reads the runs' judgements."""
    reduce = comparison.rows[0].runs[0].reduces[metric][1]
    if reduce.of_sum is not None:  # no value for a single problem
        return
    problems = comparison.problems[metric]
    values = [_mean_vectors(row, metric, problems)[:, 0] for row in comparison.rows]
    reference = first_answers(comparison.rows[0].runs[0], metric)
    for row, of_row in zip(comparison.rows[1:], values[1:], strict=True):
        gains = values[0] - of_row if reduce.lower_is_better else of_row - values[0]
        moved = np.flatnonzero(np.abs(gains) > paired_tests.TOLERANCE)
        if not len(moved):
            continue
        answers = first_answers(row.runs[0], metric)
        for i in sorted(moved, key=lambda i: (gains[i], problems[i])):
            name = problems[i]
            before, after = reference[name], answers[name]
            yield Flip(
                problem_id=name,
                row=row.name,
                before=float(values[0][i]),
                after=float(of_row[i]),
                answers=(before[0], after[0]),
                statuses=(before[1], after[1]),
            )


def first_answers(run: Result, metric: str) -> dict[str, tuple[str, str]]:
    """Problem id -> (answer, status) of the first sample, as the metric's scorer saw it."""
    scorer = run.reduces[metric][0]
    found = {}
    for row in reader.rows(run.folder / "judgements.jsonl", Judgement):
        if row["scorer"] == scorer and row["index"] == 0:
            found[row["problem_id"]] = (row["answer"], row["status"])
    return found


# ---------------------------------------------------------------- JSON


def as_json(comparison: Comparison, flipped: Sequence[Flip]) -> dict[str, Any]:
    """The whole comparison as plain values; shares are 0..1."""
    return {
        "task": comparison.task,
        "reference": comparison.rows[0].name,
        "clusters": comparison.clusters,
        "skipped": comparison.skipped,
        "faults": comparison.faults,
        "rows": [
            {
                "name": row.name,
                "runs": [run.run_id for run in row.runs],
                "cost": mean_cost(row),
                "metrics": {metric: _cell_json(cells[i]) for metric, cells in comparison.cells.items()},
            }
            for i, row in enumerate(comparison.rows)
        ],
        "flips": [vars(flip) for flip in flipped],
    }


def _cell_json(cell: ComparisonCell) -> dict[str, Any]:
    return {
        **cell.estimate.model_dump(mode="json"),
        "difference": vars(cell.difference) if cell.difference else None,
        "p_holm": cell.p_holm,
        "minimum_detectable_difference": cell.detectable,
        "seeds": vars(cell.seeds) if cell.seeds else None,
    }


def mean_cost(row: ComparisonRow) -> dict[str, float]:
    """Cost per run, averaged over the row's seeds; empty for a row without runs (another tool's result)."""
    costs = [reader.cost(run) for run in row.runs] or [{}]
    return {
        name: sum(c[name] for c in costs) / len(costs) for name in costs[0] if all(name in c for c in costs)
    }
