"""Which libraries a task's programs were written for, as `NAME==VERSION` lines in tasks/environments/TASK.txt."""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError, unknown
from harness.files import packaged

FOLDER = "tasks/environments"


@dataclass(frozen=True)
class Requirements:
    """`python`: the version that the pins have builds for. `pins`: lines for pip, each NAME==VERSION."""

    path: Path
    python: str
    pins: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(pin.partition("==")[0] for pin in self.pins)


def names() -> list[str]:
    """The tasks that have such an environment."""
    return sorted(path.stem for path in packaged(FOLDER).glob("*.txt"))


def find(task: str) -> Requirements:
    """Raises ConfigError for a task without an environment of its own."""
    if task not in names():
        raise ConfigError(unknown("environment", task, names()))
    path = packaged(FOLDER) / f"{task}.txt"
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    (python,) = (line.removeprefix("# python ") for line in lines if line.startswith("# python "))
    return Requirements(path, python, tuple(line for line in lines if line and not line.startswith("#")))


def visible(task: str, python: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """The distributions that a task's programs may import: in an environment all that was required of it."""
    if not python or task not in names():
        return packages
    return tuple(dict.fromkeys((*packages, *find(task).names)))
