"""Shared by the commands: options, turning flags into a config, running it, and showing the result."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import IncompleteRun, UserError
from harness.runs.store.remote import RemoteRuns

if TYPE_CHECKING:
    from harness.config.run import RunConfig
    from harness.runs.looks import Enough
    from harness.runs.run import Executor
    from harness.schema import Summary

sets_option = click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set any key of the config."
)
data_option = click.option(
    "--data",
    envvar="HARNESS_DATA",
    metavar="DIR",
    help="Benchmark files, 'mini', or a data set. [HARNESS_DATA]",
)


def echo(text: str) -> None:
    """Print a line, with remote folders under the names that the user gave."""
    remote_runs = click.get_current_context().find_object(RemoteRuns)
    click.echo(remote_runs.display_path(text) if remote_runs else text)


def local_path(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A click callback: the folder, or folders, to read; a URL is downloaded first."""
    del parameter
    remote_runs = context.find_object(RemoteRuns) or context.with_resource(RemoteRuns())
    if value is None:
        return None
    return (
        remote_runs.local_path(value)
        if isinstance(value, str)
        else tuple(remote_runs.local_path(each) for each in value)
    )


def output_dir(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """A click callback: the folder to write a run to; a run at a URL is downloaded, and uploaded as it grows."""
    del parameter
    remote_runs = context.find_object(RemoteRuns) or context.with_resource(RemoteRuns())
    return None if value is None else remote_runs.output_dir(value)


out_option = click.option(
    "--out", callback=output_dir, metavar="DIR", help="The run's own folder, or its URL (s3://...)."
)
only_option = click.option(
    "--only", metavar="FILE", help="Only the problems listed in FILE: a gate baseline, or one id per line."
)
shard_option = click.option(
    "--shard",
    metavar="I/N",
    help="Only shard I of N of the problems, counted from 0; 'harness merge' joins them.",
)
until_clear_option = click.option(
    "--until-clear",
    type=click.Path(path_type=Path),
    metavar="BASELINE",
    help="Take the problems in an order drawn by lot and stop once harness gate is sure; without it the same command"
    " goes on.",
)
no_cache_option = click.option(
    "--no-cache",
    is_flag=True,
    envvar="HARNESS_NO_CACHE",
    help="Take no completion and no verdict of earlier runs, and keep none. [HARNESS_NO_CACHE]",
)
workers_option = click.option("--workers", type=int, help="Sandbox processes (default: one per core).")
time_limit_option = click.option("--time-limit", type=float, metavar="S", help="CPU seconds per program.")
memory_option = click.option("--memory-mb", type=int, metavar="N", help="Memory per program.")
sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(["auto", "namespaces", "landlock", "process"]),
    help="Isolation level; 'process' hardly isolates and is never chosen automatically.",
)


def with_options(command: Any, *options: Any) -> Any:
    """The command with these decorators; the last comes first in its help."""
    for option in options:
        command = option(command)
    return command


def executor_options(command: Any) -> Any:
    """Where the work is done: --executor, --ray-address, --judge-url."""
    address = click.option(
        "--ray-address", envvar="RAY_ADDRESS", metavar="HOST:PORT", help="The cluster's head. [RAY_ADDRESS]"
    )
    executor = click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Where to generate and judge: this machine or a Ray cluster (extra 'ray'). Same bytes.",
    )
    judges = click.option(
        "--judge-url",
        "judge_urls",
        multiple=True,
        metavar="URL",
        help="Run programs and queries at a 'harness serve' and not here. Several: at all of them. Same bytes.",
    )
    return executor(address(judges(command)))


extract_option = click.option(
    "--extract",
    "extracts",
    multiple=True,
    metavar="NAME",
    help="How answers are read: entry_point, first_block, ..., FILE.py:NAME. Several: a study of them.",
)


@dataclass(frozen=True)
class JudgeOptions:
    """Where a command judges and where its runs go, and the config keys that flags of a value each do not set."""

    out: Path | None
    sets: Sequence[str]
    extracts: Sequence[str]
    executor: str
    ray_address: str | None
    judge_urls: Sequence[str]
    shard: str | None
    until_clear: Path | None


def collect(options: type, name: str) -> Any:
    """A decorator: the command gets the flags that are fields of the dataclass `options` as one value, `name`."""

    def decorate(command: Any) -> Any:
        @wraps(command)
        def collected(**flags: Any) -> Any:
            values = {field.name: flags.pop(field.name) for field in fields(options)}
            return command(**{name: options(**values)}, **flags)

        return collected

    return decorate


def judge_options(command: Any) -> Any:
    """The options of a command that judges: problems, limits, and what is collected in JudgeOptions as `judging`."""
    command = collect(JudgeOptions, "judging")(command)
    return with_options(
        command,
        shard_option,
        until_clear_option,
        executor_options,
        sandbox_option,
        memory_option,
        time_limit_option,
        workers_option,
        sets_option,
        data_option,
        out_option,
        only_option,
        extract_option,
    )


def sampling_options(command: Any) -> Any:
    """How completions are sampled."""
    return with_options(
        command,
        click.option("--seed", type=int, metavar="N", help="Of sampling, shots and intervals."),
        click.option("--max-tokens", type=int, metavar="N", help="Tokens of an answer at most."),
        click.option(
            "--top-p", type=float, metavar="P", help="Sample from the likeliest tokens of this mass."
        ),
        click.option("--temperature", type=float, metavar="T", help="0 is greedy."),
        click.option("--samples", type=int, metavar="N", help="Completions per problem."),
    )


