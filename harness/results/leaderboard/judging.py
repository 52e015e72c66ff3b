"""Judge the recorded completions of submissions that were not judged yet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.results.leaderboard.submissions import Submission, SubmittedFile
from harness.runs.store.run_folder import read_run

Judge = Callable[[dict[str, Any], Path], None]


def to_judge(
    submissions: Sequence[Submission],
) -> tuple[list[tuple[Submission, Path, SubmittedFile]], list[str]]:
    """The recordings without a whole run, and a line for each that says what another submission says already."""
    new, copies = [], list[str]()
    seen: dict[str, Path] = {}
    for one in submissions:
        for path, recording in one.recordings:
            out = one.judged(path, recording)
            first = seen.setdefault(out.name, path)
            if first != path:
                copies.append(f"skipped {path}: the same completions as {first}")
            elif not _whole(out):
                new.append((one, path, recording))
    return new, copies


def _whole(folder: Path) -> bool:
    try:
        return bool(read_run(folder)[1]["errors"] == 0)
    except (HarnessError, KeyError):
        return False


def judge(
    new: Sequence[tuple[Submission, Path, SubmittedFile]], settings: Mapping[str, Any], run: Judge
) -> Iterator[str]:
    """Judge each with `run` (config, folder); yields a line for each that could not be."""
    for one, path, recording in new:
        backend = {
            "kind": "replay",
            "path": str(path),
            "field": recording.field,
            "partial": recording.partial,
        }
        plain = {**settings, "task": recording.task, "options": dict(recording.options), "backend": backend}
        try:
            run(plain, one.judged(path, recording))
        except HarnessError as error:
            yield f"skipped {path}: {error}"
