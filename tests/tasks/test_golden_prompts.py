"""Every template of every task has its prompt in tests/tasks/golden/: a change of one is a diff to look at.

A task is picked up by itself and has no golden file at first: the test fails and prints the command that writes it,

    python -m tests.tasks.test_golden_prompts NAME...

Then read the file, and raise the task's `version` if a number may change. Zero-shot it is what `harness tasks NAME
--data mini --prompt` prints; with a shot it is another of the project's own rows that is shown.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config.load import parse
from harness.prompts import templates
from harness.runs.plan import make_plan
from harness.schema import Prompt, Task
from harness.tasks.loading import registry
from tests.support.command import harness

FOLDER = Path(__file__).resolve().parent / "golden"


def shown(prompt: Prompt) -> str:
    if prompt.messages:
        return "".join(f"[{message.role}]\n{message.content}\n" for message in prompt.messages)
    return prompt.text if prompt.suffix is None else f"{prompt.text}\n[suffix]\n{prompt.suffix}"


def sections(name: str) -> Iterator[str]:
    """What the golden file of a task holds: for each template the prompt without and with a shot."""
    plan = make_plan(parse({"task": name, "data": "mini"}))
    question, shot = plan.problems[0], plan.problems[1]
    yield f"{name}, version {plan.task.version}\n"
    for template in plan.task.templates:
        for shots in ((), (shot,)):
            title = f"{template.name} ({template.style}), {len(shots)} shots, stop {list(template.stop)}"
            yield f"======== {title}\n{shown(templates.render(template, question, shots))}\n"


def golden(name: str) -> str:
    return "".join(sections(name))


@pytest.mark.parametrize("name", registry.names())
def test_a_task_asks_what_its_golden_file_says(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    assert path.exists(), (
        f"no golden prompts of {name}: python -m tests.tasks.test_golden_prompts {name}, and read {path.name}"
    )
    assert golden(name) == path.read_text(encoding="utf-8"), (
        f"the prompts of {name} changed: raise its version, then python -m tests.tasks.test_golden_prompts {name}"
    )


def test_no_golden_file_is_left_of_a_task_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(registry.names())


@pytest.mark.parametrize("name", ["conala", "humaneval", "mbpp"])
def test_the_command_prints_the_golden_prompt(name: str) -> None:
    said = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").split("======== ")
    for template, section in zip(registry.task(name).templates, said[1::2], strict=True):
        ended = harness("tasks", name, "--data", "mini", "--prompt", "--set", f"prompt={template.name}")
        assert ended.code == 0, ended.err
        assert ended.out.split("\n", 1)[1].rstrip("\n") == section.split("\n", 1)[1].rstrip("\n")


def test_the_list_shows_size_licence_source_metrics_and_setting_of_every_task() -> None:
    ended = harness("tasks")
    assert ended.code == 0, ended.err
    text = " ".join(ended.out.split())

    def flat(words: str) -> str:
        return " ".join(words.split())

    for name in registry.names():
        task: Task = registry.task(name)
        card = task.card
        assert card.sizes
        for part in (card.title, card.licence, card.url, card.setting):
            assert part.strip(), f"{name}: its card leaves something out"
            assert flat(part) in text, (name, part)
        for scorer in task.scorers:
            assert set(scorer.metrics([1])) <= set(text.replace(",", " ").split())
        assert all(f"{split} {n}" in text for split, n in card.sizes.items())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in sys.argv[1:] or registry.names():
        (FOLDER / f"{each}.txt").write_text(golden(each), encoding="utf-8")
