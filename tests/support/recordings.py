"""Small finished runs, made by the real runner from recorded answers: no model, no sandbox, milliseconds each.

base = make(tmp_path / "base", right={0, 1, 2})     # of the problems 0 to problems - 1, these are answered rightly
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.config.load import parse
from harness.runs import run
from tests.support.command import write_rows

TASK = '''"""Letters: repeat a word. Made for tests."""

from harness import scorers
from harness.text import extract
from harness.schema import Card, Problem, Reference, Sampling, Task, Template


def task(problems: int = 40, version: int = 1) -> Task:
    def load(split, source):
        for i in range(problems):
            group = "even" if i % 2 == 0 else "odd"
            yield Problem(id=f"letters/{i}", question=f"say {i}", solution=f"x = {i}",
                          check=Reference(texts=(f"x = {i}",)), group=group)

    return Task(
        name="letters", version=version, load=load, extract=lambda problem, completion: completion.text,
        templates=(Template(name="plain", style="plain"), Template(name="other", style="plain", answer="! {solution}")),
        scorers=(scorers.exact,), sampling=Sampling(max_tokens=8),
        card=Card(title="letters", paper="", licence="", url="", sizes={"test": problems}, setting=""),
    )
'''


def write_task(folder: Path) -> Path:
    path = folder / "letters.py"
    if not path.exists():
        path.write_text(TASK)
    return path


def make(
    out: Path,
    right: Iterable[int] | Callable[[int, int], bool],
    *,
    problems: int = 40,
    samples: int = 1,
    wrong: str = "y",
    **config: Any,
) -> Path:
    """A run in `out`; `right` holds problems, or says of (problem, sample) whether it is right."""
    chosen = right if callable(right) else (lambda i, j, those=frozenset(right): i in those)
    said = [
        {"task_id": f"letters/{i}", "text": f"x = {i}" if chosen(i, j) else wrong}
        for i in range(problems)
        for j in range(samples)
    ]
    path = write_rows(out.parent / f"{out.name}.jsonl", said)
    plain = {
        "task": str(write_task(out.parent)),
        "options": {"problems": problems},
        "backend": {"kind": "replay", "path": str(path)},
    }
    run.run(parse(merged(plain, config)), out)
    return out


def merged(plain: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in more.items():
        plain[key] = {**plain.get(key, {}), **value} if isinstance(value, dict) else value
    return plain


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file in place."""
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))


def edit_rows(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change a JSON-lines file in place; a function that returns a list replaces the rows."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_rows(path, change(rows) or rows)
