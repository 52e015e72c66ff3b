"""A finished run read back: its config, its scores by problem, its samples.

Reads files and never writes. A damaged or missing row is an error that names it, never ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.config.run import RunConfig
from harness.environment import model_name
from harness.errors import ConfigError, HarnessError, StoreFault
from harness.runs.store.run_folder import read_run, read_timings
from harness.schema import Generation, Judgement, Reduce, Summary, unanswered
from harness.schema.sample_index import SampleIndex
from harness.stats import estimates
from harness.tasks.loading import registry

if TYPE_CHECKING:
    from harness.stats.intervals import Floats


@dataclass(frozen=True)
class Result:
    """`scores` is scorer -> problem id -> [samples, 1 + stats]; a problem with a fault has no entry there, but one in
    `failed`, where samples that could not be judged are zeros: so they count where a metric can have it.

    `faults` counts judgements without a score, `samples` is problem id -> number of samples, in the run's order.
    """

    folder: Path
    record: Mapping[str, Any]
    config: RunConfig
    summary: Summary
    samples: Mapping[str, int]
    scores: Mapping[str, Mapping[str, Floats]]
    reduces: Mapping[str, tuple[str, Reduce]]
    faults: int
    groups: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Mapping[str, Floats]] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return str(self.record["run_id"])

    def vectors(self, metric: str, problems: Sequence[str]) -> Floats:
        """One vector per problem, [problems, m]."""
        units = self._units(metric)
        return estimates.per_problem_vectors(self.reduces[metric][1], [units[name] for name in problems])

    def judged(self, metric: str) -> set[str]:
        """The problems that are in the metric, or the first of each that it takes together."""
        return set(self._units(metric))

    def cluster_labels(self, problems: Sequence[str]) -> list[str] | None:
        """The clusters that the task declares, one a problem; None if there are none to speak of."""
        return estimates.cluster_labels([self.clusters.get(name, "") for name in problems])

    def _units(self, metric: str) -> dict[str, Floats]:
        scorer, reduce = self.reduces[metric]
        scores = self.scores[scorer]
        if estimates.can_fail(reduce):
            scores = {**scores, **self.failed.get(scorer, {})}
        return estimates.scores_by_unit(reduce, scores, self.samples)


def read(folder: Path) -> Result:
    """Read a finished run. Raises ConfigError when it is none, StoreFault naming the row when it is damaged."""
    record, plain = read_run(folder)
    try:
        summary = Summary.model_validate_json(json.dumps(plain))
        config = read_config(record)
        task, data, prompt = record["task"], record["data"], record["prompt"]
        del task, data, prompt
    except (ValidationError, KeyError, TypeError) as error:
        raise StoreFault(f"{folder}: run.json or summary.json is damaged: {_first_line(error)}") from None
    samples: dict[str, int] = {}
    exclude, excluded = record.get("exclude", ()), dict[str, list[int]]()
    for row in rows(folder / "generations.jsonl", Generation):
        name, said = row["problem_id"], row["completion"]
        samples[name] = samples.get(name, 0) + 1
        if exclude and unanswered(said["finish"], said["text"]) in exclude:
            excluded.setdefault(name, []).append(row["index"])
    planned = record["sampling"]["samples"] if summary.missing else 0
    scores, failed, faults = _scores(folder, samples, planned)
    scores = {scorer: _left(by_problem, excluded) for scorer, by_problem in scores.items()}
    failed = {scorer: _left(by_problem, excluded) for scorer, by_problem in failed.items()}
    task_made = registry.with_scorers(registry.task(config.task, config.options), config.scorers)
    left = (n - len(excluded.get(name, ())) for name, n in samples.items() if n >= planned)
    least = min(filter(None, left), default=0)
    ks = estimates.k_values(least, [k for k in config.k if k <= least])
    reduces = {
        name: (scorer.name, reduce)
        for scorer in task_made.scorers
        if scorer.name in scores
        for name, reduce in scorer.metrics(ks).items()
        if name in summary.metrics
    }
    _check_complete(folder, summary, samples, {scorer.name for scorer in task_made.scorers} - set(scores))
    said = {row["problem_id"]: row for row in problems(folder)}
    groups = {name: row["group"] for name, row in said.items()}
    clusters, dates = ({name: row.get(key, "") for name, row in said.items()} for key in ("cluster", "date"))
    return Result(
        folder, record, config, summary, samples, scores, reduces, faults, groups, clusters, failed, dates
    )


def read_config(record: Mapping[str, Any]) -> RunConfig:
    plain = record["config"]
    plain = {**plain, "backend": {**plain["backend"], **record.get("prices", {})}}
    return RunConfig.model_validate_json(json.dumps(plain))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _check_complete(folder: Path, summary: Summary, samples: Mapping[str, int], unjudged: set[str]) -> None:
    there = sum(samples.values())
    if there != summary.samples or len(samples) != summary.problems:
        raise StoreFault(
            f"{folder}: {there} samples of {len(samples)} problems on disk, but its summary counts"
            f" {summary.samples} of {summary.problems}: samples were lost; rerun its command"
        )
    if unjudged:
        raise StoreFault(f"{folder}: no judgements of {', '.join(sorted(unjudged))}: rerun its command")


def _scores(
    folder: Path, samples: Mapping[str, int], planned: int
) -> tuple[dict[str, dict[str, Floats]], dict[str, dict[str, Floats]], int]:
    """The scores, those of problems with faults, and the number of faults. Every sample must have one judgement of
    every scorer.

    Eight bytes a value are held, whatever order the rows have. Problems with fewer samples than `planned` miss some,
    anywhere among them, and have no scores.
    """
    import numpy as np

    judged, faulted = SampleIndex(), dict[str, dict[str, list[int]]]()  # scorer -> problem -> samples
    scores: dict[str, dict[str, Floats]] = {}
    for row in rows(folder / "judgements.jsonl", Judgement):
        scorer, problem_id, index = row["scorer"], row["problem_id"], row["index"]
        of_scorer = scores.setdefault(scorer, {})
        if (count := samples.get(problem_id)) is None:  # its samples were lost: `_check_complete` reports it
            continue
        size = max(count, planned)
        if type(index) is not int or not 0 <= index < size:
            raise StoreFault(
                f"{folder}: {problem_id} has {count} samples, and a judgement of sample {index!r}: rerun its command"
            )
        judged.add(problem_id, index, scorer)
        if row["score"] is None:
            faulted.setdefault(scorer, {}).setdefault(problem_id, []).append(index)
        else:
            values = [row["score"]["value"], *row["score"]["stats"]]
            if problem_id not in of_scorer:
                of_scorer[problem_id] = np.empty((size, len(values)))
            if len(values) != of_scorer[problem_id].shape[1]:
                raise StoreFault(
                    f"{folder}: {problem_id} has judgements of {scorer} with different numbers of values"
                )
            of_scorer[problem_id][index] = values
    _check_all_judged(folder, judged, scores, samples)
    complete = [name for name, count in samples.items() if count >= planned]
    good, failed = {}, {}
    for scorer, of_scorer in scores.items():
        bad = faulted.get(scorer, {})
        good[scorer] = {name: of_scorer[name] for name in complete if name in of_scorer and name not in bad}
        width = max((of_one.shape[1] for of_one in of_scorer.values()), default=1)
        failed[scorer] = {
            name: of_scorer.get(name, np.zeros((samples[name], width))) for name in complete if name in bad
        }
        for name, of_one in failed[scorer].items():
            of_one[bad[name]] = 0.0
    return good, failed, sum(len(at) for bad in faulted.values() for at in bad.values())


def _check_all_judged(
    folder: Path, judged: SampleIndex, scorers: Iterable[str], samples: Mapping[str, int]
) -> None:
    for scorer in scorers:
        for problem_id, count in samples.items():
            if (found := judged.count(problem_id, scorer)) != count:
                raise StoreFault(
                    f"{folder}: {problem_id} has {count} samples and {found} judgements of {scorer}: some were"
                    " lost; rerun its command"
                )


def _left(by_problem: Mapping[str, Floats], excluded: Mapping[str, Sequence[int]]) -> dict[str, Floats]:
    """A scorer's vectors without the excluded samples, and without a problem that has no other."""
    import numpy as np

    kept = {
        name: np.delete(of_one, excluded[name], axis=0) if name in excluded else of_one
        for name, of_one in by_problem.items()
    }
    return {name: of_one for name, of_one in kept.items() if len(of_one)}


