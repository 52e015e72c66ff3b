"""Which extractors could have read a run's completions: the readings that suit its task, and those asked for."""

import inspect
from collections.abc import Mapping, Sequence

from harness.schema import IOCases, Problem, Query, Task
from harness.tasks.loading import registry
from harness.text.extract import READINGS, Extractor


def plausible(problem: Problem, fenced: bool) -> tuple[str, ...]:
    """The readings for answers to such a problem. Nobody takes texts as they stand that are mostly `fenced`."""
    match problem.check:
        case Query():
            found: tuple[str, ...] = ("first_block", "last_block")
        case IOCases(fn_name=""):
            found = ("program", "first_block", "last_block", "all_blocks")
        case _:
            found = ("entry_point", "first_block", "last_block", "all_blocks")
    return found if fenced else (*found, "verbatim")


def others(
    task: Task, chosen: str, version: int, names: Sequence[str], asked: Sequence[str]
) -> Mapping[str, Extractor]:
    """The extractors beside the run's own, `chosen` in its config, by name. Raises ConfigError for one `asked` for.

    The task's own is among them where the run chose another, or was made with another `version` of the task.
    """
    parameters = inspect.signature(task.extract).parameters
    own = parameters["read"].default if "read" in parameters else None
    found: dict[str, Extractor] = {}
    if chosen:
        found[task.extract.__name__] = task.extract
    elif task.version != version:
        found[f"{task.extract.__name__} of v{task.version}"] = task.extract
    readable = names if "read" in parameters else ()
    for name in dict.fromkeys((*readable, *asked)):
        if name in asked or (name != chosen and READINGS[name] is not own):
            found[name] = registry.extractor(task, name)
    return found
