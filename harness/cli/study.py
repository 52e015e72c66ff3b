"""What `harness run` does with a study: cells checked, trainings done, cells run, compared with the base, reported."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.downloads import download
from harness.cli.options import JudgeOptions, collect, echo, show_runs, unjudged_message, with_options
from harness.errors import ConfigError, UserError, unknown

if TYPE_CHECKING:
    from harness.config.grid import Cell
    from harness.runs.run import Executor
    from harness.training.study import Assigned

REPORT_KEYS = ("papers", "metric")


@dataclass(frozen=True)
class StudyOptions:
    """`smoke`: the smallest size that goes through all of it. `dry_run`: say what would be done, and stop."""

    allow_download: bool = False
    smoke: bool = False
    dry_run: bool = False


def study_options(command: Any) -> Any:
    """The options of a study, as `study`."""
    command = collect(StudyOptions, "study")(command)
    return with_options(
        command,
        click.option(
            "--allow-download", is_flag=True, help="Fetch a missing data file or model from the hub."
        ),
        click.option("--dry-run", is_flag=True, help="Say what a study would do, and stop."),
        click.option(
            "--smoke",
            is_flag=True,
            help="A study in its smallest size: two problems a cell, two steps a training.",
        ),
    )


def run_study(
    plain: dict[str, Any], where: str, judging: JudgeOptions, executor: "Executor", options: StudyOptions
) -> None:
    """Do all of it; what is done already is not done again. Exits with 3 where a cell failed."""
    from harness.config.load import apply_sets
    from harness.training import smoke

    if judging.until_clear:
        raise UserError("--until-clear stops one run, and this is a study: leave it out")
    plain = apply_sets(plain, judging.sets)
    if options.smoke:
        plain = smoke.shrink(plain)
    if "classifier" in plain:
        _run_rounds(plain, where, judging, executor, options)
    else:
        _run_once(plain, judging.out, where, judging, executor, options)


def _run_rounds(
    plain: dict[str, Any], where: str, judging: JudgeOptions, executor: "Executor", options: StudyOptions
) -> None:
    """A study with a [classifier]: each round has a folder, with its classifier, its adapters and its runs."""
    from harness.cli.classifier import show_classifier
    from harness.config.load import checked
    from harness.runs import progress
    from harness.training import rounds

    if judging.out is None or judging.shard:
        raise ConfigError(f"{where}: a study with a [classifier] needs --out, and takes no --shard")
    table = checked(rounds.RoundsConfig, plain.pop("classifier"), f"{where}: classifier")
    config = table.first(plain.get("data") or os.environ.get("HARNESS_DATA"))
    for number in range(1, table.rounds + 1):
        folder = judging.out / f"round-{number}"
        study = rounds.with_judge(rounds.with_seeds(plain, number), config, folder / rounds.JUDGE, where)
        cells, assigned = _cells(_without_report(study, where), folder, where)
        if table.rounds > 1:
            rounds.check_generators(config, [cell.config.backend.adapter for cell in cells], where)
        if number == 1:  # a name of a training may hold a seed, which later rounds have not
            for later in range(2, table.rounds + 1):
                _cells(_without_report(rounds.with_seeds(study, later), where), folder, where)
        if options.dry_run:
            echo(
                f"{table.rounds} rounds, each a classifier, {len(assigned.trainings)} trainings and {len(cells)} cells"
            )
            return
        with progress.show(sys.stderr) as step:
            record = rounds.train_judge(config, folder / rounds.JUDGE, step)
        echo(f"round {number} of {table.rounds}")
        show_classifier(folder / rounds.JUDGE, record)
        runs = _run_once(study, folder, where, judging, executor, options)
        if number < table.rounds:
            config = rounds.next_round(config, runs)


def _run_once(
    plain: dict[str, Any],
    out: Path | None,
    where: str,
    judging: JudgeOptions,
    executor: "Executor",
    options: StudyOptions,
) -> dict[str, Path]:
    """Trainings, cells, their report; the folder of the first cell of each adapter as the study names it."""
    from harness.config import suites
    from harness.runs import progress, shards, study
    from harness.runs.run import RUNS
    from harness.training.study import base_cells, check_trainings, train_missing

    report, suite = _report_options(plain.pop("report", {}), where), plain.pop("suite", "")
    cells, assigned = _cells(plain, out, where)
    if options.dry_run:
        _show_plan(cells, assigned, out or RUNS)
        return {}
    for cell in base_cells(cells) if options.allow_download else ():
        download(cell.config)
    part, root = shards.parse(judging.shard), out or RUNS
    with progress.show(sys.stderr) as step:
        study.check(base_cells(cells), step, part)
        check_trainings(assigned.trainings)
        if assigned.trainings:
            train_missing(assigned.trainings, step)
        outcome = study.run(assigned.cells, root, step, executor, part)
    show_runs([*(folder for _, folder, _ in outcome.done), *outcome.incomplete])
    if suite and part is None and len(outcome.done) == len(cells):
        for cell, folder, _ in outcome.done:
            echo(f"{folder.name}: {cell.label}")
        echo(suites.signature(suite, [summary.signature for _, _, summary in outcome.done]))
    if outcome.done and part is None and (report or assigned.trainings):
        _write_report([folder for _, folder, _ in outcome.done], root / "report.html", report)
    _tell_failures(outcome, len(cells))
    folders = {cell.label: folder for cell, folder, _ in outcome.done}
    return {cell.config.backend.adapter: folders[cell.label] for cell in reversed(cells)}


def _cells(plain: dict[str, Any], out: Path | None, where: str) -> "tuple[list[Cell], Assigned]":
    from harness.config import grid
    from harness.config.load import with_defaults
    from harness.training.study import assign

    train = plain.pop("train", {})
    cells = grid.expand(with_defaults(plain, os.environ), where)
    return cells, assign(cells, train, out / "adapters" if out else None, where)


def _without_report(plain: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The study without what is asked of all its cells together, which is checked. Raises ConfigError."""
    _report_options(plain.get("report", {}), where)
    return {key: value for key, value in plain.items() if key not in ("report", "suite")}