def rows(path: Path, model: type[Generation] | type[Judgement]) -> Iterator[dict[str, Any]]:
    """The rows of a run's file as they are. Raises StoreFault naming the line that is none."""
    wanted = {name for name, info in model.model_fields.items() if info.is_required()}
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreFault(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict) or not wanted <= set(row):
                raise StoreFault(f"{path}:{number}: damaged row; rerun its command") from None
            yield row


def problems(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of problems.jsonl; none where an older run has no such file."""
    path = folder / "problems.jsonl"
    if path.is_file():
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                    row["problem_id"], row["group"]
                except (ValueError, KeyError, TypeError):
                    raise StoreFault(f"{path}:{number}: damaged row; rerun its command") from None
                yield row


# ---------------------------------------------------------------- finding runs


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders among and below `paths`, in order. Raises ConfigError when a path holds none."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise ConfigError(
                f"no run folder {str(path)!r}: give the folder that a run printed, or one above several"
            )
        here = [path] if (path / "run.json").is_file() else sorted(p.parent for p in path.rglob("run.json"))
        if not here:
            raise ConfigError(f"{path} holds no run: no run.json in it or below")
        found += [folder for folder in here if folder not in found]
    return found


def read_all(folders: Sequence[Path]) -> tuple[list[Result], list[str]]:
    """The runs that can be read, and a line for each that was skipped: damaged, unfinished or a single shard."""
    good, skipped = [], []
    for folder in folders:
        try:
            result = read(folder)
        except HarnessError as error:
            skipped.append(f"skipped {folder}: {error}")
            continue
        if "shard" in result.record:
            skipped.append(f"skipped {folder}: a single shard; 'harness merge' joins the shards of a run")
        else:
            good.append(result)
    return good, skipped


# ---------------------------------------------------------------- what a run is called


def method(config: RunConfig, *, full: bool = False) -> str:
    """ "zero-shot", "icl:4", "conala-lora", "conala-lora + rag:4": adapter and shots.

    An adapter is named by its folder, without the digest that training appends unless `full`.
    """
    shots = "" if config.shots == "none" else config.shots
    adapter = Path(config.backend.adapter).name if config.backend.adapter else ""
    adapter = adapter if full else re.sub(r"(?<=.)-[0-9a-f]{8}$", "", adapter)
    return " + ".join(part for part in (adapter, shots) if part) or "zero-shot"


def model(config: RunConfig) -> str:
    return model_name(config.backend.model_copy(update={"adapter": ""}))  # the adapter is part of the method


def cost(result: Result) -> dict[str, float]:
    """What the run cost: tokens a sample, seconds of generation, and whatever else its summary counts."""
    costs = {
        f"{name} a sample": value / result.summary.samples for name, value in result.summary.cost.items()
    }
    costs |= _training_cost(result.config.backend.adapter)
    rows = list(read_timings(result.folder))
    seconds = sum(row.get("seconds", 0.0) for row in rows if row["stage"] == "generate")
    if any(row["stage"] == "reuse" for row in rows):
        seconds = 0.0  # what generating would have taken is unknown
    return {**costs, "generation seconds": seconds} if seconds else costs


def _training_cost(adapter: str) -> dict[str, float]:
    """What training the adapter cost, where its train.json is still available."""
    if not adapter:
        return {}
    try:
        plain = json.loads((Path(adapter).expanduser() / "train.json").read_text(encoding="utf-8"))
        peak = plain.get("peak_mb") or {}
        found = {
            "trainable parameters": plain["parameters"]["trainable"],
            "training seconds": plain["seconds"],
            "training peak MB": max(peak.values(), default=0.0) if isinstance(peak, dict) else peak,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # not trained here: its cost is unknown
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
