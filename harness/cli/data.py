"""The command data: fetch, check, synthesise."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import check_writable, data_option, parse_config, set_dotted, sets_option
from harness.cli.output import json_option, print_json, quiet_option
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.schema import Backend, Request


@click.command("data")
@click.argument("action", type=click.Choice(["fetch", "check", "synth"]))
@click.argument("name")
@click.option("--model", metavar="M", help="synth: the model that writes the rows.")
@click.option("--completions", metavar="FILE", help="synth: recorded completions instead of a model.")
@click.option(
    "--samples", type=int, default=1, metavar="N", help="synth: rows requested per seed and template."
)
@click.option(
    "--turns",
    type=click.IntRange(1),
    metavar="N",
    help="synth: a conversation per seed, of N questions at most.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="synth: the file to write the rows to."
)
@data_option
@sets_option
@json_option
@quiet_option
def data_command(
    action: str, name: str, data: str | None, sets: Sequence[str], out: Path | None, **flags: Any
) -> None:
    """Download a benchmark's files into the hub cache (fetch), load and count every row (check), or have a model write
    training rows from a file NAME of seeds and keep those that parse, run and differ (synth)."""
    from harness.tasks.loading import data_files, data_sets, registry

    if flags["as_json"] and action != "check":
        raise UserError(f"--json is of data check: {action} prints which files it wrote")
    if action == "synth":
        _synth(Path(name), out, sets, flags)
        return
    task = registry.task(name, parse_config({"task": name}, sets, "--set").options)
    if action == "fetch" and data and data.startswith(data_sets.HUB):
        click.echo(f"{data}: {data_sets.fetch(data)}")
        return
    if action == "fetch":
        for file in task.card.files:
            if file.hub is None:
                raise UserError(f"{file.name} is not on the hub: get it from {task.card.url}")
            click.echo(f"{file.name}: {data_files.fetch(file.hub)}")
        return
    checked = []
    for split in task.card.sizes:
        source = data_files.open_source(data)
        problems = data_files.load(task, split, source)  # type: ignore[arg-type]
        published = task.card.sizes[split]
        note = "as published" if len(problems) == published else f"published: {published or 'unknown'}"
        shas = ", ".join(f"{file} sha256 {sha[:12]}" for file, sha in source.digests.items())
        checked.append(
            {"split": split, "rows": len(problems), "published": published, "sha256": source.digests}
        )
        if not flags["as_json"]:
            click.echo(f"{split:10} {len(problems)} rows ({note}); {shas}")
    if flags["as_json"]:
        print_json(checked)


def _synth(file: Path, out: Path | None, sets: Sequence[str], flags: dict[str, Any]) -> None:
    from harness.runs import judge, workers
    from harness.schema import Sampling
    from harness.training.data import dialogues, synthesis

    if out is None:
        raise UserError("synth needs --out FILE to write the rows to")
    if flags["turns"] and flags["samples"] > 1:
        raise UserError("synth makes one conversation a seed: leave --samples out, or --turns")
    check_writable(out, "--out")
    plain: dict[str, Any] = {"task": "synth"}
    set_dotted(plain, {"backend.model": flags["model"], "backend.path": flags["completions"]})
    if flags["completions"]:
        plain["backend"] |= {"kind": "replay", "partial": True}
    config = parse_config(plain, sets, "--set")
    seeds = synthesis.read_seeds(file)
    requests = synthesis.build_requests(seeds, flags["samples"])
    names = (
        dialogues.names(seeds, flags["turns"]) if flags["turns"] else [each.problem_id for each in requests]
    )
    overrides = {name: value for name, value in config.sampling.model_dump().items() if value is not None}
    settings = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 512, "seed": config.seed}
    sampling = Sampling(**{**settings, "samples": flags["samples"], **overrides})
    with closing(workers.load(config.backend, names)) as backend, judge.open_sandbox(config.judge) as box:
        if flags["turns"]:
            said, dropped = dialogues.make_dialogues(backend, seeds, flags["turns"], sampling, box)
            lines = dialogues.as_rows(said)
        else:
            rows, dropped = synthesis.generate_rows(backend, _recorded(backend, requests), sampling, box)
            lines = synthesis.as_rows(rows)
    for why, count in dropped.most_common():
        click.echo(f"dropped {count}: {why}")
    if not lines:  # a file without rows is nothing that a training could read
        click.echo(f"warning: kept no rows, {out} was not written", err=True)
        sys.exit(3)
    synthesis.write_rows(out, lines)
    click.echo(f"kept {len(lines)} rows: {out}")


def _recorded(backend: "Backend", requests: "Sequence[Request]") -> "Sequence[Request]":
    """Of a recording what it has."""
    from harness import backends

    if (recorded := backends.recorded_backend(backend)) is None:
        return requests
    return [
        replace(each, indices=tuple(range(recorded.counts[each.problem_id])))
        for each in requests
        if each.problem_id in recorded.counts
    ]
