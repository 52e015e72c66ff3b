"""A finished run opened again, its completions read by other extractors, and what was found kept as audit.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.identity import EQUIVALENT_ISOLATION
from harness.config.run import JudgeConfig, RunConfig
from harness.errors import ConfigError, DataError, unknown
from harness.results.audit import readings
from harness.results.audit.record import Audit, note, spread
from harness.results.audit.rereading import Rereading
from harness.runs import judge
from harness.runs.plan import Progress, no_progress
from harness.runs.store import reader
from harness.runs.store.atomic import to_json, write_atomic
from harness.runs.store.reader import Result
from harness.runs.store.run_folder import AUDIT
from harness.schema import Generation, Problem, Sandbox, Scorer, Task
from harness.tasks.loading import data_files, registry
from harness.text.markdown import blocks


@dataclass(frozen=True)
class AuditOptions:
    """`data`: where the benchmark files lie. `extractors`: beside the plausible ones. `shown`: flipped samples of each
    extractor whose answers are compared. `python`: the interpreter of the run's judge, if it was another one.
    """

    data: str | None = None
    extractors: tuple[str, ...] = ()
    metric: str = ""
    shown: int = 3
    workers: int | None = None
    python: str = ""


def audit(folder: Path, options: AuditOptions, progress: Progress = no_progress) -> Audit:
    """Read, judge, and write audit.json into the run's folder. Raises ConfigError, DataError, Fault."""
    run = reader.read(folder)
    task = registry.with_scorers(registry.task(run.config.task, run.config.options), run.config.scorers)
    metric, scorer = _metric(run, task, options.metric)
    problems = _problems(run, task, options.data)
    names = readings.plausible(problems[0], _fenced(run))
    version = run.record["task"]["version"]
    others = readings.others(task, run.config.extract, version, names, options.extractors)
    settings = _judge_settings(run.record, options)
    with judge.open_sandbox(settings, task) as sandbox:
        if scorer.executes:
            _check_versions(run.record, sandbox)
            if settings.time_factor is not None:
                problems = judge.with_reference_times(
                    task, scorer, problems, settings.time_factor, sandbox
                ).problems
        work = Rereading(run, scorer, {p.id: p for p in problems}, others, options.shown, progress)
        work.judge(sandbox, options.workers)
    found = work.results(metric)
    own = run.summary.metrics[metric]
    made = Audit(
        run_id=run.run_id,
        task=run.summary.task,
        metric=metric,
        extractor=run.record.get("extractor") or task.extract.__name__,
        estimate=own,
        samples=run.summary.samples,
        read=work.read,
        spread=spread(own, found),
        readings=found,
        parsing=work.parsing.result(),
    )
    made = made.model_copy(update={"note": note(made)})
    write_atomic(folder / AUDIT, to_json(made.model_dump(mode="json")))
    return made


def _metric(run: Result, task: Task, name: str) -> tuple[str, Scorer]:
    """The metric asked for, else the run's first, among those of scorers that judge each answer by itself."""
    scorers = {s.name: s for s in task.scorers if not (s.raw or s.needs or s.together)}
    known = [metric for metric, (scorer, _) in run.reduces.items() if scorer in scorers]
    if name and name not in known:
        raise ConfigError(f"--metric: {unknown('metric of single answers', name, known)}")
    if not known:
        raise ConfigError(f"{run.folder}: nothing to audit: no metric of it depends on single answers")
    chosen = name or known[0]
    return chosen, scorers[run.reduces[chosen][0]]


def _problems(run: Result, task: Task, data: str | None) -> list[Problem]:
    """The run's problems from the rows that it was made of. Raises DataError for others."""
    config: RunConfig = run.config
    mini = run.record["data"]["set"] == data_files.MINI
    source = data_files.open_source(data_files.MINI if mini else data)
    loaded = data_files.load(task, config.split, source, config.limit)
    recorded: Mapping[str, str] = run.record["data"]["sha256"]
    for name, sha256 in source.digests.items():
        if recorded.get(name, sha256) != sha256:
            raise DataError(f"{name} is not the file that {run.run_id} was made of: give that one by --data")
    by_id = {problem.id: problem for problem in loaded}
    if missing := [name for name in run.samples if name not in by_id]:
        raise DataError(f"no row for {missing[0]} of {run.run_id} and {len(missing) - 1} more problems of it")
    return [by_id[name] for name in run.samples]


def _fenced(run: Result) -> bool:
    """Whether most of the run's raw outputs have code blocks."""
    raw = fenced = 0
    for row in reader.rows(run.folder / "generations.jsonl", Generation):
        if row["completion"].get("form", "output") == "output":
            raw += 1
            fenced += bool(blocks(row["completion"]["text"]))
    return 2 * fenced > raw


def _judge_settings(record: Mapping[str, Any], options: AuditOptions) -> JudgeConfig:
    """The run's own limits and isolation; of two isolations that give the same verdicts, what there is here."""
    judged = record["judge"] or {}
    kept = {name: value for name, value in judged.items() if name not in ("versions", "installed")}
    if kept.get("sandbox") in EQUIVALENT_ISOLATION:
        kept["sandbox"] = "auto"
    plain = {**kept, "workers": options.workers, "python": options.python}
    return JudgeConfig.model_validate_json(json.dumps(plain))


def _check_versions(record: Mapping[str, Any], sandbox: Sandbox) -> None:
    before, here = record["judge"]["versions"], sandbox.versions(record["judge"]["versions"])
    before, here = before | record["judge"].get("installed", {}), {**here, **sandbox.packages}
    for name, was in before.items():
        if (now := here.get(name, "not installed")) != was:
            raise ConfigError(
                f"the run's judge had {name} {was}, and here it is {now}: name its Python by --python"
            )
