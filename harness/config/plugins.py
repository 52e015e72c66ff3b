"""Third parties' tasks, scorers, backends, templates and extractors: from a Python file, or from an installed package.

    mine.py             the object in the file that has the kind's own name: task, scorer, backend, template, extractor
    mine.py:line_count  another object of the file
    theirs              an entry point of the group harness.tasks, harness.scorers, and so on

Nothing is registered by decorators or on import. What the object must be, the caller checks.
"""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import entry_points
from inspect import unwrap
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeVar, cast

from harness.errors import ConfigError, HarnessError, unknown

P = ParamSpec("P")
T = TypeVar("T")
Kind = Literal["task", "scorer", "backend", "template", "extractor"]
EXPECTED = {
    "task": "a function task() -> Task",
    "scorer": "FILE.py:NAME, or a Scorer called scorer",
    "backend": "a function backend(config, problem_ids) -> Backend, or a BackendLoader called backend",
    "template": "a Template called template",
    "extractor": "FILE.py:NAME, or a function extractor(problem, completion) -> str",
}


def group(kind: Kind) -> str:
    return f"harness.{kind}s"


def names(kind: Kind) -> list[str]:
    """The names that installed packages offer, sorted."""
    return sorted(entry.name for entry in entry_points(group=group(kind)))


def is_file(name: str) -> bool:
    """Whether the name is that of a file, with or without an object in it; a task may be a TOML file."""
    return split(name)[0].endswith((".py", ".toml"))


def split(name: str) -> tuple[str, str]:
    """("mine.py", "line_count") of "mine.py:line_count"; the second is empty where no object is named."""
    path, colon, attribute = name.rpartition(":")
    return (path, attribute) if colon and path.endswith(".py") else (name, "")


def load(kind: Kind, name: str) -> Any:
    """The object that a file or an entry point has under `name`; None where there is no such name.

    Raises ConfigError in one line for a file that is missing, cannot be imported or has no such object.
    """
    if is_file(name):
        path, attribute = split(name)
        module = load_file(kind, Path(path))
        found = getattr(module, attribute or kind, None)
        if found is None and not attribute:
            raise ConfigError(f"{kind} {name!r}: expected {EXPECTED[kind]} in its file")
        if found is None:
            objects = [each for each in vars(module) if not each.startswith("_")]
            raise ConfigError(f"{path}: {unknown(kind, attribute, objects)}")
        return found
    for entry in entry_points(group=group(kind)):
        if entry.name == name:
            try:
                found = entry.load()
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"{kind} {name!r} ({entry.value}): {error}") from None
            return getattr(found, kind, None) if isinstance(found, ModuleType) else found
    return None


def source(kind: Kind, name: str) -> str:
    """Which version of the object it is: "mine.py 1a2b3c4d", a digest of the file, or "package 1.2"."""
    if is_file(name):
        path = Path(split(name)[0])
        return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    package = next((entry.dist for entry in entry_points(group=group(kind)) if entry.name == name), None)
    return f"{package.name} {package.version}" if package else name


def load_file(kind: Kind, path: Path) -> ModuleType:
    """The module in a Python file, each time anew. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"no {kind} file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(f"harness_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pydantic look their module up there
    with _one_line(path.absolute(), shown=path):
        spec.loader.exec_module(module)
    return module


def guarded(function: Callable[P, T]) -> Callable[P, T]:
    """The function, or generator, of a third party: what it raises is a ConfigError that says where in its file.

    A function of this package stays what it is, and so do errors that are meant for the user.
    """
    code = getattr(unwrap(function), "__code__", None)
    if code is None or function.__module__.partition(".")[0] == "harness":
        return function
    file = Path(code.co_filename)

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        with _one_line(file):
            made = function(*arguments, **named)
        return cast(T, _rows(made, file)) if isinstance(made, Generator) else made

    return call


def _rows(made: Iterator[T], file: Path) -> Iterator[T]:
    while True:
        with _one_line(file):
            try:
                row = next(made)
            except StopIteration:
                return
        yield row


@contextmanager
def _one_line(file: Path, shown: Path | None = None) -> Iterator[None]:
    """Tells what is raised with the line of `file` at which it was; `shown` is the file's name for the user."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:  # whatever the user's own code raises
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if Path(at.filename) == file]
        place = (
            f"{shown or file}:{lines[-1]}" if lines else str(shown or file)
        )  # none: it was raised before any line ran
        said = str(error).partition("\n")[0]
        raise ConfigError(f"{place}: {type(error).__name__}: {said}") from error
