"""Shots for the questions of a small task or of the project's own rows, and a model that has room for some."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from harness.config.run import RetrievalConfig, RunConfig
from harness.prompts import few_shot, templates
from harness.schema import Capabilities, Card, Problem, Prompt, Reference, Sampling, Split, Task, Template
from harness.tasks.loading import data_files, registry

SMALL = {"encoder": "mini"}


def quiet(*anything: object) -> None:
    del anything


def problem(name: str, question: str, solution: str = "x") -> Problem:
    return Problem(id=name, question=question, solution=solution, check=Reference(texts=(solution,)))


def task_of(train: Sequence[Problem], splits: Mapping[str, int] | None = None) -> Task:
    return Task(
        name="small",
        version=1,
        load=lambda split, source: train,
        templates=(Template(name="plain", style="plain", question="{question}\n"),),
        extract=lambda problem, completion: completion.text,
        scorers=(),
        sampling=Sampling(max_tokens=8),
        card=Card("", "", "", "", splits or {"train": len(train), "test": 1}, ""),
    )


def choose(
    spec: str, asked: Sequence[Problem], train: Sequence[Problem], seed: int = 0, **more: Any
) -> few_shot.Selection:
    config = RunConfig(task="small", shots=spec, seed=seed, retrieval=RetrievalConfig(**more))
    return few_shot.choose(config, task_of(train), asked, lambda: (train, {}), quiet, quiet)


def ids(selection: few_shot.Selection, asked: Problem) -> list[str]:
    return [shot.id for shot in selection.in_prompt_order(asked.id)]


TRAIN = [
    problem("t/0", "sort list `x`", "x.sort()"),
    problem("t/1", "sort the list `names` backwards", "names.sort(reverse=True)"),
    problem("t/2", "join the words of `w`", "' '.join(w)"),
    problem("t/3", "read the file 'a.txt'", "open('a.txt').read()"),
    problem("t/4", "get the length of `x`", "len(x)"),
]
ASKED = problem("q/0", "sort list `prices`", "prices.sort()")


@cache
def loaded(name: str, split: Split) -> list[Problem]:
    return data_files.load(registry.task(name), split, data_files.open_source("mini"))


def chosen(name: str, split: Split, **config: Any) -> few_shot.Selection:
    return few_shot.choose(
        RunConfig(task=name, split=split, **config),
        registry.task(name),
        loaded(name, split),
        lambda: (loaded(name, "train"), {}),
        quiet,
        quiet,
    )


@dataclass(frozen=True)
class Model:
    """A context of so many characters, a token each."""

    context: int = 10**9
    capabilities: Capabilities = Capabilities()  # noqa: RUF009 - frozen

    @property
    def identity(self) -> Mapping[str, str]:
        return {}

    def tokens(self, prompt: Prompt) -> int:
        return len(prompt.text)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return len(prompt.text) + max_tokens <= self.context

    def generate(self, requests: object, sampling: object) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


render = partial(templates.render, task_of(TRAIN).templates[0])
