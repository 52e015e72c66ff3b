"""A run's numbers as a model's page on the Hugging Face hub shows them, and such files read back.

    eval_results    .eval_results/NAME.yaml: the run's first metric, for the page of the benchmark's leaderboard
    model_index     README.md: every metric, in the front matter's model-index
    read            either of them: totals, without items

After the hub's documentation of both. A share is written in per cent, as the hub's examples have it. Only a whole
benchmark is written: a page that shows nothing but the number would pass part of it, or the mini rows, for all.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, DataError
from harness.results.external import ExternalResult, ReportedMetric
from harness.results.interop.imported import ImportedTask, is_number
from harness.runs.store.atomic import disk_errors_as_faults, write_atomic
from harness.runs.store.reader import Result
from harness.schema import Estimate, HubFile
from harness.tasks.loading import registry

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

KIND = "text-generation"  # the hub's name of what these models do
NEITHER = "neither a list of results (.eval_results/*.yaml) nor a README.md with a model-index"


def eval_results(run: Result, out: Path) -> list[Path]:
    """`out` is a file such as .eval_results/humaneval.yaml of the model's repository. Raises ConfigError."""
    import yaml

    source, (name, first) = _dataset(run), next(_metrics(run))
    low, high = _percent(first, first.low), _percent(first, first.high)
    entry = {
        "dataset": {"id": source.repo, "task_id": run.summary.task, "revision": source.revision},
        "value": _percent(first, first.value),
        "date": _date(run),
        "notes": f"{name}, 95 % interval {low:.2f} to {high:.2f}; {run.summary.signature}",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, yaml.safe_dump([entry], sort_keys=False))
    return [out]


def model_index(run: Result, model: str, out: Path) -> list[Path]:
    """`out` is a README.md, which keeps its text and other results. Raises ConfigError, DataError."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard import metadata_save
    from huggingface_hub.repocard_data import eval_results_to_model_index

    source, card = _dataset(run), registry.task(run.config.task, run.config.options).card
    made = [
        EvalResult(
            task_type=KIND,
            dataset_type=source.repo,
            dataset_name=card.title or run.summary.task,
            dataset_split=run.config.split,
            dataset_revision=source.revision,
            metric_type=name,
            metric_value=_percent(e, e.value),
            metric_name=name,
        )
        for name, e in _metrics(run)
    ]
    metadata = _front_matter(out) if out.exists() else {}
    fallback = model or run.config.backend.model or out.resolve().parent.name
    named, before = _indexed(out, metadata, fallback)
    anew = {(each.unique_identifier, each.metric_type) for each in made}
    kept = [each for each in before if (each.unique_identifier, each.metric_type) not in anew]
    index = eval_results_to_model_index(named, [*kept, *made])
    with disk_errors_as_faults(out):
        metadata_save(out, {**metadata, "model-index": index})
    return [out]


def _dataset(run: Result) -> HubFile:
    """Where the hub has the run's problems."""
    summary, config = run.summary, run.config
    task = registry.task(config.task, config.options)
    whole = task.card.sizes.get(config.split)
    if run.record["data"]["set"] == "mini":
        raise ConfigError(
            f"{run.run_id} is of the project's own mini rows: a model's page is for the benchmark's"
        )
    if (
        summary.errors
        or summary.missing
        or config.only
        or config.limit is not None
        or summary.problems != whole
    ):
        raise ConfigError(
            f"{run.run_id} has {summary.problems} of {whole or 'unknown'} problems, {summary.missing} samples that are"
            f" missing and {summary.errors} faults: a model's page is for results of the whole benchmark"
        )
    found = next((file.hub for file in task.card.files if file.hub is not None), None)
    if found is None:
        raise ConfigError(f"{summary.task} has no data set on the hub for its results to be filed under")
    return found


def _metrics(run: Result) -> Iterator[tuple[str, Estimate]]:
    """In the summary's order, the scorers' first metric first."""
    return ((name, e) for name, e in run.summary.metrics.items() if math.isfinite(e.value))


def _percent(e: Estimate, value: float) -> float:
    return 100 * value if e.unit == "share" else value


def _date(run: Result) -> str:
    ended = (run.folder / "summary.json").stat().st_mtime
    return datetime.fromtimestamp(ended, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---------------------------------------------------------------- reading


def read(path: Path, text: str) -> list[ImportedTask]:
    """The results in a .yaml file or a README.md. Raises DataError."""
    if path.suffix == ".md":
        name, results = _indexed(path, _front_matter(path), path.resolve().parent.name)
        found = [
            (each.dataset_type, each.metric_type, each.metric_value, each.dataset_revision)
            for each in results
        ]
    else:
        name, found = path.resolve().parent.parent.name, list(_entries(path, text))
    tasks: dict[tuple[str, str | None], dict[str, ReportedMetric]] = {}
    for task, metric, value, revision in found:
        if is_number(value):
            tasks.setdefault((task, revision), {})[metric] = ReportedMetric(value=float(value), unit="number")
    if not tasks:
        raise DataError(f"{path}: {NEITHER}, or no number in it")
    sha = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return [
        (_result(path, sha, name, task, revision, metrics), []) for (task, revision), metrics in tasks.items()
    ]


def _result(
    path: Path, sha: str, model: str, task: str, revision: str | None, metrics: Mapping[str, ReportedMetric]
) -> ExternalResult:
    return ExternalResult(
        tool="Hugging Face hub",
        tool_version="",
        task=task,
        model=model,
        source=str(path),
        sha256=sha,
        n=0,
        shots=None,
        conditions={"revision": revision},
        metrics=metrics,
        no_items="a model's page has totals only",
    )


def _entries(path: Path, text: str) -> Iterator[tuple[str, str, Any, str | None]]:
    import yaml

    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(plain, list):
        raise DataError(f"{path}: {NEITHER}")
    for number, entry in enumerate(plain, 1):
        dataset = entry.get("dataset") if isinstance(entry, dict) else None
        if not isinstance(dataset, dict) or "id" not in dataset or "value" not in entry:
            raise DataError(f"{path}, result {number}: expected dataset.id and value")
        task, metric = dataset.get("task_id") or "", str(entry.get("notes", "")).partition(",")[0]
        yield (
            f"{dataset['id']}/{task}".rstrip("/"),
            metric or "value",
            entry["value"],
            dataset.get("revision"),
        )


def _front_matter(path: Path) -> dict[str, Any]:
    import yaml
    from huggingface_hub.repocard import metadata_load

    try:
        return metadata_load(path) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: its front matter cannot be read: {' '.join(str(error).split())}") from None


def _indexed(path: Path, metadata: Mapping[str, Any], name: str) -> "tuple[str, list[EvalResult]]":
    """The model's name and results in a front matter; `name` and none where it has no model-index."""
    from huggingface_hub.repocard_data import model_index_to_eval_results

    if "model-index" not in metadata:
        return name, []
    try:
        return model_index_to_eval_results(metadata["model-index"])
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise DataError(
            f"{path}: its model-index is not as the hub's: {type(error).__name__} {error}"
        ) from None
