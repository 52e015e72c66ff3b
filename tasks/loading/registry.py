"""Find a task by name: a file of tasks/, a path to a file, or the entry-point group `harness.tasks`.

A task file exports `task(...) -> Task`; its keyword arguments are the run's `options`. There is no registry.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args, get_origin

from harness import scorers
from harness.errors import ConfigError, unknown
from harness.schema import Task

GROUP = "harness.tasks"


def names() -> list[str]:
    """Every built-in and installed task, sorted."""
    from harness.files import packaged

    folder = packaged("tasks")
    own = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    return sorted(own | {entry.name for entry in entry_points(group=GROUP)})


def task(name: str, options: Mapping[str, object] | None = None) -> Task:
    """The task called `name` (or in the file `name`), made with `options`. Raises ConfigError."""
    make = _maker(name)
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
    return made


def options(name: str) -> dict[str, list[str]]:
    """The options of a task and what each may be, the default first; of numbers and free text only that."""
    found = {}
    for option, parameter in inspect.signature(_maker(name)).parameters.items():
        values = [] if parameter.default is parameter.empty else [parameter.default]
        if get_origin(parameter.annotation) is Literal:
            values += get_args(parameter.annotation)
        elif parameter.annotation is bool:
            values += (True, False)
        told = (str(v).lower() if isinstance(v, bool) else str(v) for v in values)
        found[option] = list(dict.fromkeys(told))
    return found


def with_scorers(made: Task, names: Sequence[str]) -> Task:
    """The task with further scorers after its own, each only once. Raises ConfigError."""
    own = {scorer.name for scorer in made.scorers}
    further = [s for s in scorers.named(tuple(dict.fromkeys(names))) if s.name not in own]
    if not further:
        return made
    taken = {metric: scorer.name for scorer in made.scorers for metric in scorer.metrics([1])}
    for scorer in further:
        for metric in scorer.metrics([1]):
            if (other := taken.setdefault(metric, scorer.name)) != scorer.name:
                raise ConfigError(f"scorer {scorer.name!r}: {other!r} measures {metric!r} already: drop it")
    return replace(made, scorers=(*made.scorers, *further))


def _maker(name: str) -> Callable[..., object]:
    if name.endswith(".py"):
        module = _load_file(Path(name))
    elif name in (known := names()):
        for entry in entry_points(group=GROUP):
            if entry.name == name:
                return _task_function(entry.load(), name)
        module = importlib.import_module(f"harness.tasks.{name}")
    else:
        raise ConfigError(unknown("task", name, known))
    return _task_function(module, name)


def _task_function(found: object, name: str) -> Callable[..., object]:
    make = getattr(found, "task", found) if isinstance(found, ModuleType) else found
    if isinstance(make, ModuleType) or not callable(make):
        raise ConfigError(f"task {name!r}: expected a function task() -> Task in its file")
    return make


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"no task file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(f"task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pydantic look their module up there
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return module
