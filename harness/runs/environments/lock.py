"""The lock of an environment: its versions, and the rows whose references do not pass in it, each with the cause."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from harness.config.identity import digest
from harness.errors import ConfigError
from harness.files import parse_json, read
from harness.schema import Value

NAME = "harness-lock.json"


class EnvironmentLock(Value):
    """`packages`: what programs may import. `refused`: requirements that could not be installed. `data`: the digests of
    the benchmark's files. `references`: how many were run, each `rounds` times. `excluded`: the problems that are left
    out."""

    environment: str
    version: int
    python: str
    packages: Mapping[str, str]
    refused: Mapping[str, str] = {}
    data: Mapping[str, str]
    references: int
    rounds: int
    excluded: Mapping[str, str]

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))


def path_beside(python: str) -> Path:
    """Where the lock of the environment lies whose interpreter is ENV/bin/python."""
    return Path(os.path.abspath(os.path.expanduser(python))).parent.parent / NAME


def load(path: Path) -> EnvironmentLock:
    """Raises DataError or ConfigError."""
    try:
        return EnvironmentLock.model_validate(parse_json(read(path).decode("utf-8"), str(path)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: no lock of an environment ({where}: {first['msg'].lower()})") from None


def of_judge(python: str, task: str, data: Mapping[str, str]) -> EnvironmentLock | None:
    """The lock of the judging interpreter's environment, if it has one that is of the task and of these files; of other
    rows it says nothing. Raises ConfigError.
    """
    if not python or not (path := path_beside(python)).is_file():
        return None
    found = load(path)
    known = found.environment == task and set(data.values()) <= set(found.data.values())
    return found if known else None


def check(lock: EnvironmentLock, packages: Mapping[str, str], python: str) -> None:
    """Raises ConfigError where the environment is no longer the one that the lock is of."""
    here, there = {"python": python, **packages}, {"python": lock.python, **lock.packages}
    changed = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    if changed:
        name = changed[0]
        raise ConfigError(
            f"the environment of judge.python is not what its lock says: {name} is {here.get(name, 'absent')}, not"
            f" {there.get(name, 'there')}{f', and {len(changed) - 1} more' if changed[1:] else ''}; run harness env"
            f" {lock.environment} again"
        )
