"""Results that another tool reported, in one form: its metrics and, where reported, its items.

They are that tool's verdicts, so they are compared only with results of the same tool, task, version and items. On a
leaderboard they have no rank, and to compare them with runs of this harness their completions must be judged again
(`harness score`). interop/readers.py reads the tools' files.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from harness.errors import ConfigError, NotComparable, unknown
from harness.results import compare
from harness.results.compare import Comparison
from harness.results.rows import ComparisonRow
from harness.runs.store.conditions import format_value
from harness.schema import Unit, Value
from harness.stats import estimates
from harness.stats.intervals import Floats

FORMAT = 1
SUFFIX = ".imported.json"
MEAN_TOLERANCE = 1e-6  # tolerance for a reported value to be the mean of its items


def _encodable(plain: Any) -> Any:
    """With half a surrogate pair, which JSON may hold and UTF-8 may not, as its escape: names that differ still do."""
    if isinstance(plain, str):
        return plain.encode("utf-8", "backslashreplace").decode()
    if isinstance(plain, Mapping):
        return {_encodable(key): _encodable(value) for key, value in plain.items()}
    return [_encodable(each) for each in plain] if isinstance(plain, list | tuple) else plain


class ReportedMetric(Value):
    """A metric as reported; 0..1 for a share. No NaN nor infinity: JSON has neither, and they compare with nothing."""

    value: FiniteFloat
    stderr: FiniteFloat | None = None
    unit: Unit = Field(default="share", exclude_if=lambda unit: unit == "share")
    lower_is_better: bool = Field(default=False, exclude_if=lambda lower: not lower)


class ExternalItem(Value):
    """`asked` and `prompt` are digests of the problem with its target, and of the prompt; `values` is metric -> one
    value per sample."""

    asked: str
    prompt: str
    values: Mapping[str, list[FiniteFloat]]

    @model_validator(mode="before")
    @classmethod
    def _can_be_written(cls, plain: Any) -> Any:
        return _encodable(plain)


class ExternalResult(Value):
    """`conditions` must be equal for two results to be compared; `shots` is None if not reported; `no_items` says why
    there are no items."""

    format: int = Field(default=FORMAT, ge=1)
    tool: str
    tool_version: str
    task: str
    model: str
    source: str
    sha256: str
    n: int
    shots: int | None
    conditions: Mapping[str, Any]
    metrics: Mapping[str, ReportedMetric]
    items: Mapping[str, ExternalItem] = {}
    no_items: str = ""

    @model_validator(mode="before")
    @classmethod
    def _can_be_written(cls, plain: Any) -> Any:
        return _encodable(plain)

    @property
    def label(self) -> str:
        return f"{self.tool} {self.tool_version}".strip()


def read_result(path: Path) -> ExternalResult:
    """A file that `harness import` wrote. Raises ConfigError."""
    try:
        found = ExternalResult.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: not a result written by 'harness import' ({where}: {first['msg'].lower()})"
        ) from None
    if found.format > FORMAT:
        raise ConfigError(
            f"{path} is of format {found.format}; this version reads up to {FORMAT}: upgrade, or import again"
        )
    return found


def all_external(paths: Sequence[Path]) -> bool:
    """Whether all paths are imported results. Raises NotComparable for a mix with runs of this harness."""
    imported = [path for path in paths if path.name.endswith(SUFFIX)]
    if imported and len(imported) < len(paths):
        raise NotComparable(
            f"{imported[0]} has another tool's verdicts and cannot be compared with a run: judge its completions with"
            " 'harness score TASK --completions FILE' (harness import writes them next to it) and compare that run"
        )
    return bool(imported)


# ---------------------------------------------------------------- comparison


def differing(a: ExternalResult, b: ExternalResult) -> list[str]:
    """One line for each condition on which the two differ; empty if they may be compared."""
    for one in (a, b):
        if not one.items:
            return [f"{one.source} has totals but no items, and a paired test needs items: {one.no_items}"]
    first, second = ({"tool": r.tool, "task": r.task, **r.conditions} for r in (a, b))
    lines = [
        f"{name}: {format_value(first.get(name))} and {format_value(second.get(name))}"
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]
    if lines:
        return lines
    if a.items.keys() != b.items.keys():
        return [f"items: {len(a.items)} and {len(b.items)}, not the same items"]
    if changed := [name for name in a.items if a.items[name].asked != b.items[name].asked]:
        return [f"{len(changed)} items have another question or target: {', '.join(changed[:3])}"]
    if a.shots == b.shots:
        prompts = [name for name in a.items if a.items[name].prompt != b.items[name].prompt]
        if prompts:
            return [f"{len(prompts)} items have another prompt: {', '.join(prompts[:3])}"]
    return []


def compare_results(
    found: Sequence[ExternalResult], metrics: Sequence[str] = (), *, seed: int = 0
) -> Comparison:
    """Compare each result with the first, on the same items. Raises NotComparable, ConfigError."""
    if len(found) < 2:
        raise ConfigError("nothing to compare: give at least two results")
    for one in found[1:]:
        if lines := differing(found[0], one):
            raise NotComparable(f"{found[0].source} and {one.source} cannot be compared: {'; '.join(lines)}")
    shared = [name for name in found[0].metrics if all(_is_mean(one, name) for one in found)]
    for name in metrics:
        if name not in shared:
            raise ConfigError(unknown("metric that is the mean of its items", name, shared))
    wanted = list(metrics) or shared
    if not wanted:
        raise NotComparable(
            "no shared metric is the mean of its items, so there is nothing to test item by item"
        )
    ids = tuple(found[0].items)
    cells = {}
    for name in wanted:
        single = all(len(item.values[name]) == 1 for one in found for item in one.items.values())
        vectors = [_vectors(one, name) for one in found]
        lower = found[0].metrics[name].lower_is_better
        reduce = estimates.mean_of(unit=_shared_unit(found, name), lower_is_better=lower)
        cells[name] = compare.compare_vectors(reduce, vectors, single=single, seed=seed)
    rows = tuple(ComparisonRow(name, ()) for name in _row_names(found))
    return Comparison(found[0].task, rows, dict.fromkeys(wanted, ids), cells, 0)


def _is_mean(one: ExternalResult, metric: str) -> bool:
    """Whether the reported value is the mean of the items' values: only then does a test on items test the metric."""
    if metric not in one.metrics or any(not item.values.get(metric) for item in one.items.values()):
        return False
    return math.isclose(
        one.metrics[metric].value, float(_vectors(one, metric).mean()), abs_tol=MEAN_TOLERANCE
    )


def _shared_unit(found: Sequence[ExternalResult], metric: str) -> Unit:
    """A share only where all values are: a metric of 0 to 100 whose value is below 1 looks like one on its own."""
    shares = all(one.metrics[metric].unit == "share" for one in found)
    items = (item for one in found for item in one.items.values())
    return "share" if shares and all(0 <= v <= 1 for item in items for v in item.values[metric]) else "number"


def _vectors(one: ExternalResult, metric: str) -> Floats:
    return np.array([[float(np.mean(item.values[metric]))] for item in one.items.values()])


def _row_names(found: Sequence[ExternalResult]) -> list[str]:
    shots = len({one.shots for one in found}) > 1
    names = [f"{one.model}, {one.shots}-shot" if shots else one.model for one in found]
    return [
        f"{name} ({Path(one.source).name})" if names.count(name) > 1 else name
        for name, one in zip(names, found, strict=True)
    ]
