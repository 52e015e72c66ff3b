"""What a reader of another tool's results gives, and what the readers share."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.results.external import ExternalResult

Completions = list[
    dict[str, Any]
]  # rows for `harness score`: {"task_id", "text" | "solution" | "completion"}
ImportedTask = tuple[ExternalResult, Completions]


def digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def plain_name(path: Path) -> str:
    """The file's name without .gz."""
    return path.name.removesuffix(".gz")
