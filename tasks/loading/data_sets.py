"""Rows through the package `datasets`: of a hub data set in the cache, or of a file or folder that it reads.

    hf:OWNER/NAME@REVISION[:CONFIG]   what `harness data fetch` put into the hub's cache
    dataset:FOLDER                    a folder of files, train.csv and test.csv say
    rows.csv                          a file (JSON, CSV, Parquet, Arrow), which is the split test

Rows are streamed from the files as they lie there, none is copied; each file's SHA-256 is taken first. Nothing here
uses the network but `fetch`, and no code of a data set is run: one that comes with a loading script is refused.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError, Fault, unknown

HUB, FOLDER = "hf:", "dataset:"
FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}
ELSEWHERE = re.compile(
    r"^[\s-]*(?:(?:path|data_files):)?[\s\[\"'-]*(\w+://[^\s\"']+)", re.MULTILINE
)  # a URL for a file
LONGEST = 200  # characters of what the package says
SPEC = re.compile(r"([\w.-]+/[\w.-]+)@([\w./-]+)(?::([\w.-]+))?")


@dataclass(frozen=True)
class DataSet:
    """A data set by its files: a file, or a folder that `load_dataset` reads."""

    name: str
    path: Path
    config: str | None = None

    def splits(self) -> Mapping[str, list[str]]:
        """The files of each split. Raises DataError."""
        with _one_line(self.name):
            return {
                str(name): list(map(str, files)) for name, files in self._builder().config.data_files.items()
            }

    def rows(self, split: str, note: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(place, row) of a split; `note` is told each file's SHA-256 before. Raises DataError."""
        files = self.splits()
        if split not in files:
            raise DataError(f"{self.name}: {unknown('split', split, files)}")
        for file in map(Path, files[split]):
            note(f"{self.name}/{self._within(file)}", _sha256(file))
        with _one_line(self.name):
            for number, row in enumerate(self._builder().as_streaming_dataset(split=split), 1):
                yield f"{self.name}, {split} row {number}", row

    def _builder(self) -> Any:
        import datasets

        if self.path.is_file():
            kind = FORMATS[self.path.suffix]
            return datasets.load_dataset_builder(kind, data_files={"test": str(self.path)})
        script = self.path / f"{self.name.rpartition('/')[2]}.py"
        if script.exists():
            raise DataError(
                f"{self.name}: its rows are made by a loading script, {script.name}, and none is run"
            )
        card = self.path / "README.md"
        if card.exists() and (url := ELSEWHERE.search(card.read_text(encoding="utf-8").split("\n---")[0])):
            raise DataError(f"{self.name}: {url[1]!r} is no file of the data set itself: fetch that yourself")
        return datasets.load_dataset_builder(str(self.path), self.config)

    def _within(self, file: Path) -> str:
        """A file's name in the data set. A description of it may name files elsewhere, which are not read."""
        if self.path.is_file():
            return file.name
        if not file.is_relative_to(self.path):
            raise DataError(
                f"{self.name}: {str(file)!r} is no file of the data set itself: fetch that yourself"
            )
        return str(file.relative_to(self.path))


def is_named(data: str) -> bool:
    """Whether `--data` names a data set, and no folder of benchmark files."""
    return data.startswith((HUB, FOLDER)) or (
        Path(data).suffix in FORMATS and Path(data).expanduser().is_file()
    )


def find(data: str) -> DataSet:
    """The data set that `--data` names. Raises DataError for one that is not on this machine."""
    if not data.startswith(HUB):
        path = Path(data.removeprefix(FOLDER)).expanduser()
        if not path.exists():
            raise DataError(f"no data set {str(path)!r}: expected a file or a folder of files")
        return DataSet(path.name, path.absolute())
    repo, revision, config = _parse(data)
    from huggingface_hub import snapshot_download

    try:
        path = Path(snapshot_download(repo, revision=revision, repo_type="dataset", local_files_only=True))
    except (OSError, ValueError):
        raise DataError(
            f"{data}: not in the hub cache; 'harness data fetch TASK --data {data}' or --allow-download gets it"
        ) from None
    return DataSet(f"{repo}:{config}" if config else repo, path, config)


def fetch(data: str) -> Path:
    """Download a hub data set's files into the cache; loading scripts stay where they are."""
    from huggingface_hub import snapshot_download

    repo, revision, _ = _parse(data)
    try:
        return Path(snapshot_download(repo, revision=revision, repo_type="dataset"))
    except (OSError, ValueError) as error:
        raise Fault(f"could not download {repo}: {str(error).splitlines()[0]}") from None


def _parse(data: str) -> tuple[str, str, str | None]:
    found = SPEC.fullmatch(data.removeprefix(HUB))
    if found is None:
        raise DataError(
            f"--data {data!r}: expected hf:OWNER/NAME@REVISION, with :CONFIG behind it if it has several"
        )
    return found[1], found[2], found[3]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What the package says of files that it cannot read, as one line; its errors are of these kinds."""
    import datasets

    try:
        yield
    except (datasets.exceptions.DatasetsError, OSError, ValueError, TypeError) as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        raise DataError(f"{name}: {said[0][:LONGEST] if said else type(error).__name__}") from None
