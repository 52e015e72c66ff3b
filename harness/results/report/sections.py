"""Runs grouped for a report: comparable runs of one task form a section, with differences to its reference row.

The reference row is the zero-shot one, else the first (`rows.in_order`). A pure function of the runs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import ConfigError, unknown
from harness.results import compare
from harness.results.compare import Comparison, ComparisonCell
from harness.results.rows import ComparisonRow, group_seeds, in_order
from harness.runs.store import reader
from harness.runs.store.conditions import condition_differences
from harness.runs.store.reader import Result
from harness.schema import UNANSWERED, Estimate, Generation, Judgement, Unit
from harness.stats import estimates

MAX_OUTCOMES = 8  # outcomes shown per row


@dataclass(frozen=True)
class Section:
    """`metric` is the deciding one. `cells` has that metric, one cell per row, best row first. `set_apart` are rows
    that are not compared: those without that metric, and of a ranking those whose faults take problems from it."""

    title: str
    metric: str
    comparison: Comparison
    order: tuple[int, ...]
    set_apart: tuple[ComparisonRow, ...] = ()

    @property
    def task(self) -> str:
        return self.comparison.task

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        return tuple(self.comparison.rows[i] for i in self.order)

    @property
    def cells(self) -> tuple[ComparisonCell, ...]:
        found = self.comparison.cells.get(self.metric, ())
        return tuple(found[i] for i in self.order) if found else ()

    @property
    def best(self) -> list[str]:
        """The names of those that share the best value."""
        pairs = zip(self.rows, self.cells, strict=True)
        return [row.name for row, cell in pairs if cell.estimate.value == self.cells[0].estimate.value]

    @property
    def unit(self) -> Unit:
        return self.cells[0].estimate.unit if self.cells else "share"

    @property
    def lower_is_better(self) -> bool:
        return bool(self.cells) and self.cells[0].estimate.lower_is_better

    @property
    def all_rows(self) -> tuple[ComparisonRow, ...]:
        """Those that are set apart too, last."""
        return (*self.rows, *self.set_apart)

    @property
    def runs(self) -> tuple[Result, ...]:
        return tuple(run for row in self.all_rows for run in row.runs)


def run_names(sections: Sequence[Section]) -> list[str]:
    """What the page of these sections calls their runs, in order."""
    names = []
    for section in sections:
        for row in section.all_rows:
            for run in row.runs:
                seed = f", seed {run.config.seed}" if len(row.runs) > 1 else ""
                task = f"{section.title}: " if len(sections) > 1 else ""
                names.append(f"{task}{row.name}{seed}")
    return names


def make_sections(runs: Sequence[Result], metric: str = "", *, ranked: bool = False) -> list[Section]:
    """One section for each set of comparable runs. `metric` is the deciding one, where runs have it.

    `ranked`: a run whose faults take problems from the metric is set apart, lest it change the others' values. Raises
    ConfigError for a metric that no run has.
    """
    if metric and not any(metric in run.reduces for run in runs):
        raise ConfigError(unknown("metric", metric, {name for run in runs for name in run.reduces}))
    sets: list[list[Result]] = []
    for run in runs:
        for same in sets:
            if not condition_differences(same[0], run):
                same.append(run)
                break
        else:
            sets.append([run])
    of_task = Counter(same[0].summary.task for same in sets)
    seen: Counter[str] = Counter()
    found = []
    for same in sets:
        task = same[0].summary.task
        seen[task] += 1
        title = f"{task} ({seen[task]} of {of_task[task]})" if of_task[task] > 1 else task
        found.append(_make_section(title, in_order(same), metric, ranked))
    return found


def _make_section(title: str, runs: Sequence[Result], metric: str, ranked: bool) -> Section:
    deciding = _deciding_metric(runs, metric)
    measured = [run for run in runs if deciding in run.reduces]
    if ranked or (measured and not set.intersection(*(run.judged(deciding) for run in measured))):
        measured = _without_lost_problems(measured, deciding)
    named = {run.folder: row.name for row in group_seeds(runs) for run in row.runs}
    comparison = compare.tabulate(in_order(measured or runs), [deciding] if deciding else [])
    rows = tuple(replace(row, name=named[row.runs[0].folder]) for row in comparison.rows)
    there = {run.folder for row in rows for run in row.runs}
    apart = [run for run in runs if run.folder not in there]
    cells = comparison.cells.get(deciding, ())
    order = sorted(range(len(cells)), key=lambda i: sort_key(cells[i].estimate))
    return Section(
        title,
        deciding,
        replace(comparison, rows=rows),
        tuple(order or range(len(rows))),
        _rows_apart(apart, named, {row.name for row in rows}),
    )


def _deciding_metric(runs: Sequence[Result], metric: str) -> str:
    """The wanted one where a run has it, else the first of those that most runs have: one run that could not be judged
    must not decide by what the others are measured. Empty where no run has any."""
    having = Counter(name for run in runs for name in run.reduces)
    if metric in having:
        return metric
    return max(having, key=having.__getitem__, default="")  # of equal counts the first


def _without_lost_problems(runs: Sequence[Result], metric: str) -> list[Result]:
    """The runs that have every problem of the one which lost the fewest to faults."""
    lost = {run.folder: _lost_problems(run, metric) for run in runs}
    least = min(lost.values(), key=len, default=set[str]())
    return [run for run in runs if lost[run.folder] <= least]


def _lost_problems(run: Result, metric: str) -> set[str]:
    """The problems without a value because judging failed; none where a fault counts as a failed sample."""
    scorer, reduce = run.reduces[metric]
    return set() if estimates.can_fail(reduce) else set(run.failed.get(scorer, ()))


def _rows_apart(
    runs: Sequence[Result], named: Mapping[Path, str], taken: set[str]
) -> tuple[ComparisonRow, ...]:
    """One row per method; it says its seeds if other seeds of the method are compared."""
    found = []
    for row in group_seeds(runs) if runs else ():
        name = named[row.runs[0].folder]
        if name in taken:
            name = f"{name}, seed {' and '.join(str(run.config.seed) for run in row.runs)}"
        found.append(replace(row, name=name))
    return tuple(found)


def why_apart(section: Section, row: ComparisonRow) -> str:
    """Why a row that is set apart has no value beside the others."""
    if not section.metric or any(section.metric not in run.reduces for run in row.runs):
        return f"no {section.metric or 'metrics'}: no sample could be judged"
    lost = len(set[str]().union(*(_lost_problems(run, section.metric) for run in row.runs)))
    return f"not ranked: {lost} {'problem' if lost == 1 else 'problems'} could not be judged"


def sort_key(e: Estimate) -> float:
    """Sorts estimates of one metric, best first."""
    return e.value if e.lower_is_better else -e.value


def metric_names(section: Section) -> list[str]:
    """Every metric of the section except components and groups, the deciding one first."""
    names = dict.fromkeys(name for run in section.runs for name in run.summary.metrics)
    plain = [name for name in names if "[" not in name and "." not in name and name != section.metric]
    return [section.metric, *plain] if section.metric else plain


def row_estimate(row: ComparisonRow, metric: str) -> Estimate | None:
    """A row's metric: of one run as in its summary; of several seeds the mean of values and bounds."""
    found = [run.summary.metrics[metric] for run in row.runs if metric in run.summary.metrics]
    if len(found) <= 1:
        return found[0] if found else None
    mean = [sum(getattr(e, name) for e in found) / len(found) for name in ("value", "low", "high")]
    failed = None
    if any(e.with_faults is not None for e in found):
        failed = sum(e.value if e.with_faults is None else e.with_faults for e in found) / len(found)
    update = {"value": mean[0], "low": mean[1], "high": mean[2], "k": None, "with_faults": failed}
    return found[0].model_copy(update=update)


