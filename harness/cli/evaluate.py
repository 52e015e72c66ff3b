"""The commands that make runs: run (one, or a study), score (recordings), merge (shards), prefer (a rater chooses)."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.downloads import download
from harness.cli.options import (
    JudgeOptions,
    finish_run,
    flags_to_keys,
    judge_options,
    local_path,
    model_options,
    no_cache_option,
    open_executor,
    out_option,
    parse_config,
    run_config,
    sampling_options,
    set_dotted,
    set_one_or_several,
    sets_option,
    show_runs,
)
from harness.cli.study import StudyOptions, run_study, study_options
from harness.errors import UserError


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="T",
    help="A task's name, the path of a task file, or suite:NAME. Several: a study of them.",
)
@click.option("--model", metavar="M", help="A model folder or hub id, or a server's name for it.")
@click.option(
    "--server", metavar="URL", help="A server with OpenAI's protocol that has the model: http://HOST:PORT/v1."
)
@click.option(
    "--backend", metavar="B", help="hf (default), openai, server, an installed backend, or a backend file."
)
@click.option("--revision", metavar="COMMIT", help="The hub model's commit.")
@click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="A",
    help="A PEFT adapter: a folder or hub id@commit, or a server's name for it. Several: a study of them on one base.",
)
@click.option("--shots", metavar="S", help="Examples in the prompt: none, icl:N, rag:N, random_like_rag:N.")
@sampling_options
@model_options
@click.option("--limit", type=int, metavar="N", help="Only the first N problems.")
@no_cache_option
@study_options
@judge_options
def run(
    config: Path | None,
    judging: JudgeOptions,
    study: StudyOptions,
    no_cache: bool,
    tasks: Sequence[str],
    adapters: Sequence[str],
    **flags: Any,
) -> None:
    """Generate, judge, summarise. Rerun the same command to resume a run that was interrupted."""
    from harness.config import suites
    from harness.config.load import read_toml

    plain, where = read_toml(config) if config else {}, str(config or "flags")
    set_dotted(plain, flags_to_keys(flags))
    if flags["server"] and not flags["backend"]:
        set_dotted(plain, {"backend.kind": "openai"})
    if no_cache:
        plain["cache"] = ""
    set_one_or_several(plain, "task", tasks)
    set_one_or_several(plain, "backend.adapter", adapters)
    set_one_or_several(plain, "extract", judging.extracts)
    plain = suites.expand(plain)
    if "matrix" in plain or "train" in plain:
        with open_executor(judging) as workers:
            run_study(plain, where, judging, workers, study)
        return
    if study.smoke or study.dry_run:
        raise UserError(
            "--smoke and --dry-run are for studies: a config with a [matrix], or several adapters"
        )
    if "task" not in plain and "check" in plain:
        raise UserError(f"{config} is a task and no config: give it with --task {config}")
    if "task" not in plain:
        raise UserError("no task: give --task NAME or a config file; 'harness tasks' lists the names")
    if study.allow_download:
        download(parse_config(plain, judging.sets, where))
    with open_executor(judging) as workers:
        done = run_config(
            plain, judging.out, judging.sets, where, workers, judging.shard, judging.until_clear
        )
    finish_run(*done)


@click.command()
@click.argument("task")
@click.option(
    "--completions", required=True, metavar="FILE", help="Recorded completions: a file, or EvalPlus' folder."
)
@click.option(
    "--field",
    default="",
    metavar="NAME",
    help="The rows' field with the model's text, raw output; NAME=solution for programs, NAME=completion"
    " for what continues the prompt.",
)
@click.option("--limit", type=int, metavar="N", help="Only the first N problems.")
@click.option("--partial", is_flag=True, help="Allow problems without completions.")
@no_cache_option
@judge_options
def score(
    task: str,
    judging: JudgeOptions,
    completions: str,
    field: str,
    partial: bool,
    no_cache: bool,
    **flags: Any,
) -> None:
    """Judge recorded completions; no model needed."""
    backend = {"kind": "replay", "path": completions, "field": field, "partial": partial}
    plain: dict[str, Any] = {"task": task, "backend": backend, **({"cache": ""} if no_cache else {})}
    set_dotted(plain, flags_to_keys(flags))
    set_one_or_several(plain, "extract", judging.extracts)
    with open_executor(judging) as workers:
        if "matrix" in plain:
            run_study(plain, "--set", judging, workers, StudyOptions())
            return
        done = run_config(
            plain, judging.out, judging.sets, "--set", workers, judging.shard, judging.until_clear
        )
    finish_run(*done)


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, callback=local_path)
@out_option
def merge_command(folders: Sequence[Path], out: Path | None) -> None:
    """Join the shards of a run (or all shards below a folder) into one run."""
    from harness.runs import merge
    from harness.runs.run import RUNS

    done = merge.merge(folders, out, RUNS)
    show_runs([folder for folder, _ in done])
    if faults := sum(summary.errors for _, summary in done):
        click.echo(
            f"error: {faults} samples could not be judged and are in no metric; rerun the commands of their shards"
            " and merge again, or rerun the command without --shard on the merged folder",
            err=True,
        )
        sys.exit(3)


@click.command("prefer")
@click.argument("runs", nargs=-1, required=True, callback=local_path)
@click.option("--model", metavar="M", help="The rater: a model folder or hub id.")
@click.option("--completions", metavar="FILE", help="The rater's replies, recorded or written by hand.")
@click.option(
    "--ask", type=click.Path(path_type=Path), metavar="FILE", help="Write the prompts there and stop."
)
@click.option("--criteria", default="", metavar="TEXT", help="What makes an answer good.")
@out_option
@sets_option
def prefer_command(
    runs: Sequence[Path],
    model: str | None,
    completions: str | None,
    ask: Path | None,
    criteria: str,
    out: Path | None,
    sets: Sequence[str],
) -> None:
    """Have a rater (a model, or a person) choose, problem by problem, which of several runs has the best answer."""
    from harness.results import preference
    from harness.runs import progress
    from harness.runs.store.atomic import write_atomic

    plain: dict[str, Any] = {"task": "judge"}
    set_dotted(plain, {"backend.model": model, "backend.path": completions})
    set_dotted(plain, {"backend.kind": "replay" if completions else None})
    config = parse_config(plain, sets, "--set")
    if ask is not None:
        _, prompts = preference.prepare(runs, criteria, config.seed)
        rows = ({"task_id": one.problem.id, "prompt": one.problem.question, "text": ""} for one in prompts)
        write_atomic(ask, "".join(json.dumps(row) + "\n" for row in rows))
        click.echo(
            f"wrote {len(prompts)} prompts to {ask}: fill in 'text', then rerun with --completions {ask}"
        )
        return
    with progress.show(sys.stderr) as step:
        folder, summary = preference.prefer(runs, config, criteria, out, step)
    finish_run(folder, summary)
