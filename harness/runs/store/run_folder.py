"""A run's folder: rows that are appended, an atomic summary, one writer at a time.

What is on disk is the state: a run killed at any instant is resumed by the same command and ends with the same
bytes, wherever the folder is by then. jsonl.py writes the rows. Times go to timings.jsonl alone.
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
from harness.runs.store.atomic import disk_errors_as_faults, replace_file, to_json, write_atomic
from harness.runs.store.jsonl import JsonlFile
from harness.schema import Generation, Judgement, Value

AUDIT = "audit.json"  # what `harness audit` found, where somebody asked

# What may differ between the run that made a folder and the one that resumes it.
NOT_COMPARED = frozenset({"versions", "hardware", "commit", "prices", "contamination"})


@dataclass
class RunFolder:
    """An open, locked run folder. Use as a context manager."""

    folder: Path
    record: Mapping[str, Any]
    generations: JsonlFile[Generation]
    likelihoods: JsonlFile[Generation]
    judgements: JsonlFile[Judgement]
    _lock: Any

    def add_timing(self, stage: str, **values: float) -> None:
        """timings.jsonl is the only file with clock values."""
        path = self.folder / "timings.jsonl"
        with disk_errors_as_faults(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, **values}) + "\n")

    def write_problems(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """problems.jsonl is only for readers of the run: no stage reads it, and each start rewrites it."""
        lines = (json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n" for row in rows)
        replace_file(self.folder / "problems.jsonl", (line.encode() for line in lines))

    def write_summary(self, summary: Value) -> None:
        write_atomic(self.folder / "summary.json", to_json(summary.model_dump(mode="json")))

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            stack.callback(self._lock.release)
            for file in (self.judgements, self.likelihoods, self.generations):
                stack.callback(file.close)


def open_run(folder: Path, record: Mapping[str, Any]) -> RunFolder:
    """Start or resume the run in `folder`; a resumed one keeps its record, whatever machine it was started on.

    Raises ConfigError when the folder holds another run, StoreFault when it cannot be written.
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
            write_atomic(path, to_json(record))
        return RunFolder(
            folder=folder,
            record=record,
            generations=JsonlFile(folder / "generations.jsonl", Generation),
            likelihoods=JsonlFile(folder / "likelihoods.jsonl", Generation),
            judgements=JsonlFile(folder / "judgements.jsonl", Judgement),
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
    """(dotted name, old value, new value) of each field that differs, without those that are NOT_COMPARED."""
    for name in sorted({*old, *new}):
        if not prefix and name in NOT_COMPARED:
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
    summary = read_json(folder / "summary.json")
    if said := audit_note(folder, summary):
        summary["notes"] = [said, *summary.get("notes", ())]
    return read_json(folder / "run.json"), summary


def audit_note(folder: Path, summary: Mapping[str, Any]) -> str:
    """What the run's audit has to say of its number; empty where there is none, or it is of another number."""
    path = folder / AUDIT
    if not path.is_file():
        return ""
    found = read_json(path)
    now = summary.get("metrics", {}).get(found.get("metric"), {})
    same = all(now.get(name) == found.get("estimate", {}).get(name) for name in ("value", "n"))
    return str(found.get("note", "")) if same else ""


def read_timings(folder: Path) -> Iterator[dict[str, Any]]:
    """The readable rows of timings.jsonl: the one file that may have a torn line, since it is written without fsync."""
    path = folder / "timings.jsonl"
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and "stage" in row:
                    yield row