def group_names(section: Section) -> list[str]:
    """The groups that have their own values of the deciding metric."""
    start = f"{section.metric}["
    names = dict.fromkeys(name for run in section.runs for name in run.summary.metrics)
    return [name.removeprefix(start).removesuffix("]") for name in names if name.startswith(start)]


# ---------------------------------------------------------------- outcomes of samples


def sample_outcomes(row: ComparisonRow) -> Mapping[str, int]:
    """How many samples ended how, most frequent first: verdicts with exceptions, empty answers, truncated texts."""
    found: Counter[str] = Counter()
    for run in row.runs:
        found.update(_run_outcomes(run))
    top = dict(found.most_common(MAX_OUTCOMES))
    if rest := sum(found.values()) - sum(top.values()):
        top["other"] = rest
    return top


def _run_outcomes(run: Result) -> Iterator[str]:
    first = next(iter(run.scores), "")
    graded = is_graded(run)
    unusual = {
        (row["problem_id"], row["index"]): {
            name: row["completion"].get(name) for name in ("finish", "cut_off")
        }
        for row in reader.rows(run.folder / "generations.jsonl", Generation)
        if row["completion"].get("finish") in ("length", *UNANSWERED) or row["completion"].get("cut_off")
    }
    for row in reader.rows(run.folder / "judgements.jsonl", Judgement):
        if first and row["scorer"] != first:
            continue
        yield sample_outcome(row, unusual.get((row["problem_id"], row["index"]), {}), graded)


def is_graded(run: Result) -> bool:
    """Whether the first scorer's values are shares, so that 1 is a correct answer; a count says no such thing."""
    first = next(iter(run.scores), "")
    return all(reduce.unit == "share" for name, reduce in run.reduces.values() if name == first)


def sample_outcome(row: Mapping[str, object], completion: Mapping[str, object], graded: bool = True) -> str:
    """A short label of how a sample ended; for text metrics that grade an answer, whether it was correct.

    `row` is its judgement; of its completion only `finish` and `cut_off` are looked at.
    """
    status, answer = str(row["status"]), str(row["answer"])
    score = row["score"]
    full = graded and status == "scored" and isinstance(score, Mapping) and score["value"] == 1.0
    if status == "passed" or full:
        return "correct"
    if status == "fault":
        return "judging failed"
    if (finish := completion.get("finish")) in UNANSWERED:
        return str(finish)
    if not answer.strip():
        return "cut off in a thought" if completion.get("cut_off") else "no answer"
    if finish == "length":
        return f"{_status_text(status, graded)}, truncated"
    if status == "error":
        name = estimates.error_class(status, str(row.get("error", "")))
        return f"error: {name}" if name else "error"
    return _status_text(status, graded)


def _status_text(status: str, graded: bool) -> str:
    return "wrong" if status == "scored" and graded else status.replace("_", " ")
