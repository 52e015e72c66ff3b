"""What a benchmark is: its data, its card, its task."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.schema.base import Split
from harness.schema.problems import Problem
from harness.schema.samples import Completion, Sampling, Template
from harness.schema.scores import Scorer


@dataclass(frozen=True)
class HubFile:
    """A file of a data set on the hub, at a pinned revision."""

    repo: str
    revision: str
    path: str


@dataclass(frozen=True)
class DataFile:
    """A benchmark's file: found as DIR/<benchmark>/<name> (plain or .gz), or in the hub cache.

    `folder` is the other form some benchmarks come in: a folder with one folder of text files a row. `beside`: the
    folder of a TOML task, where its files lie. `split`: what stands for the file in a data set (`--data hf:...`).
    """

    benchmark: str
    name: str
    hub: HubFile | None = None
    folder: str = ""
    beside: str = ""
    split: str = ""


class Source(Protocol):
    """Reads benchmark files; `tasks/loading/data_files.py` has the only implementation.

    `place` is the row that was read last ("file:line"), for messages.
    """

    place: str

    def rows(self, file: DataFile, fields: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
        """Yield the file's rows; a row without one of `fields` is a DataError naming file and line."""
        ...

    def find(self, file: DataFile) -> Path | None:
        """Where a file is that others read (a database); None when it is nowhere."""
        ...

    def locate(self, file: DataFile) -> Path:
        """Where it is. Raises DataError that says where it was looked for and what to do."""
        ...

    def note(self, name: str, sha256: str) -> None:
        """Write down the digest of such a file, for the run's record."""
        ...

    def blob(self, file: DataFile) -> bytes:
        """The bytes of a file that holds no rows."""
        ...

    def skip(self, problem_id: str, why: str) -> None:
        """Note a row that nothing can judge; the run's summary counts them."""
        ...


@dataclass(frozen=True)
class Card:
    """What a person wants to know of a task before running it. `sizes`: the problems of each split; shots and training
    need one called train. `languages`: those of the answers. `tags`: what kind of work it is, in the words of the
    other tasks. `elsewhere`: what other tools do by default, where that differs."""

    title: str = ""
    paper: str = ""
    licence: str = ""
    url: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    setting: str = ""
    files: tuple[DataFile, ...] = ()
    languages: tuple[str, ...] = ("python",)
    tags: tuple[str, ...] = ()
    elsewhere: str = ""


@dataclass(frozen=True)
class Task:
    """A benchmark: how to load it, ask it, read the answer and score it. One file in tasks/ each.

    The first template that is a chat is the default of models with a chat template, the first that is a text that of
    the others; the first of all that of recorded completions. `version` goes up with any change of prompt, extractor
    or scorer. `packages`: distributions that programs may import from beside the standard library, those that the
    benchmark's own judge has. `preload`: modules that the sandbox's interpreters hold ready, where nearly every program
    would import them. `source`: file and digest of a task that a TOML file describes.
    """

    name: str
    version: int
    load: Callable[[Split, Source], Iterable[Problem]]
    templates: tuple[Template, ...]
    extract: Callable[[Problem, Completion], str]
    scorers: tuple[Scorer, ...]
    sampling: Sampling = field(default_factory=Sampling)
    card: Card = field(default_factory=Card, repr=False)
    packages: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    source: str = ""
