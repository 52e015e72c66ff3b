"""Which solved problems to show in the prompt: `Select = Problem -> Sequence[Problem]`. Never the one asked.

Zero-shot shows none. It does not build prompts (`prompts.py`) and does not know models.
"""

from collections.abc import Callable, Sequence

from harness.errors import ConfigError, unknown
from harness.schema import Problem

Select = Callable[[Problem], Sequence[Problem]]


def zero_shot(problem: Problem) -> Sequence[Problem]:
    del problem
    return ()


def choose(name: str) -> Select:
    if name == "none":
        return zero_shot
    raise ConfigError(unknown("shots", name, ["none"]))
