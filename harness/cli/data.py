"""The commands tasks (list, cards, prompts) and data (fetch, check, synthesise)."""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import check_writable, data_option, parse_config, set_dotted, sets_option
from harness.cli.output import json_option, print_json, quiet_option
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.schema import Backend, Request, Task


@click.command("tasks")
@click.argument("name", required=False)
@click.option(
    "--prompt",
    is_flag=False,
    flag_value="",
    metavar="[PROMPT]",
    help="Print one exact prompt: the default one, or the task's prompt of that name.",
)
@click.option("--model", metavar="M", help="With --prompt: as this model is given it, and its tokens.")
@click.option("--adapter", metavar="A", help="With --prompt: an adapter, which may bring a tokenizer.")
@click.option("--split", default="test", type=click.Choice(["train", "validation", "test"]))
@data_option
@sets_option
def tasks_command(
    name: str | None,
    prompt: str | None,
    model: str | None,
    adapter: str | None,
    split: str,
    data: str | None,
    sets: Sequence[str],
) -> None:
    """List the tasks with size, licence, source, metrics and the paper's setting; then the suites.

    With NAME show its card, or with --prompt the exact prompt of its first problem. With suite:NAME its runs.
    """
    from harness.config import suites
    from harness.tasks.loading import registry

    if name is None and prompt is not None:
        raise UserError("--prompt shows a prompt of one task: harness tasks NAME --prompt")
    if name is None:
        _list_tasks()
    elif name.startswith(suites.PREFIX):
        _show_suite(name.removeprefix(suites.PREFIX))
    elif prompt is not None:
        plain: dict[str, Any] = {"task": name, "split": split, "limit": 1, "data": data}
        set_dotted(plain, {"prompt": prompt or None, "backend.model": model, "backend.adapter": adapter})
        _show_prompt(plain, sets)
    else:
        config = parse_config({"task": name}, sets, "--set")
        _show_card(registry.task(name, config.options), registry.options(name))


def _list_tasks() -> None:
    from harness.config import suites
    from harness.tasks.loading import registry

    for name in registry.names():
        task = registry.task(name)
        sizes, metrics = _sizes_and_metrics(task)
        click.echo(f"{name:16} {task.card.title}")
        for line in (f"{sizes}; {task.card.licence}; {task.card.url}", metrics, task.card.setting):
            for row in textwrap.wrap(line, 93, break_on_hyphens=False, break_long_words=False):
                click.echo(" " * 17 + row)

    for name in suites.names():
        found = suites.read(name)
        click.echo(f"{suites.PREFIX + name:18} {found.title}; {len(found.runs)} runs")


def _show_suite(name: str) -> None:
    from harness.config import suites

    found = suites.read(name)
    click.echo(f"{found.title or name}, version {found.version}")
    for number, one in enumerate(found.runs):
        pinned = ", ".join(f"{key} = {json.dumps(value)}" for key, value in one.items() if key != "task")
        click.echo(f"  {number:2} {one['task']:16} {pinned}")


def _show_prompt(plain: dict[str, Any], sets: Sequence[str]) -> None:
    from harness import backends
    from harness.prompts import templates
    from harness.runs import progress
    from harness.runs.plan import make_plan, with_default_template

    config = parse_config(plain, sets, "--set")
    if config.shots.startswith("random"):
        raise UserError(f"shots = {config.shots!r} depends on the model's tokenizer: choose other shots")
    with progress.show(sys.stderr) as step:
        plan = make_plan(config, step)
    renderer = backends.load_renderer(config.backend) if config.backend.model else None
    if renderer is not None:
        plan = with_default_template(plan, renderer.chat)
    problem, template = plan.problems[0], plan.template
    prompt = templates.render(template, problem, plan.selection.solved_problems(problem.id))
    head = f"# {problem.id}, prompt {template.name!r} ({template.style}), stop {list(plan.sampling.stop)}"
    if renderer is not None:
        rendered = renderer.render(prompt)
        click.echo(f"{head}, {rendered.tokens} tokens\n{rendered.text}", nl=False)
        return
    click.echo(head)
    for message in prompt.messages:
        click.echo(f"[{message.role}]\n{message.content}")
    if not prompt.messages:
        click.echo(prompt.text, nl=False)
    if prompt.suffix is not None:
        click.echo(f"\n[suffix]\n{prompt.suffix}", nl=False)


def _sizes_and_metrics(task: "Task") -> tuple[str, str]:
    sizes = ", ".join(f"{split} {n}" if n else split for split, n in task.card.sizes.items())
    return sizes, ", ".join(name for scorer in task.scorers for name in scorer.metrics([1]))


def _show_card(task: "Task", options: Mapping[str, Sequence[str]]) -> None:
    from harness.prompts import templates

    card, sampling = task.card, task.sampling
    sizes, metrics = _sizes_and_metrics(task)
    defaults = {
        templates.select_template(task, "", chat=True).name: "of models with a chat template",
        templates.select_template(task, "", chat=False).name: "of models without",
    }
    rows = {
        "title": card.title,
        "paper": card.paper,
        "licence": card.licence,
        "source": card.url,
        "sizes": sizes,
        "metrics": metrics,
        "paper's setting": card.setting,
        "prompts": ", ".join(t.name for t in task.templates),
        "default prompt": ", ".join(f"{name} {who}" for name, who in defaults.items()),
        "sampling": f"{sampling.samples} sample, at most {sampling.max_tokens} tokens",
        "options": "; ".join(f"{option} = {' or '.join(values)}" for option, values in options.items())
        or "none",
        "files": ", ".join(f"{file.benchmark}/{file.name}" for file in card.files),
    }
    click.echo(f"{task.name}, version {task.version}")
    for key, value in rows.items():
        click.echo(f"  {key:16} {value}")


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
