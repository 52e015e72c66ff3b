"""The command tasks: the list and what is searched in it, a task's card, one exact prompt; suites."""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import collect, data_option, parse_config, set_dotted, sets_option, with_options
from harness.cli.output import json_option, print_json, quiet_option
from harness.errors import UserError, unknown

if TYPE_CHECKING:
    from harness.schema import Task


@dataclass(frozen=True)
class Search:
    """What a task of the list must have."""

    language: str = ""
    tag: str = ""
    licence: str = ""
    max_problems: int | None = None


def search_options(command: Any) -> Any:
    return with_options(
        collect(Search, "search")(command),
        click.option("--max-problems", type=int, metavar="N", help="Only tasks of at most N test problems."),
        click.option(
            "--licence", default="", metavar="TEXT", help="Only tasks whose licence has this: MIT, CC BY ..."
        ),
        click.option(
            "--tag", default="", metavar="TAG", help="Only tasks of this kind: repair, text-to-sql ..."
        ),
        click.option(
            "--language",
            default="",
            metavar="L",
            help="Only tasks whose answers are in this: python, java ...",
        ),
    )


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
@search_options
@json_option
@data_option
@sets_option
@quiet_option
def tasks_command(
    name: str | None, prompt: str | None, split: str, search: Search, as_json: bool, **options: Any
) -> None:
    """List the tasks with size, licence, source, metrics and the paper's setting; then the suites. Offline.

    With NAME show its card, or with --prompt the exact prompt of its first problem. With suite:NAME its runs.
    """
    from harness.config import suites
    from harness.tasks.loading import registry

    if name is None and prompt is not None:
        raise UserError("--prompt shows a prompt of one task: harness tasks NAME --prompt")
    if name is not None and search != Search():
        raise UserError("--language, --tag, --licence and --max-problems search the list: leave the name out")
    if as_json and (prompt is not None or (name or "").startswith(suites.PREFIX)):
        raise UserError("--json is of the list and of a task's card")
    sets = options["sets"]
    if name is None:
        _list_tasks(search, as_json)
    elif name.startswith(suites.PREFIX):
        _show_suite(name.removeprefix(suites.PREFIX))
    elif prompt is not None:
        plain: dict[str, Any] = {"task": name, "split": split, "limit": 1, "data": options["data"]}
        keys = {
            "prompt": prompt or None,
            "backend.model": options["model"],
            "backend.adapter": options["adapter"],
        }
        set_dotted(plain, keys)
        _show_prompt(plain, sets)
    else:
        config = parse_config({"task": name}, sets, "--set")
        _show_card(registry.task(name, config.options), registry.options(name), as_json)


def _list_tasks(search: Search, as_json: bool) -> None:
    from harness.config import suites
    from harness.tasks.loading import registry

    found = _found(search, [registry.task(name) for name in registry.names()])
    if as_json:
        print_json([_document(task) for task in found])
        return
    for task in found:
        sizes, metrics = _sizes_and_metrics(task)
        click.echo(f"{task.name:16} {task.card.title}")
        kinds = f"{', '.join(task.card.languages)}; {', '.join(task.card.tags)}"
        for line in (f"{sizes}; {task.card.licence}; {task.card.url}", kinds, metrics, task.card.setting):
            for row in textwrap.wrap(line, 93, break_on_hyphens=False, break_long_words=False):
                click.echo(" " * 17 + row)
    if search != Search():
        return
    for name in suites.names():
        one = suites.read(name)
        click.echo(f"{suites.PREFIX + name:18} {one.title}; {len(one.runs)} runs")


def _found(search: Search, tasks: "Sequence[Task]") -> "list[Task]":
    """The tasks that have all that is searched for. A language or tag that no task has is a mistake."""
    for option, value, known in (
        ("language", search.language, {name for task in tasks for name in task.card.languages}),
        ("tag", search.tag, {name for task in tasks for name in task.card.tags}),
    ):
        if value and value not in known:
            raise UserError(unknown(option, value, sorted(known)))
    return [
        task
        for task in tasks
        if (not search.language or search.language in task.card.languages)
        and (not search.tag or search.tag in task.card.tags)
        and (not search.licence or search.licence.lower() in task.card.licence.lower())
        and (search.max_problems is None or 0 < task.card.sizes.get("test", 0) <= search.max_problems)
    ]


def _document(task: "Task") -> dict[str, Any]:
    """A card as plain values."""
    from harness.prompts import templates

    card = task.card
    return {
        "name": task.name,
        "version": task.version,
        **{key: getattr(card, key) for key in ("title", "paper", "licence", "url", "setting", "elsewhere")},
        "sizes": dict(card.sizes),
        "languages": list(card.languages),
        "tags": list(card.tags),
        "metrics": [name for scorer in task.scorers for name in scorer.metrics([1])],
        "prompts": [template.name for template in task.templates],
        "default_prompt": {
            "chat": templates.select_template(task, "", chat=True).name,
            "base": templates.select_template(task, "", chat=False).name,
        },
    }


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


def _show_card(task: "Task", options: Mapping[str, Sequence[str]], as_json: bool) -> None:
    from harness.prompts import templates

    if as_json:
        print_json({**_document(task), "options": options})
        return
    card, sampling = task.card, task.sampling
    sizes, metrics = _sizes_and_metrics(task)
    chat, text = (templates.select_template(task, "", chat=each).name for each in (True, False))
    defaults = {chat: "of models with a chat template", text: "of models without"}
    if chat == text:
        defaults = {text: "of all models"}
    rows = {
        "title": card.title,
        "paper": card.paper,
        "licence": card.licence,
        "source": card.url,
        "sizes": sizes,
        "languages": ", ".join(card.languages),
        "tags": ", ".join(card.tags),
        "metrics": metrics,
        "paper's setting": card.setting,
        "prompts": ", ".join(t.name for t in task.templates),
        "default prompt": ", ".join(f"{name} {who}" for name, who in defaults.items()),
        "elsewhere": card.elsewhere,
        "sampling": f"{sampling.samples} sample, at most {sampling.max_tokens} tokens",
        "options": "; ".join(f"{option} = {' or '.join(values)}" for option, values in options.items())
        or "none",
        "files": ", ".join(f"{file.benchmark}/{file.name}" for file in card.files),
    }
    click.echo(f"{task.name}, version {task.version}")
    for key, value in rows.items():
        if value or key not in ("tags", "elsewhere"):
            click.echo(f"  {key:16} {value}")