def _report_options(plain: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(plain, dict):
        raise ConfigError(f"{where}: report = {plain!r}: expected a table, with {' and '.join(REPORT_KEYS)}")
    for key in plain:
        if key not in REPORT_KEYS:
            raise ConfigError(f"{where}: report: {unknown('key', key, REPORT_KEYS)}")
    return plain


def _write_report(folders: Sequence[Path], page: Path, report: Mapping[str, Any]) -> None:
    """Every cell against the zero-shot base, with the papers' rows beside."""
    from harness.cli.results import sections_of, write_page

    try:
        sections, skipped = sections_of(folders, str(report.get("metric", "")))
        write_page(sections, skipped, page, tuple(report.get("papers", ())))
    except UserError as error:
        click.echo(f"warning: no report: {error}", err=True)


def _tell_failures(outcome: Any, cells: int) -> None:
    for cell, why in outcome.failed:
        click.echo(f"error: cell {cell.label}: {why}", err=True)
    if outcome.failed:
        click.echo(
            f"error: {len(outcome.failed)} of {cells} cells failed; rerun the same command to retry them",
            err=True,
        )
    if outcome.errors:
        click.echo(f"error: {unjudged_message(*(summary for _, _, summary in outcome.done))}", err=True)
    if outcome.failed or outcome.errors:
        sys.exit(3)


# ---------------------------------------------------------------- --dry-run


def _show_plan(cells: "Sequence[Cell]", assigned: "Assigned", root: Path) -> None:
    """Trainings and cells with what each will ask for, and a time where earlier cells tell how fast this machine is."""
    from harness.runs import progress, study
    from harness.training.study import base_cells, is_finished

    for folder, config in assigned.trainings.items():
        state = "done" if is_finished(folder, config) else "to do"
        echo(f"training {folder.name}: {config.method}, {len(config.data)} data sets, {state}")
    rows = []
    with progress.show(sys.stderr) as step:
        for number, cell in enumerate(base_cells(cells)):
            step("estimate", number, len(cells))
            rows.append(study.estimate(cell, step))
    width = max(len(cell.label) for cell in cells)
    echo(f"{'cell':{width}}  problems  samples  prompt tokens  tokens at most")
    for cell, row in zip(cells, rows, strict=True):
        echo(
            f"{cell.label:{width}}  {row.problems:8,}  {row.samples:7,}  {row.prompt_tokens:13,}"
            f"  {row.most_tokens:14,}"
        )
    read, most = (sum(getattr(row, name) for row in rows) for name in ("prompt_tokens", "most_tokens"))
    echo(
        f"{len(assigned.trainings)} trainings, {len(cells)} cells: {read:,} prompt tokens, at most {most:,} more"
    )
    for name, size in _weights(cells).items():
        echo(f"weights of {name}: {size / 1e6:,.0f} MB, besides what the batches take")
    echo(f"time: {_time(most, root)}")


def _weights(cells: "Sequence[Cell]") -> dict[str, int]:
    """The bytes of each base's weights, where its folder is on this machine."""
    from harness.backends import hub

    found = {}
    for model, revision in dict.fromkeys((c.config.backend.model, c.config.backend.revision) for c in cells):
        try:
            folder, _ = hub.find(model, revision)
        except UserError:
            continue
        found[model] = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return found


def _time(tokens: int, root: Path) -> str:
    from datetime import timedelta

    from harness.runs.store.run_folder import read_timings

    made = [row for file in root.glob("*/timings.jsonl") for row in read_timings(file.parent)]
    made = [row for row in made if row["stage"] == "generate" and row.get("tokens")]
    if not made:
        return "not known before the first cell has run here"
    rate = sum(row["tokens"] for row in made) / max(sum(row["seconds"] for row in made), 1e-9)
    most = timedelta(seconds=round(tokens / rate))
    return f"at most {most} of generating, at {rate:,.0f} tokens/s as in earlier cells"
