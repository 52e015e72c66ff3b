"""The one reader of benchmark files: a data folder, the project's mini rows, or the hub cache at a pinned revision.

Nothing here touches the network except `fetch`, which only `harness data fetch` and `--allow-download` call. Every
file that was read is remembered with its SHA-256, so that a run can say what data it saw. A row that cannot be read
is an error with file and line; no row is ever ignored.
"""

import csv
import hashlib
import importlib.util
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import DataError, Fault, install
from harness.files import decode, lines, packaged, parse_json, read
from harness.schema import DataFile, HubFile, Problem, Split, Task
from harness.tasks.loading import data_sets
from harness.tasks.loading.data_sets import DataSet

MINI = "mini"


def mini_folder() -> Path:
    """The project's own rows: a data folder like a user's, shipped in the wheel."""
    return packaged("tasks/mini")


@dataclass
class DataFolders:
    """A Source over data folders (searched in order) and then the hub cache.

    `digests` maps each file read so far to its SHA-256, `place` is the row read last ("file:line"), for messages.
    """

    folders: tuple[Path, ...]
    use_hub_cache: bool = True
    data_set: DataSet | None = None  # its splits stand for files of a TOML task
    digests: dict[str, str] = field(default_factory=dict)
    place: str = ""
    skipped: dict[str, str] = field(default_factory=dict)  # problem id -> why

    def skip(self, problem_id: str, why: str) -> None:
        self.skipped[problem_id] = why

    def note(self, name: str, sha256: str) -> None:
        self.digests[name] = sha256

    def rows(self, file: DataFile, fields: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
        if self.data_set is not None and file.split and self.find(file) is None:
            parsed = self.data_set.rows(file.split, self.note)
            yield from self._checked(parsed, fields)
            return
        path = self.locate(file)
        if path.suffix == ".arrow":
            parsed = DataSet(file.benchmark, path).rows("test", self.note)
        elif path.is_dir():
            self.digests[f"{file.benchmark}/{file.folder}"] = _folder_digest(path)
            parsed = _parse_folder(path)
        else:
            blob = read(path)
            self.digests[f"{file.benchmark}/{file.name}"] = hashlib.sha256(blob).hexdigest()
            parsed = _parse(path, blob)
        yield from self._checked(parsed, fields)

    def _checked(
        self, parsed: Iterable[tuple[str, Any]], fields: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        for self.place, row in parsed:
            if not isinstance(row, dict):
                raise DataError(f"{self.place}: expected an object, got {type(row).__name__}")
            for name in fields:
                if name not in row:
                    raise DataError(
                        f"{self.place}: field {name!r} is missing; the row has {', '.join(sorted(row))}"
                    )
            yield row

    def blob(self, file: DataFile) -> bytes:
        content = read(self.locate(file))
        self.digests[f"{file.benchmark}/{file.name}"] = hashlib.sha256(content).hexdigest()
        return content

    def find(self, file: DataFile) -> Path | None:
        """Where the file is, plain, gzipped or as a folder of rows; None when it is nowhere."""
        if self.data_set is not None:
            found = self._in_data_set(self.data_set.path, file)
            if found is not None or file.split or not file.beside:
                return found
        for folder in self.folders:
            path = folder / file.benchmark / file.name
            for candidate in (path, path.with_name(path.name + ".gz")):
                if candidate.is_file():
                    return candidate
            if file.folder and (folder / file.benchmark / file.folder).is_dir():
                return folder / file.benchmark / file.folder
        if file.beside and (path := Path(file.beside) / file.name).is_file():
            return path
        return _cached(file.hub) if self.use_hub_cache and file.hub is not None else None

    def _in_data_set(self, folder: Path, file: DataFile) -> Path | None:
        """A file of a benchmark where the hub has it, or by its name."""
        names = [file.name, *([file.hub.path] if file.hub else [])]
        return next((folder / name for name in names if (folder / name).is_file()), None)

    def locate(self, file: DataFile) -> Path:
        """Where the file is. Raises DataError that lists what was tried and what to run."""
        if (found := self.find(file)) is not None:
            return found
        if self.data_set is not None and not file.beside:
            raise DataError(f"{self.data_set.name} has no file {file.name!r} of {file.benchmark!r}")
        tried = [folder / file.benchmark / file.name for folder in self.folders]
        if file.beside:
            tried.append(Path(file.beside) / file.name)
            more = (
                "" if "." in file.name else "; a split of a data set needs one: --data hf:OWNER/NAME@REVISION"
            )
            raise DataError(
                f"no file {file.name!r} of {file.benchmark!r}: looked for {', '.join(map(str, tried))}{more}"
            )
        hub = f"the hub cache ({file.hub.repo})" if file.hub and self.use_hub_cache else ""
        if hub and not _reads_hub_cache():
            hub += f", which needs the package huggingface_hub: {install('hf')}"
        if tried:
            looked = f"looked for {', '.join(map(str, tried))}{hub and f' or {hub}'}"
        else:
            looked = f"no data folder was given{hub and f', and it is not in {hub}'}"
        fetch = f" run 'harness data fetch {file.benchmark}'," if file.hub else ""
        raise DataError(
            f"no file {file.name!r} of {file.benchmark!r}: {looked}. Give its folder with"
            f" --data DIR or HARNESS_DATA (the file goes to DIR/{file.benchmark}/{file.name}),{fetch}"
            " or use the project's own small rows with --data mini"
        )


def open_source(data: str | None) -> DataFolders:
    """The source that `--data` or HARNESS_DATA names: a folder, 'mini' for the project's own rows, or a data set."""
    if data is None:
        return DataFolders(folders=())
    if data == MINI:
        return DataFolders(folders=(mini_folder(),), use_hub_cache=False)
    if data_sets.is_named(data):
        return DataFolders(folders=(), use_hub_cache=False, data_set=data_sets.find(data))
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"no data folder {data!r}: give a folder that holds <benchmark>/<file>, 'mini', or a data set:"
            " hf:OWNER/NAME@REVISION, or a file of rows"
        )
    return DataFolders(folders=(folder,))


def load(task: Task, split: Split, source: DataFolders, limit: int | None = None) -> list[Problem]:
    """The task's problems in order. Raises DataError at the first bad row, at a doubled id and when there are none."""
    problems: list[Problem] = []
    seen: set[str] = set()
    try:
        for problem in task.load(split, source):
            if problem.id in seen:
                raise DataError(f"{source.place}: id {problem.id!r} occurs twice")
            if any("\ud800" <= c <= "\udfff" for c in problem.question):
                raise DataError(
                    f"{source.place}: question: half a surrogate pair in it, no model can be asked that"
                )
            seen.add(problem.id)
            problems.append(problem)
            if limit is not None and len(problems) == limit:
                break
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{source.place}: {where}: {first['msg'].lower()}, got {first['input']!r}") from None
    if not problems:
        raise DataError(
            f"task {task.name!r} has no {split} rows in {', '.join(source.digests) or 'its files'}"
        )
    return problems


def load_with_digests(task: Task, split: Split, data: str | None) -> tuple[list[Problem], Mapping[str, str]]:
    """A split's problems and the SHA-256 of the files they were read from, apart from what else a run reads."""
    source = open_source(data)
    return load(task, split, source), dict(source.digests)


def fetch(file: HubFile) -> Path:
    """Download one file into the hub cache and return its path. The only place that uses the network."""
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(file.repo, file.path, revision=file.revision, repo_type="dataset")
    except (OSError, ValueError) as error:  # huggingface_hub's errors derive from these two
        raise Fault(f"could not download {file.path} of {file.repo}: {str(error).splitlines()[0]}") from None
    return Path(path)


def fetch_model(model: str, revision: str | None) -> None:
    """Download a hub model into the cache; a folder is left alone."""
    if Path(model).expanduser().is_dir():
        return
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(model, revision=revision)
    except (OSError, ValueError) as error:
        raise Fault(f"could not download model {model!r}: {str(error).splitlines()[0]}") from None


def _reads_hub_cache() -> bool:
    return importlib.util.find_spec("huggingface_hub") is not None


def _cached(file: HubFile) -> Path | None:
    if not _reads_hub_cache():  # `locate` says so where the file is nowhere else
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, revision=file.revision, repo_type="dataset")
    return Path(found) if isinstance(found, str) else None


