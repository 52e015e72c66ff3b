"""What several commands share: their options, flags that become a config, a run, and what is shown of it."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UserError
from harness.runs.store.remote import Images

if TYPE_CHECKING:
    from harness.config.run import RunConfig
    from harness.runs.run import Engine
    from harness.schema import Summary

sets = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set any key of the config.")
data = click.option(
    "--data", envvar="HARNESS_DATA", metavar="DIR", help="Benchmark files, or 'mini'. [HARNESS_DATA]"
)


def said(text: str) -> None:
    """Print a line, with folders as the user named them."""
    images = click.get_current_context().find_object(Images)
    click.echo(images.spoken(text) if images else text)


def near(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """An option's callback: the folder, or folders, to read; a URL is fetched."""
    del parameter
    images = context.find_object(Images) or context.with_resource(Images())
    if value is None:
        return None
    return images.read(value) if isinstance(value, str) else tuple(images.read(each) for each in value)


def own(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """An option's callback: the folder to write a run to; what lies at a URL is fetched, and goes back there."""
    del parameter
    images = context.find_object(Images) or context.with_resource(Images())
    return None if value is None else images.write(value)


out = click.option("--out", callback=own, metavar="DIR", help="The run's own folder, or its URL (s3://...).")
only = click.option(
    "--only", metavar="FILE", help="Only the problems that FILE names: a gate's baseline, or an id a line."
)
shard = click.option(
    "--shard",
    metavar="I/N",
    help="Only part I of N of the problems, from 0/N on; 'harness merge' joins them.",
)
workers = click.option("--workers", type=int, help="Processes that judge (default: one a core).")
time_limit = click.option("--time-limit", type=float, metavar="S", help="CPU seconds a program may use.")
memory_mb = click.option("--memory-mb", type=int, metavar="N", help="Memory a program may use.")
isolation = click.option(
    "--sandbox",
    type=click.Choice(["auto", "namespaces", "landlock", "process"]),
    help="Isolation; 'process' is none to speak of and never chosen by itself.",
)


def engine(command: Any) -> Any:
    """Who does the work: --engine and --ray-address."""
    address = click.option(
        "--ray-address", envvar="RAY_ADDRESS", metavar="HOST:PORT", help="The cluster's head. [RAY_ADDRESS]"
    )
    who = click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Who generates and judges: this machine, or a Ray cluster (extra 'ray'). Same bytes.",
    )
    return who(address(command))


def judging(command: Any) -> Any:
    """The options of a command that judges: which problems, where to, with what limits, and who does the work."""
    for option in (shard, engine, isolation, memory_mb, time_limit, workers, sets, data, out, only):
        command = option(command)
    return command


@contextmanager
def working(engine: str, ray_address: str | None) -> "Iterator[Engine]":
    """The engine of those two options, connected as long as the block lasts."""
    from harness.runs import run

    if engine == "local":
        yield run.LOCAL
        return
    from harness.runs import ray

    with ray.connect(ray_address or "") as joined:
        yield joined.engine


_FLAGS = {
    "task": "task",
    "model": "backend.model",
    "revision": "backend.revision",
    "shots": "shots",
    "samples": "sampling.samples",
    "limit": "limit",
    "only": "only",
    "data": "data",
    "workers": "judge.workers",
    "time_limit": "judge.time_limit",
    "memory_mb": "judge.memory_mb",
    "sandbox": "judge.sandbox",
}


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as keys of the config; --only's file as the ids in it."""
    values = {_FLAGS[name]: value for name, value in flags.items()}
    if values.get("only") is not None:
        from harness.results import gate

        values["only"] = gate.named(Path(values["only"]))
    return values


def put(plain: dict[str, Any], values: dict[str, Any]) -> None:
    """Set dotted keys; a flag that was not given (None) leaves the config's value."""
    for key, value in values.items():
        if value is not None:
            *parents, last = key.split(".")
            at = plain
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = value


def config_of(plain: dict[str, Any], sets: Sequence[str], where: str) -> "RunConfig":
    from harness.config.load import apply_sets, parse

    return parse(cached(apply_sets(plain, sets)), where)


def cached(plain: dict[str, Any]) -> dict[str, Any]:
    """HARNESS_CACHE names the folder for index files, where the config does not."""
    if folder := os.environ.get("HARNESS_CACHE"):
        retrieval = plain.setdefault("retrieval", {})
        if isinstance(retrieval, dict):
            retrieval.setdefault("cache", folder)
    return plain


def answers(plain: dict[str, Any], no_cache: bool) -> None:
    """Name the answer store of this machine, where the config does not name one and one is wanted."""
    if no_cache:
        plain["answers"] = ""
    elif "answers" not in plain:
        plain["answers"] = str(answers_file())


def answers_file() -> Path:
    from harness.backends.completion_cache import FILE

    return Path(os.environ.get("HARNESS_CACHE") or "~/.cache/codelm-harness").expanduser() / FILE


def evaluated(
    plain: dict[str, Any],
    out: Path | None,
    sets: Sequence[str] = (),
    where: str = "config",
    engine: "Engine | None" = None,
    shard: str | None = None,
) -> tuple[Path, "Summary"]:
    from harness.runs import progress, run, shards

    config, part = config_of(plain, sets, where), shards.parse(shard)
    with progress.shown(sys.stderr) as step:
        return run.run(config, out, step, engine=engine or run.LOCAL, shard=part)


def unjudged(samples: int) -> str:
    return (
        f"{samples} samples could not be judged (a fault of the sandbox, not of the model) and are in"
        " no metric; run the same command again to try them once more"
    )


def show(folders: Sequence[Path]) -> None:
    from harness.results.report import terminal
    from harness.runs.store import folder as store

    click.echo(terminal.render([store.read_run(folder)[1] for folder in folders]), nl=False)
    for folder in folders:
        said(f"run: {folder}")


def finish(folder: Path, summary: "Summary") -> None:
    show([folder])
    if summary.errors:
        click.echo(f"error: {unjudged(summary.errors)}", err=True)
        sys.exit(3)


def writable(path: Path, option: str) -> Path:
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"{option} {str(path)!r} cannot be a file: give a name in a folder that exists")
    return path
