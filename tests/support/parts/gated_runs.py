"""Runs that a gate judges: as many problems as HumanEval has, of which so many are right."""

import json
from pathlib import Path

from tests.support.command import Ended, harness

N = 164  # as many as HumanEval


def right(run: int = 100) -> set[int]:
    return set(range(run))


def counted(run: Path) -> Path:
    """With tokens counted, as a run of a model has them: 5 a sample."""
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"cost": {"completion_tokens": 820, "prompt_tokens": 820}}))
    return run


def judged(run: Path, runs: Path, *more: object) -> Ended:
    return harness("gate", run, "--baseline", runs / "b.json", *more)