def _parse(path: Path, blob: bytes) -> Iterator[tuple[str, Any]]:
    """(place, row) of a parquet file, a JSON list, or JSON lines (some data sets call those .json too)."""
    if path.name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        try:
            rows = pyarrow.parquet.read_table(io.BytesIO(blob)).to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{path}: damaged parquet file ({str(error).splitlines()[0]}); fetch it again"
            ) from None
        for number, row in enumerate(rows, 1):
            yield f"{path}, row {number}", row
        return
    text = decode(blob, path)
    if path.name.removesuffix(".gz").endswith(".csv"):
        yield from _parse_csv(path, text)
        return
    if text.lstrip()[:1] == "[":
        for number, row in enumerate(parse_json(text, str(path)), 1):
            yield f"{path}, row {number}", row
        return
    for number, line in lines(text):
        yield f"{path}:{number}", parse_json(line, f"{path}:{number}")


def _parse_csv(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """The rows of a CSV file whose first line names the fields; every cell is a text."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                got = "more" if None in row else "fewer"
                raise DataError(
                    f"{place}: {got} cells than the first line has names ({len(reader.fieldnames or ())})"
                )
            yield place, row
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: malformed CSV: {error}") from None


def _files_of_rows(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """(row's folder, its files), both in order of their names; a row's folder has a number for a name."""
    for row in sorted(path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()):
        yield row, sorted(path for path in row.iterdir() if path.is_file() and path.name[0] != ".")


def _folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files, as `sha256sum` of each in order would list them."""
    total = hashlib.sha256()
    for row, files in _files_of_rows(folder):
        for path in files:
            total.update(f"{hashlib.sha256(read(path)).hexdigest()}  {row.name}/{path.name}\n".encode())
    return total.hexdigest()


def _parse_folder(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, row) of a folder of folders: {"folder": its name, the stem of each of its files: the text}."""
    for row, files in _files_of_rows(folder):
        yield str(row), {"folder": row.name} | {path.stem: decode(read(path), path) for path in files}
