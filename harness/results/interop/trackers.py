"""Log finished runs to an experiment tracker, MLflow or Weights & Biases, through its own package (an extra each).

    tracked_run(run) -> TrackedRun      what is logged: parameters, metrics, tags, files
    send(tracker, run, ...)             MLflow: one run of the experiment; W&B: one run of the project

A run is logged once: its digest is a tag (MLflow) or the run's id (W&B), so repeating the command adds nothing. Where
the tracker is, is set by its own variables (MLFLOW_TRACKING_URI, WANDB_MODE ...).
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import ConfigError, Fault
from harness.results.interop import export
from harness.runs.store import reader
from harness.runs.store.reader import Result

Tracker = Literal["mlflow", "wandb"]
MAX_PARAMETER_CHARS = 500  # trackers refuse long parameters
FILES = ("run.json", "summary.json", "report.html")
DIGEST = "harness.digest"


@dataclass(frozen=True)
class TrackedRun:
    """A run as it is logged. `metrics` have names valid in every tracker; `group` is the method, without the seed."""

    run: Result
    name: str
    digest: str
    group: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: tuple[Path, ...]


def tracked_run(run: Result) -> TrackedRun:
    """What is logged of a run: its config, every metric with its interval, counts and costs."""
    files = tuple(path for name in FILES if (path := run.folder / name).is_file())
    stored = b"".join((run.folder / name).read_bytes() for name in FILES[:2])
    model, method = reader.model(run.config), reader.method(run.config, full=True)
    digest = hashlib.sha256(stored).hexdigest()[:16]
    values: dict[str, float] = {}
    for name, e in run.summary.metrics.items():
        values |= {name: e.value, f"{name} low": e.low, f"{name} high": e.high}
        values |= {} if e.with_faults is None else {f"{name} with faults": e.with_faults}
    values |= {f"status/{name}": float(n) for name, n in run.summary.status_counts.items()}
    values |= {f"completions/{name}": float(n) for name, n in run.summary.completions.items()}
    values |= {f"cost/{name}": value for name, value in reader.cost(run).items()}
    values |= {"problems": run.summary.problems, "samples": run.summary.samples, "faults": run.summary.errors}
    lower = [name for name, e in run.summary.metrics.items() if e.lower_is_better]
    return TrackedRun(
        run=run,
        name=run.run_id,
        digest=digest,
        group=f"{run.summary.task}, {model}, {method}",
        parameters={**_parameters(run), "model": model, "method": method},
        metrics=dict(zip(tracker_names(values), map(float, values.values()), strict=True)),
        tags={
            "harness.run_id": run.run_id,
            "harness.signature": run.summary.signature,
            "harness.task": run.summary.task,
            "harness.model": model,
            "harness.method": method,
            **({"harness.lower_is_better": ", ".join(tracker_names(lower))} if lower else {}),
        },
        files=files,
    )


def _parameters(run: Result) -> dict[str, str]:
    """The config keys that were set, dotted, plus task, shots and seed."""
    always = {"task": run.config.task, "shots": run.config.shots, "seed": run.config.seed}
    found = dict(_leaves(run.config.model_dump(mode="json", exclude_defaults=True)))
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in {**found, **always}.items()}
    return {
        k: v if len(v) <= MAX_PARAMETER_CHARS else f"{v[:MAX_PARAMETER_CHARS]}..."
        for k, v in texts.items()
        if v
    }


def _leaves(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def tracker_names(metrics: Iterable[str]) -> list[str]:
    """Metric names made of letters, digits, `_` and `/`, all distinct: `pass@1[easy] low` -> `pass_at_1/easy_low`.

    MLflow refuses other characters, and W&B cannot sort or plot by them.
    """
    found: dict[str, None] = {}
    for metric in metrics:
        plain = metric.replace("@", "_at_").replace("[", "/").replace("]", "")
        plain = re.sub(r"[^A-Za-z0-9_/]+", "_", plain)
        number = 1
        name = plain
        while name in found:
            number += 1
            name = f"{plain}_{number}"
        found[name] = None
    return list(found)


def send(tracker: Tracker, one: TrackedRun, project: str = "", samples: bool = False) -> str:
    """Log a run and return a line saying what was done. `project` is MLflow's experiment or W&B's project, by default
    the one that their own settings name; `samples` also logs every prompt, completion and verdict.

    Raises ConfigError for what the tracker refuses, Fault if it cannot be reached.
    """
    return (_mlflow if tracker == "mlflow" else _wandb)(one, project, samples)


def _mlflow(one: TrackedRun, project: str, samples: bool) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        if project:
            mlflow.set_experiment(project)
        query = f"tags.`{DIGEST}` = '{one.digest}'"
        if known := mlflow.search_runs(filter_string=query, output_format="list"):
            return f"{one.name}: already in MLflow, run {known[0].info.run_id}"
        with mlflow.start_run(run_name=one.name, tags=dict(one.tags)) as active:
            mlflow.log_params(dict(one.parameters))
            mlflow.log_metrics(dict(one.metrics))
            for path in one.files:
                mlflow.log_artifact(str(path))
            if samples:
                with tempfile.TemporaryDirectory() as folder:
                    for path in export.parquet(one.run, Path(folder) / "samples.parquet"):
                        mlflow.log_artifact(str(path))
            mlflow.set_tag(DIGEST, one.digest)  # last, so that an interrupted upload is repeated
    except MlflowException as error:
        line = f"MLflow: {str(error).partition(chr(10))[0]}"
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise ConfigError(line) from None
        raise Fault(line) from None
    return f"{one.name}: MLflow run {active.info.run_id}"


def _wandb(one: TrackedRun, project: str, samples: bool) -> str:
    import wandb

    try:
        with wandb.init(
            project=project or None,
            id=one.digest,
            name=one.name,
            group=one.group,
            job_type="evaluation",
            config={**one.parameters, **one.tags},
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        ) as active:
            active.log(dict(one.metrics), step=0)
            artifact = wandb.Artifact(one.name, type="evaluation")
            for path in one.files:
                artifact.add_file(str(path))
            if samples:
                rows = [export.flatten(row) for row in export.samples(one.run)]
                columns = list(rows[0]) if rows else []
                table = wandb.Table(columns=columns, data=[[row[name] for name in columns] for row in rows])
                artifact.add(table, "samples")
            active.log_artifact(artifact)
            return f"{one.name}: W&B run {Path(active.dir).parent if active.offline else active.url}"
    except wandb.errors.UsageError as error:
        raise ConfigError(f"Weights & Biases: {str(error).partition(chr(10))[0]}") from None
    except wandb.errors.Error as error:
        raise Fault(f"Weights & Biases: {str(error).partition(chr(10))[0]}") from None
