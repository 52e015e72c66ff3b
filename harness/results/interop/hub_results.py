"""A run's numbers as a model's page on the Hugging Face hub shows them, and such files read back.

    eval_results    .eval_results/NAME.yaml: the run's first metric, for the page of the benchmark's leaderboard
    model_index     README.md: every metric, in the front matter's model-index
    read            either of them: totals, without items

After the hub's documentation of both. A share is written in per cent, as the hub's examples have it. Only a whole
benchmark is written: a page that shows nothing but the number would pass part of it, or the mini rows, for all.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, DataError
from harness.results.external import ExternalResult, ReportedMetric
from harness.results.interop.imported import ImportedTask, digest, is_number
from harness.runs.store.atomic import disk_errors_as_faults, make_folder, write_atomic
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
    make_folder(out.parent)
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
    named, _ = _indexed(out, metadata, fallback)
    own = eval_results_to_model_index(named, made)
    with disk_errors_as_faults(out):
        metadata_save(out, {**metadata, "model-index": beside(metadata.get("model-index", []), own)})
    return [out]


def beside(before: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The index with the run's one result in it, in place of the same metrics of the same data set.

    Other results stay as they are: huggingface_hub would join those whose data sets differ by name alone.
    """
    (made,) = own[0]["results"]
    anew = {metric["type"] for metric in made["metrics"]}
    index = []
    for model in before:
        results = []
        for result in model["results"]:
            same = result["task"]["type"] == KIND and result["dataset"] == made["dataset"]
            metrics = [one for one in result["metrics"] if not same or one["type"] not in anew]
            if metrics:
                results.append({**result, "metrics": metrics})
        index.append({**model, "results": results})
    if not index:
        return own
    index[0]["results"].append(made)
    return index


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
    if next(_metrics(run), None) is None:
        raise ConfigError(f"{run.run_id} has no metric with a value")
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
            _Entry(
                each.dataset_type, _conditions(each), each.metric_type, each.metric_name, each.metric_value
            )
            for each in results
        ]
    else:
        name, found = path.resolve().parent.parent.name, list(_entries(path, text))
    groups: dict[str, list[_Entry]] = {}
    for entry in found:
        if is_number(entry.value):
            groups.setdefault(digest([entry.task, entry.conditions]), []).append(entry)
    if not groups:
        raise DataError(f"{path}: {NEITHER}, or no number in it")
    sha = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    titles = _titles([entries[0] for entries in groups.values()])
    return [
        (_result(path, sha, name, title, entries), [])
        for title, entries in zip(titles, groups.values(), strict=True)
    ]


@dataclass(frozen=True)
class _Entry:
    """One value; `conditions` are what a card says of the data set beside its type."""

    task: str
    conditions: Mapping[str, Any]
    metric: str
    metric_name: str | None
    value: Any


def _conditions(each: "EvalResult") -> dict[str, Any]:
    said = {
        "data set": each.dataset_name,
        "configuration": each.dataset_config,
        "split": each.dataset_split,
        "arguments": each.dataset_args,
    }
    return {"revision": each.dataset_revision, **{key: value for key, value in said.items() if value}}


def _titles(firsts: Sequence[_Entry]) -> list[str]:
    """A name for each group: its data set's type, and where another group has the same, what tells them apart."""
    types = Counter(entry.task for entry in firsts)
    titles = []
    for entry in firsts:
        same = [other.conditions for other in firsts if other.task == entry.task]
        telling = [
            str(value)
            for key, value in entry.conditions.items()
            if value and any(other.get(key) != value for other in same)
        ]
        titles.append(
            f"{entry.task}[{', '.join(telling)}]" if types[entry.task] > 1 and telling else entry.task
        )
    return titles


def _metrics_of(entries: Sequence[_Entry]) -> dict[str, ReportedMetric]:
    """By type. A further value of a type gets its name after a comma, or a number: none takes another's place."""
    found: dict[str, ReportedMetric] = {}
    for entry in entries:
        reported = ReportedMetric(value=float(entry.value), unit="number")
        numbered = (f"{entry.metric},{number}" for number in count(2))
        named = (f"{entry.metric},{entry.metric_name}",) if entry.metric_name else ()
        for name in (entry.metric, *named, *islice(numbered, len(entries))):
            if found.setdefault(name, reported) == reported:
                break
    return found


def _result(path: Path, sha: str, model: str, task: str, entries: Sequence[_Entry]) -> ExternalResult:
    return ExternalResult(
        tool="Hugging Face hub",
        tool_version="",
        task=task,
        model=model,
        source=str(path),
        sha256=sha,
        n=0,
        shots=None,
        conditions=entries[0].conditions,
        metrics=_metrics_of(entries),
        no_items="a model's page has totals only",
    )


def _entries(path: Path, text: str) -> Iterator[_Entry]:
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
        task, notes = dataset.get("task_id") or "", entry.get("notes")
        # of what is no text the characters may be without end: nested aliases
        metric = notes.partition(",")[0] if isinstance(notes, str) else ""
        if any(isinstance(each, dict | list) for each in (dataset["id"], task, dataset.get("revision"))):
            raise DataError(f"{path}, result {number}: expected texts in dataset")
        yield _Entry(
            task=f"{dataset['id']}/{task}".rstrip("/"),
            conditions={"revision": dataset.get("revision")},
            metric=metric or "value",
            metric_name=None,
            value=entry["value"],
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
