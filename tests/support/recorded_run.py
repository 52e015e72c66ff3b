"""A finished run of recorded answers that has what formats of other tools stumble over."""

from pathlib import Path
from typing import Any

from tests.support.command import harness, mini_humaneval, write_rows


def recorded_run(folder: Path, *more: object) -> Path:
    """Mini HumanEval, ten problems of two samples: the first returns nothing and holds half a surrogate pair; the
    second is right, and for the first problem it has thought."""
    said: list[dict[str, Any]] = [
        {
            "task_id": row["task_id"],
            "completion": row["canonical_solution"] if i else "    return None  # \ud83d\n",
        }
        for row in mini_humaneval()[:10]
        for i in range(2)
    ]
    said[1]["reasoning"] = "so\u2028so"
    given = ("--data", "mini", "--limit", 10, "--completions", write_rows(folder / "said.jsonl", said))
    ended = harness("score", "humaneval", *given, *more, "--out", folder / "run")
    assert ended.code == 0, ended.err
    return folder / "run"
