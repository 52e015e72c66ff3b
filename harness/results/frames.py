"""Finished runs for a notebook: numbers and samples as pandas frames, paired differences, an HTML table.

Everything is read from a run's folder when it is first asked for; nothing is written. pandas is imported when the first
frame is made (the extra `frames`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from harness.errors import ConfigError, one_line_errors
from harness.results import compare as comparing
from harness.results.interop import export
from harness.runs.store import reader
from harness.runs.store.reader import Result
from harness.schema import Estimate

if TYPE_CHECKING:
    import datasets
    import pandas as pd


def compare(reference: "Run", *others: "Run", metrics: Sequence[str] = ()) -> "pd.DataFrame":
    """Differences to the reference on the same problems: a row a metric and run.

    Columns: value and its 95 % interval (low, high); difference and its interval; p, corrected by Holm over the runs
    of a metric. Runs that differ in the seed alone are one row. Raises NotComparable naming the fields that differ.
    """
    found = comparing.compare([one.result for one in (reference, *others)], metrics)
    plain = comparing.as_json(found, ())
    rows = [
        {
            "metric": metric,
            "run": row["name"],
            **{name: cell[name] for name in ("value", "low", "high", "n")},
            "difference": (cell["difference"] or {}).get("value"),
            "difference_low": (cell["difference"] or {}).get("low"),
            "difference_high": (cell["difference"] or {}).get("high"),
            "p": cell["p_holm"],
        }
        for row in plain["rows"]
        for metric, cell in row["metrics"].items()
    ]
    return _frame(rows).sort_values(["metric"], kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Run:
    """A finished run: its numbers and its samples as data frames. `path` is its folder."""

    path: Path

    @cached_property
    def result(self) -> Result:
        """All that the folder holds, as values (harness.runs.store.reader.Result)."""
        return reader.read(self.path)

    @property
    def id(self) -> str:
        return self.result.run_id

    @property
    def task(self) -> str:
        return self.result.summary.task

    @property
    def signature(self) -> str:
        """One line that says what the numbers mean: equal signatures may be compared."""
        return self.result.summary.signature

    @property
    def config(self) -> dict[str, Any]:
        return self.result.config.model_dump(mode="json")

    @property
    def cost(self) -> dict[str, float]:
        """Tokens, seconds and, where prices are known, money."""
        return dict(self.result.summary.cost)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers has to know: limits, partial recordings, faults."""
        return self.result.summary.notes

    @property
    def errors(self) -> int:
        """Samples that could not be judged: a fault of the machine, in no metric. The same call retries them."""
        return self.result.summary.errors

    @property
    def metrics(self) -> "pd.DataFrame":
        """Indexed by metric: value and its 95 % interval (low, high); n problems; k their sum; the unit, `share` (0..1)
        or `number`; and lower_is_better."""
        return _frame(
            [{"metric": name, **_fields(one)} for name, one in self.result.summary.metrics.items()]
        ).set_index("metric")

    @property
    def samples(self) -> "pd.DataFrame":
        """A row a sample in the run's order: problem_id, index, group, prompt, completion, answer, tokens, and for each
        scorer SCORER.status, SCORER.value and SCORER.error."""
        return _frame([export.flatten(row) for row in export.samples(self.result)])

    @property
    def dataset(self) -> "datasets.Dataset":
        """The samples as a Dataset of the package `datasets`."""
        with one_line_errors():
            import datasets
        return datasets.Dataset.from_list([export.flatten(row) for row in export.samples(self.result)])

    @property
    def problems(self) -> "pd.DataFrame":
        """A row a problem: problem_id, group, question, references, prompt."""
        return _frame([dict(row) for row in reader.problems(self.path)])

    def compare(self, *others: "Run", metrics: Sequence[str] = ()) -> "pd.DataFrame":
        """Differences of the others to this run (harness.compare)."""
        return compare(self, *others, metrics=metrics)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {one.value:.4f}" for name, one in self.result.summary.metrics.items())
        return f"<harness.Run {self.id}: {shown}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the table of metrics, the notes and the signature."""
        from harness.results.report import tables, templates

        summary = self.result.summary.model_dump(mode="json")
        table = templates.environment().get_template("run_table.html")
        return table.render(rows=tables.rows([summary]), notes=tables.footnotes(summary))


class Runs(Sequence[Run]):
    """Several finished runs, in order."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, at: int) -> Run: ...
    @overload
    def __getitem__(self, at: slice) -> "Runs": ...
    def __getitem__(self, at: int | slice) -> "Run | Runs":
        return Runs(self._runs[at]) if isinstance(at, slice) else self._runs[at]

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def metrics(self) -> "pd.DataFrame":
        """A row a run and metric: run, task, model, method, metric, value, low, high, n, k, unit, lower_is_better."""
        return _frame(
            [
                {
                    "run": one.id,
                    "task": one.task,
                    "model": reader.model(one.result.config),
                    "method": reader.method(one.result.config),
                    "metric": name,
                    **_fields(estimate),
                }
                for one in self._runs
                for name, estimate in one.result.summary.metrics.items()
            ]
        )

    def compare(self, metrics: Sequence[str] = ()) -> "pd.DataFrame":
        """Differences of all to the first (harness.compare)."""
        if not self._runs:
            raise ConfigError("nothing to compare: no runs")
        return compare(*self._runs, metrics=metrics)

    def __repr__(self) -> str:
        return f"<harness.Runs: {len(self)} runs>"

    def _repr_html_(self) -> str:
        return str(self.metrics.to_html(index=False))


def _fields(estimate: Estimate) -> dict[str, Any]:
    """Every field, those with their default too, which files leave out."""
    return {name: getattr(estimate, name) for name in type(estimate).model_fields}


def _frame(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    with one_line_errors():
        import pandas as pd
    return pd.DataFrame(list(rows))
