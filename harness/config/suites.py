"""Suites: a named list of runs with pinned options, `--task suite:NAME` or `suite:FILE.toml`.

    title = "What we report"
    [[runs]]
    task = "humaneval"
    sampling = { samples = 1, temperature = 0.0 }
    [[runs]]
    task = "mine.toml"

Each table holds keys of a run's config; the suite is the axis `suite` of a study. What it pins is not to be set beside.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.config.identity import digest
from harness.config.load import checked, read_toml
from harness.errors import ConfigError, unknown
from harness.files import packaged
from harness.schema import Value

PREFIX = "suite:"
FOLDER = "tasks/suites"


class Suite(Value):
    """The content of a suite's file. `version` goes up when a run of it changes; `report` is that of a study."""

    title: str = ""
    version: int = Field(default=1, ge=1)
    runs: tuple[Mapping[str, Any], ...] = Field(min_length=1)
    report: Mapping[str, Any] = {}


def names() -> list[str]:
    """The project's own."""
    return sorted(path.stem for path in packaged(FOLDER).glob("*.toml"))


def read(name: str) -> Suite:
    """The suite called `name`, or in the file `name`. Raises ConfigError."""
    if not name.endswith(".toml") and name not in names():
        raise ConfigError(f"{unknown('suite', name, names())} One of your own is a file: {PREFIX}FILE.toml")
    path = Path(name).expanduser() if name.endswith(".toml") else packaged(FOLDER) / f"{name}.toml"
    suite = checked(Suite, read_toml(path), name)
    for number, one in enumerate(suite.runs, 1):
        if "task" not in one:
            raise ConfigError(f"{name}: runs: the {number}. has no task")
    return suite


def expand(plain: dict[str, Any]) -> dict[str, Any]:
    """A config whose task is a suite as the study that it stands for; any other as it is. Raises ConfigError."""
    axis = plain["matrix"].get("task") if isinstance(plain.get("matrix"), dict) else None
    for name in axis if isinstance(axis, list) else ():
        if str(name).startswith(PREFIX):
            raise ConfigError(f"{name} is a study of its own: give no other task beside it")
    name = plain.get("task")
    if not isinstance(name, str) or not name.startswith(PREFIX):
        return plain
    suite = read(name.removeprefix(PREFIX))
    rest = {key: value for key, value in plain.items() if key != "task"}
    matrix = {"suite": [dict(one) for one in suite.runs], **plain.get("matrix", {})}
    return {"report": dict(suite.report), **rest, "matrix": matrix, "suite": name.removeprefix(PREFIX)}


def signature(name: str, signed: Sequence[str]) -> str:
    """One line that says what all numbers of a suite mean: equal ones may be compared. `signed`: its runs' own."""
    suite = read(name)
    text = digest(suite.model_dump(mode="json", include={"runs"}))[:8]
    label = Path(name).stem
    return f"{PREFIX}{label} v{suite.version} {text} | {len(signed)} runs | {digest(list(signed))[:8]}"
