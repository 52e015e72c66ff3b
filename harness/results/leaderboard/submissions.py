"""What is handed in to a leaderboard: a folder each with a model.toml, recorded completions and finished runs.

SUBMISSION/model.toml          about the model; every key may be left out
SUBMISSION/humaneval.jsonl     completions, named after their task, in any format that `harness score` reads
SUBMISSION/runs/...            finished runs, anywhere below
SUBMISSION/judged/             runs that the leaderboard made of the completions
"""

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from harness.config import load
from harness.errors import ConfigError, unknown
from harness.schema import Value
from harness.tasks.loading import registry

CARD = "model.toml"
JUDGED = "judged"
ENDINGS = (".jsonl", ".jsonl.gz")  # of completions that no card names
Group = Literal["base", "instruct", "adapter", "RAG"]


class SubmittedFile(Value):
    """How a file of completions is read: `task` and `options` as in a config, `field` and `partial` as of `harness
    score`."""

    task: str = ""
    options: Mapping[str, Any] = {}
    field: str = ""
    partial: bool = False


class ModelCard(Value):
    """What a submission's model.toml says. `size` in billions of parameters, `version_of` the name that the versions of
    one model share, `recordings` by file name."""

    name: str = ""
    group: Group | None = None
    size: float | None = Field(default=None, gt=0)
    licence: str = ""
    date: datetime.date | None = None
    link: str = ""
    tuned: str = ""
    version_of: str = ""
    recordings: Mapping[str, SubmittedFile] = {}

    @field_validator("link")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("expected an address that begins with https:// or http://")
        return value

    @field_validator("recordings")
    @classmethod
    def _own_files(cls, value: Mapping[str, SubmittedFile]) -> Mapping[str, SubmittedFile]:
        for name in value:
            if Path(name).name != name:
                raise ValueError(f"{name!r}: expected the name of a file beside model.toml")
        return value


@dataclass(frozen=True)
class RecordedCompletions:
    """A file that was handed in, how it is read, and the folder of its run."""

    path: Path
    reading: SubmittedFile
    run: Path


@dataclass(frozen=True)
class Submission:
    """A folder with its card and its completions."""

    folder: Path
    card: ModelCard
    recordings: tuple[RecordedCompletions, ...]


def find(folder: Path) -> tuple[list[Submission], list[str]]:
    """The submissions among and below `folder`, and a line for each folder or file that is left out: what is not as it
    should be, and completions that are another's."""
    found, invalid = [], []
    named, seen = dict[str, Path](), dict[str, Path]()
    for path in sorted(folder.rglob(CARD)):
        try:
            card = read_card(path)
        except ConfigError as error:
            invalid.append(f"skipped submission {path.parent}: {error}")
            continue
        if named.setdefault(card.name, path.parent) != path.parent:
            invalid.append(
                f"skipped submission {path.parent}: {card.name!r} is the name of {named[card.name]}"
            )
            continue
        recordings = []
        for file, recording in _files(path.parent, card):
            try:
                recorded = _recorded(file, _checked(file, recording))
            except ConfigError as error:
                invalid.append(f"skipped {file}: {error}")
                continue
            if (first := seen.setdefault(recorded.run.name, file)) != file:
                invalid.append(f"skipped {file}: the same completions as {first}")
            else:
                recordings.append(recorded)
        found.append(Submission(path.parent, card, tuple(recordings)))
    return found, invalid


def read_card(path: Path) -> ModelCard:
    """Raises ConfigError that names the file, the key and what would be right."""
    plain = {
        key: value.isoformat() if isinstance(value, datetime.date) else value
        for key, value in load.read_toml(path).items()
    }
    card = load.checked(ModelCard, plain, str(path))
    return card if card.name else card.model_copy(update={"name": path.parent.name})


def _files(folder: Path, card: ModelCard) -> Iterator[tuple[Path, SubmittedFile]]:
    """The named files first, in the card's order, then the others that look like completions."""
    for name, recording in card.recordings.items():
        yield folder / name, recording
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.endswith(ENDINGS) and path.name not in card.recordings:
            yield path, SubmittedFile()


def _checked(path: Path, recording: SubmittedFile) -> SubmittedFile:
    """With its task's name. Raises ConfigError for a task or a file that is not there.

    A task's file is no name here: who hands in completions must not bring code that runs as the judge does.
    """
    task = recording.task or path.name.partition(".")[0]
    if not path.is_file():
        raise ConfigError("no such file, though model.toml names it")
    if task not in registry.names():
        said = unknown("task", task, registry.names())
        raise ConfigError(
            f"{said}; name the file after its task, or say it in model.toml: [recordings.{path.name!r}]"
        )
    registry.task(task, recording.options)
    return recording.model_copy(update={"task": task})


def _recorded(path: Path, reading: SubmittedFile) -> RecordedCompletions:
    """Its run is named after its task, its content and how it is read."""
    digest = hashlib.sha256(path.read_bytes())
    digest.update(json.dumps(reading.model_dump(mode="json"), sort_keys=True).encode())
    return RecordedCompletions(
        path, reading, path.parent / JUDGED / f"{reading.task}-{digest.hexdigest()[:8]}"
    )


def runs_of(folder: Path, submissions: Sequence[Submission]) -> list[Path]:
    """Every run folder below `folder`, but for those of submissions that are left out; of those in a submission's
    `judged` only the present recordings' own."""
    current = {each.run for one in submissions for each in one.recordings}
    taken = {one.folder for one in submissions}
    out = {path.parent for path in folder.rglob(CARD)} - taken | {one / JUDGED for one in taken}
    found = sorted(path.parent for path in folder.rglob("run.json"))
    return [run for run in found if run in current or out.isdisjoint((run, *run.parents))]


def cards(runs: Sequence[Path], submissions: Sequence[Submission]) -> dict[Path, ModelCard]:
    """The card of each run that lies in a submission: in the innermost, where one lies in another."""
    by_folder = {one.folder: one.card for one in submissions}
    found = {}
    for run in runs:
        above = next((parent for parent in (run, *run.parents) if parent in by_folder), None)
        if above:
            found[run] = by_folder[above]
    return found
