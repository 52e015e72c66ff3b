"""A run's folder: rows that are appended, an atomic summary, one writer at a time.

What is on disk is the state: a run killed at any instant is continued by the same command and ends with the
same bytes, wherever the folder lies by then. `jsonl` writes the rows. Clock values go to timings.jsonl alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.config.identity import placeless
from harness.errors import ConfigError, StoreFault
from harness.runs.store.jsonl import Log, replace, writing
from harness.schema import Generation, Judgement, Value

# What may differ between the run that made a folder and the one that continues it.
INCIDENTAL = frozenset({"versions", "hardware", "commit", "prices"})


def write_atomic(path: Path, text: str) -> None:
    """Write all of `text` or nothing: a temporary file in the same folder, fsync, rename."""
    replace(path, [text.encode()])


def pretty(plain: Any) -> str:
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


@dataclass
class Run:
    """An open, locked run folder. Use as a context manager."""

    folder: Path
    record: Mapping[str, Any]
    generations: Log[Generation]
    likelihoods: Log[Generation]
    judgements: Log[Judgement]
    _lock: Any

    def time(self, stage: str, **values: float) -> None:
        """Note clock values; timings.jsonl is the only file that has any."""
        path = self.folder / "timings.jsonl"
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, **values}) + "\n")

    def keep_problems(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write problems.jsonl, which is for readers alone: no stage reads it, and each start writes it anew."""
        lines = (json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n" for row in rows)
        replace(self.folder / "problems.jsonl", (line.encode() for line in lines))

    def summarise(self, summary: Value) -> None:
        write_atomic(self.folder / "summary.json", pretty(summary.model_dump(mode="json")))

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            stack.callback(self._lock.release)
            for log in (self.judgements, self.likelihoods, self.generations):
                stack.callback(log.close)


def open_run(folder: Path, record: Mapping[str, Any]) -> Run:
    """Make or continue the run in `folder`; a continued one keeps its record, on whatever machine it was begun.

    Raises ConfigError when the folder holds a run that is not this one.
    """
    import filelock

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {str(folder)!r} is a file; a run needs a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise StoreFault(
            f"{folder} is being written by another process: wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise StoreFault(f"{folder} cannot be written: {error.strerror}") from None
    try:
        path = folder / "run.json"
        if path.exists():
            _same_run(folder, old := read_json(path), record)
            record = old
        else:
            if (folder / "generations.jsonl").exists():
                raise ConfigError(f"{folder} holds generations but no run.json: choose another --out")
            write_atomic(path, pretty(record))
        return Run(
            folder=folder,
            record=record,
            generations=Log(folder / "generations.jsonl", Generation),
            likelihoods=Log(folder / "likelihoods.jsonl", Generation),
            judgements=Log(folder / "judgements.jsonl", Judgement),
            _lock=lock,
        )
    except BaseException:
        lock.release()
        raise


def read_json(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreFault(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(plain, dict):
        raise StoreFault(f"{path}: expected an object, got {type(plain).__name__}")
    return plain


def _same_run(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    differing = list(differences(placeless(old), placeless(new)))
    if differing:
        shown = "; ".join(f"{name}: {was!r} there, {now!r} now" for name, was, now in differing[:4])
        more = f" (and {len(differing) - 4} more)" if len(differing) > 4 else ""
        raise ConfigError(f"{folder} holds another run: {shown}{more}. Choose another --out")


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, old value, new value) of each field that differs, incidental ones left out."""
    for name in sorted({*old, *new}):
        if not prefix and name in INCIDENTAL:
            continue
        was, now = old.get(name), new.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from differences(was, now, f"{prefix}{name}.")
        elif was != now:
            yield f"{prefix}{name}", was, now


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(run.json, summary.json) of a finished run, for reports. Raises ConfigError when it is not one."""
    for name in ("run.json", "summary.json"):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} is not a finished run: it has no {name}")
    return read_json(folder / "run.json"), read_json(folder / "summary.json")


def timings(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of timings.jsonl that can be read: it is the one file that may be torn, being written without sync."""
    path = folder / "timings.jsonl"
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and "stage" in row:
                    yield row
