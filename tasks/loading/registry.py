"""Find a task by name: a file of tasks/, a path to a Python or TOML file, or the entry-point group `harness.tasks`.

A task file exports `task(...) -> Task`; its keyword arguments are the run's `options`. Nothing is registered.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args, get_origin

from harness import scorers
from harness.config import plugins, suites
from harness.errors import ConfigError, unknown
from harness.files import packaged
from harness.schema import Completion, Problem, Task
from harness.text import extract


def names() -> list[str]:
    """Every built-in and installed task, sorted."""
    return sorted(_own_names() | set(plugins.names("task")))


def _own_names() -> set[str]:
    return {path.stem for path in packaged("tasks").glob("*.py") if not path.stem.startswith("_")}


def task(name: str, options: Mapping[str, object] | None = None) -> Task:
    """The task called `name` (or in the file `name`), made with `options`. Raises ConfigError."""
    make = _task_factory(name)
    options = options or {}
    accepted = list(inspect.signature(make).parameters)
    for option in options:
        if option not in accepted:
            raise ConfigError(f"task {name!r}: {unknown('option', option, accepted)}")
    made = make(**options)
    if not isinstance(made, Task):
        raise ConfigError(
            f"task {name!r}: task() returned {type(made).__name__}, expected harness.schema.Task"
        )
    guarded = plugins.guarded
    return replace(
        made,
        load=guarded(made.load),
        extract=guarded(made.extract),
        scorers=tuple(map(scorers.guarded, made.scorers)),
    )


def options(name: str) -> dict[str, list[str]]:
    """The options of a task and what each may be, the default first; of numbers and free text only that."""
    found = {}
    for option, parameter in inspect.signature(_task_factory(name)).parameters.items():
        values = [] if parameter.default is parameter.empty else [parameter.default]
        if get_origin(parameter.annotation) is Literal:
            values += get_args(parameter.annotation)
        elif parameter.annotation is bool:
            values += (True, False)
        texts = (str(v).lower() if isinstance(v, bool) else str(v) for v in values)
        found[option] = list(dict.fromkeys(texts))
    return found


def with_scorers(made: Task, names: Sequence[str]) -> Task:
    """The task with further scorers after its own, each only once. Raises ConfigError."""
    own = {scorer.name for scorer in made.scorers}
    further = []
    for scorer in scorers.load_scorers(names):
        if scorer.name not in own:
            further.append(scorer)
        elif scorer.source:
            raise ConfigError(
                f"scorer {scorer.name!r} of {scorer.source}: the task has one of that name; rename it"
            )
    taken = {metric: scorer.name for scorer in made.scorers for metric in scorer.metrics([1])}
    for scorer in further:
        for metric in scorer.metrics([1]):
            if (other := taken.setdefault(metric, scorer.name)) != scorer.name:
                raise ConfigError(f"scorer {scorer.name!r}: {other!r} measures {metric!r} already: drop it")
    return replace(made, scorers=(*made.scorers, *further))


def with_extractor(made: Task, name: str) -> Task:
    """The task with the extractor of that name in place of its own; empty is its own. Raises ConfigError."""
    return replace(made, extract=extractor(made, name)) if name else made


def extractor(made: Task, name: str) -> extract.Extractor:
    """A reading's name, `FILE.py:NAME` or an entry point as an extractor for the task. Raises ConfigError.

    A third party's sees model output only: what was recorded to the letter stays the task's own affair. Its name says
    which version it is, for the run's signature.
    """
    if name in extract.READINGS:
        return extract.with_reading(made.extract, name)
    found = plugins.load("extractor", name)
    if found is None:
        raise ConfigError(unknown("extractor", name, [*extract.READINGS, *plugins.names("extractor")]))
    if not callable(found):
        raise ConfigError(
            f"extractor {name!r}: expected a function (problem, completion) -> str, got {type(found).__name__}"
        )

    call = plugins.guarded(found)

    def theirs(problem: Problem, completion: Completion) -> str:
        if completion.form != "output":
            return made.extract(problem, completion)
        answer = call(problem, completion)
        if not isinstance(answer, str):
            raise ConfigError(
                f"extractor {name!r}: {problem.id}: expected a text, got {type(answer).__name__}"
            )
        return answer

    theirs.__name__ = f"{getattr(found, '__name__', name)} {plugins.source('extractor', name)}"
    return theirs


def _task_factory(name: str) -> Callable[..., object]:
    if name.startswith(suites.PREFIX):
        raise ConfigError(
            f"{name} is several runs: harness run --task {name}, or harness.run_study({name!r})"
        )
    if name.endswith(".toml"):
        from harness.tasks.loading import toml_task

        return lambda: toml_task.load_task(Path(name).expanduser())
    own = name in _own_names()
    made = importlib.import_module(f"harness.tasks.{name}").task if own else plugins.load("task", name)
    if made is None:
        raise ConfigError(unknown("task", name, names()))
    if not callable(made):
        raise ConfigError(f"task {name!r}: expected a function task() -> Task in its file")
    maker: Callable[..., object] = plugins.guarded(made)
    return maker
