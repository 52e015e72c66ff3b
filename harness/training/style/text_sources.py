"""Texts to tell styles by, from what a user names: a run, a file of JSON lines, or a benchmark's solutions.

results/runs/a       a run's folder: its completions
rows.jsonl           the field `text`, `completion`, `solution`, `output`, `answer` or `response` of each row
task:conala[:test]   the solutions of a split, train if none is named
"""

from collections.abc import Iterator
from pathlib import Path

from harness.errors import ConfigError, DataError, unknown
from harness.files import decode, lines, parse_json, read
from harness.tasks.loading import data_files, registry

FIELDS = ("text", "completion", "solution", "output", "answer", "response")
SPLITS = ("train", "validation", "test")
TASK = "task:"


def read_texts(source: str, data: str | None) -> list[str]:
    """Its texts, each only once and none blank, in order. Raises UserError."""
    if source.startswith(TASK):
        found = _solutions(source.removeprefix(TASK), data)
    else:
        path = Path(source).expanduser()
        found = list(_rows(path / "generations.jsonl" if path.is_dir() else path))
    texts = list(dict.fromkeys(text for text in found if text.strip()))
    if not texts:
        raise DataError(f"{source}: no texts")
    return texts


def _solutions(name: str, data: str | None) -> list[str]:
    task, _, split = name.partition(":")
    if (split or "train") not in SPLITS:
        raise ConfigError(f"{TASK}{name}: {unknown('split', split, SPLITS)}")
    made = registry.task(task)
    problems = data_files.load(made, split or "train", data_files.open_source(data))  # type: ignore[arg-type]
    return [problem.solution for problem in problems]


def _rows(path: Path) -> Iterator[str]:
    try:
        text = decode(read(path), path)
    except DataError as error:
        raise DataError(f"{error}; a run's folder, a file of JSON lines or {TASK}NAME is expected") from None
    for number, line in lines(text):
        yield _text(f"{path}:{number}", line)


def _text(place: str, line: str) -> str:
    row = parse_json(line, place)
    for name in FIELDS if isinstance(row, dict) else ():
        value = row.get(name)
        if isinstance(value, dict):  # a generation of a run
            value = value.get("text")
        if isinstance(value, str):
            return value
    raise DataError(f"{place}: no text in this row: expected a field {', '.join(FIELDS)}")
