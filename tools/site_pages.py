"""The pages of the documentation site that are made from the code and from the repository's own files (mkdocs hooks).

README is the home page; CONTRIBUTING and its like are pages below project/; the reference is written from click, from
the config's pydantic models and from the tasks' cards, so that it cannot fall behind.
"""

import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from harness.config.run import RunConfig
from harness.schema import Value
from harness.tasks.loading import registry

ROOT = Path(__file__).resolve().parent.parent
OWN = {
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "RESULTS.md": "benchmarks/RESULTS.md",
}
ELSEWHERE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)?(?:LICENSE|CITATION\.cff)\)"
)  # files that are no pages: their name


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    made = {
        "index.md": _home(),
        "reference/cli.md": "# Every option\n\n::: mkdocs-click\n    :module: harness.cli\n    :command: cli\n"
        "    :prog_name: harness\n    :depth: 1\n    :style: table\n",
        "reference/config.md": "\n".join(config_keys()),
        "reference/python.md": python_names(),
        "reference/tasks.md": "\n".join(task_cards()),
        **{f"project/{name}": _own(path) for name, path in OWN.items()},
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links that leave docs/ lead to the pages made of those files."""
    del page, config, files
    markdown = ELSEWHERE.sub(r"\1", markdown)
    return re.sub(r"\]\(\.\./(?:benchmarks/)?(\w+\.md)", r"](project/\1", markdown)


def _home() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    return re.sub(r"\]\((?:benchmarks/)?([A-Z]+\.md)", r"](project/\1", text)


def _own(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    return text.replace("](../docs/", "](../").replace("](docs/", "](../")


# ---------------------------------------------------------------- the reference


def config_keys() -> Iterator[str]:
    yield "# Every config key\n\nWhat a TOML file, `--set KEY=VALUE` and the keywords of `harness.run` take.\n"
    yield from _table(RunConfig, "")


def _table(model: type[Value], above: str) -> Iterator[str]:
    tables = []
    if above:
        yield f"## {above}\n"
    yield f"{inspect.cleandoc(model.__doc__ or '')}\n\n| key | type | default |\n|---|---|---|"
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        if inner:
            tables += [(each, f"{above}{'.' if above else ''}{name}") for each in inner]
            default = "a table below"
        kind = _type(field.annotation)
        yield f"| `{above}{'.' if above else ''}{name}` | `{kind}` | `{default}` |"
    yield ""
    for each, path in tables:
        yield from _table(each, path)


def _models(annotation: Any) -> Iterator[type[Value]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, Value):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)


def _type(annotation: Any) -> str:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation.__name__
    plain = re.sub(r"(?:typing|collections\.abc|harness(?:\.\w+)*)\.", "", str(annotation))
    plain = re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", plain)
    plain = re.sub(r"Union\[(\w+), (\w+)\]", r"\1 | \2", plain)
    return plain.replace(" | ", " or ")


def python_names() -> str:
    import harness

    names = "".join(f"::: harness.{name}\n\n" for name in ("run", "score", "run_study", "train"))
    listed = ", ".join(f"`{name}`" for name in harness.__all__)
    return f"# Python\n\n`import harness` offers {listed}.\n\n{names.replace('harness.', 'harness.api.')}"


def task_cards() -> Iterator[str]:
    yield "# Tasks\n\n`harness tasks NAME` prints the same, and the prompts.\n"
    for name in registry.names():
        task = registry.task(name)
        card = task.card
        sizes = ", ".join(f"{split} {size:,}" for split, size in card.sizes.items())
        metrics = ", ".join(dict.fromkeys(key for scorer in task.scorers for key in scorer.metrics([1])))
        yield f"## {name}\n\n{card.title}. {card.paper}; {card.licence}; <{card.url}>\n"
        yield f"- rows: {sizes}\n- metrics: {metrics}\n- as published: {card.setting}"
        for option, values in registry.options(name).items():
            yield f"- `options.{option}`: {', '.join(values)}"
        yield ""
