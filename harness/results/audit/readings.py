"""Which extractors could have read a run's completions: the readings that suit its task, and those asked for."""

import inspect
from collections.abc import Mapping, Sequence

from harness.schema import IOCases, Problem, Query, Task
from harness.tasks.loading import registry
from harness.text.extract import READINGS, Extractor

UNREAD = "verbatim"  # reads nothing: what it loses says no more than that there was something to read


def counted(name: str) -> bool:
    """Whether a result of this extractor says how much hangs on reading."""
    return name != UNREAD


def plausible(problem: Problem) -> tuple[str, ...]:
    """The readings for answers to such a problem."""
    match problem.check:
        case Query():
            return ("first_block", "last_block", UNREAD)
        case IOCases(fn_name=""):
            return ("program", "first_block", "last_block", "all_blocks", UNREAD)
    return ("entry_point", "first_block", "last_block", "all_blocks", UNREAD)


def others(
    task: Task, chosen: str, version: int, problems: Sequence[Problem], asked: Sequence[str] = ()
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
    names = plausible(problems[0]) if "read" in parameters and problems else ()
    for name in dict.fromkeys((*names, *asked)):
        if name in asked or (name != chosen and READINGS[name] is not own):
            found[name] = registry.extractor(task, name)
    return found
