"""Judge the recorded completions of submissions that were not judged yet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.results.leaderboard.submissions import RecordedCompletions, Submission
from harness.runs.store.run_folder import read_run

Judge = Callable[[dict[str, Any], Path], None]


def to_judge(submissions: Sequence[Submission]) -> list[RecordedCompletions]:
    """The completions without a whole run."""
    return [each for one in submissions for each in one.recordings if not _whole(each.run)]


def _whole(folder: Path) -> bool:
    try:
        return bool(read_run(folder)[1]["errors"] == 0)
    except (HarnessError, KeyError):
        return False


def judge(new: Sequence[RecordedCompletions], settings: Mapping[str, Any], run: Judge) -> Iterator[str]:
    """Judge each with `run` (config, folder); yields a line for each that could not be."""
    for one in new:
        reading = one.reading
        backend = {
            "kind": "replay",
            "path": str(one.path),
            "field": reading.field,
            "partial": reading.partial,
        }
        plain = {**settings, "task": reading.task, "options": dict(reading.options), "backend": backend}
        try:
            run(plain, one.run)
        except HarnessError as error:
            yield f"skipped {one.path}: {error}"
