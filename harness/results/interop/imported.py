"""What a reader of another tool's results gives, and what the readers share."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from harness.results.external import ExternalResult

Completions = list[
    dict[str, Any]
]  # rows for `harness score`: {"task_id", "text" | "solution" | "completion"}
ImportedTask = tuple[ExternalResult, Completions]


def digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def one_line(error: Exception) -> str:
    """What a file's content raised; of pydantic's many lines the first complaint."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg'].lower()}"
    return f"{type(error).__name__} {' '.join(str(error).split())}"


def plain_name(path: Path) -> str:
    """The file's name without .gz."""
    return path.name.removesuffix(".gz")