def model_options(command: Any) -> Any:
    """How a model on this machine is run."""
    dtypes = ("auto", "float32", "bfloat16", "float16")
    return with_options(
        command,
        click.option("--dtype", type=click.Choice(dtypes), help="Of the model's numbers."),
        click.option("--device", metavar="D", help="cpu, cuda, cuda:1, ... (default: what there is)."),
        click.option(
            "--batch-size", type=int, metavar="N", help="Rows at once; 0: as many as fit in memory."
        ),
    )


@contextmanager
def open_executor(judging: JudgeOptions) -> "Iterator[Executor]":
    """The executor that the options name, connected for the duration of the block."""
    from harness.runs import run

    with ExitStack() as opened:
        chosen = run.LOCAL
        if judging.executor == "ray":
            from harness.runs import ray

            chosen = opened.enter_context(ray.connect(judging.ray_address or "")).executor
        if judging.judge_urls:
            from harness.runs import services

            token = os.environ.get(services.TOKEN, "")
            chosen = replace(chosen, open_sandbox=services.opener(judging.judge_urls, token))
        yield chosen


FLAG_KEYS = {
    "model": "backend.model",
    "backend": "backend.kind",
    "server": "backend.server.url",
    "batch_size": "backend.batch_size",
    "device": "backend.device",
    "dtype": "backend.dtype",
    "revision": "backend.revision",
    "shots": "shots",
    "samples": "sampling.samples",
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "max_tokens": "sampling.max_tokens",
    "seed": "seed",
    "limit": "limit",
    "only": "only",
    "data": "data",
    "workers": "judge.workers",
    "time_limit": "judge.time_limit",
    "memory_mb": "judge.memory_mb",
    "sandbox": "judge.sandbox",
}


def flags_to_keys(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as config keys; the file of --only becomes the ids in it."""
    values = {FLAG_KEYS[name]: value for name, value in flags.items()}
    if values.get("only") is not None:
        from harness.results.baseline import read_ids

        values["only"] = read_ids(Path(values["only"]))
    return values


def set_dotted(plain: dict[str, Any], values: dict[str, Any]) -> None:
    """Set dotted keys; None (a flag that was not given) leaves the config's value."""
    for key, value in values.items():
        if value is not None:
            *parents, last = key.split(".")
            at = plain
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = value


def set_one_or_several(plain: dict[str, Any], key: str, values: Sequence[str]) -> None:
    """One value of a repeatable option sets the key; several are an axis of a study."""
    if values:
        set_dotted(plain, {f"matrix.{key}": list(values)} if len(values) > 1 else {key: values[0]})


def parse_config(plain: dict[str, Any], sets: Sequence[str], where: str) -> "RunConfig":
    from harness.config.load import apply_sets, parse, with_defaults

    return parse(with_defaults(apply_sets(plain, sets), os.environ), where)


def run_config(
    plain: dict[str, Any],
    out: Path | None,
    sets: Sequence[str] = (),
    where: str = "config",
    executor: "Executor | None" = None,
    shard: str | None = None,
    until_clear: Path | None = None,
) -> tuple[Path, "Summary"]:
    from harness.runs import progress, run, shards

    config, part = parse_config(plain, sets, where), shards.parse(shard)
    enough = _gate_is_sure(until_clear, part is not None) if until_clear else None
    try:
        with progress.show(sys.stderr) as step:
            return run.run(config, out, step, executor=executor or run.LOCAL, shard=part, enough=enough)
    except IncompleteRun as incomplete:
        show_runs([incomplete.folder])
        raise


def _gate_is_sure(baseline: Path, sharded: bool) -> "Enough":
    """Looks at a part of a run with the eyes of harness gate. Raises UserError for what is no baseline."""
    from harness.results.baseline import read_baseline
    from harness.results.gate import UntilClear

    if sharded:
        raise UserError("--until-clear takes problems in an order of its own: leave --shard out")
    return UntilClear(read_baseline(baseline))


def unjudged_message(*summaries: "Summary") -> str:
    """What is to be done about samples that could not be judged: a second try helps only if the sandbox failed."""
    from harness.scorers.execution.own_reference import NOT_RUN

    samples = sum(summary.errors for summary in summaries)
    reasons = (note.partition(NOT_RUN)[2] for summary in summaries for note in summary.notes)
    if why := next(filter(None, reasons), ""):
        then = ", then add --set judge.python=ENV/bin/python" if "harness env" in why else ""
        return f"{samples} samples could not be judged and are in no metric: {why}{then}"
    return (
        f"{samples} samples could not be judged (a fault of the sandbox, not of the model) and are in"
        " no metric; rerun the same command to retry them"
    )


def show_runs(folders: Sequence[Path]) -> None:
    from harness.results.report import terminal
    from harness.runs.store.run_folder import read_run

    click.echo(terminal.render([read_run(folder)[1] for folder in folders]), nl=False)
    for folder in folders:
        echo(f"run: {folder}")


def finish_run(folder: Path, summary: "Summary") -> None:
    show_runs([folder])
    if summary.errors:
        click.echo(f"error: {unjudged_message(summary)}", err=True)
        sys.exit(3)


def check_writable(path: Path, option: str) -> Path:
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"{option} {str(path)!r} cannot be written: give a file name in an existing folder")
    return path
