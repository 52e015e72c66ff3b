"""Results that another tool reported, in one form: what they are of, their figures, each item's values if they came.

They are that tool's verdicts. So they are compared with their own kind only (same tool, task, version and items);
beside this harness's runs they stand without a rank, and to be compared with those their completions have to be judged
again (`harness score`). Reading the tools' files is foreign.py's.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from harness.errors import ConfigError, NotComparable, unknown
from harness.results import compare
from harness.results.compare import Comparison, Row
from harness.runs.store.reader import shown
from harness.schema import Value
from harness.stats import estimates
from harness.stats.estimates import Floats

FORMAT = 1
SUFFIX = ".imported.json"
SAME = 1e-6  # a reported value is its items' mean to that


class Figure(Value):
    """A metric as it was reported, 0..1 where it is a share."""

    value: float
    stderr: float | None = None


class Item(Value):
    """`asked` and `prompt` are digests of the problem with its target, and of what the model was shown; `values` has
    metric -> one value a sample."""

    asked: str
    prompt: str
    values: Mapping[str, list[float]]


class Imported(Value):
    """`conditions` are what two results of the tool must share, `shots` how many examples there were, None where that
    is not said, `no_items` why there are none."""

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
    metrics: Mapping[str, Figure]
    items: Mapping[str, Item] = {}
    no_items: str = ""

    @property
    def label(self) -> str:
        return f"{self.tool} {self.tool_version}".strip()


def read(path: Path) -> Imported:
    """A file that `harness import` wrote. Raises ConfigError."""
    try:
        found = Imported.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: no result that 'harness import' wrote ({where}: {first['msg'].lower()})"
        ) from None
    if found.format > FORMAT:
        raise ConfigError(
            f"{path} is of format {found.format}; this version reads up to {FORMAT}: upgrade, or import again"
        )
    return found


def check_alone(paths: Sequence[Path]) -> bool:
    """Whether all are imported results. Raises NotComparable for some of them beside runs of this harness."""
    theirs = [path for path in paths if path.name.endswith(SUFFIX)]
    if theirs and len(theirs) < len(paths):
        raise NotComparable(
            f"{theirs[0]} has another tool's verdicts, which were reached by other rules than a run's: judge its"
            " completions with 'harness score TASK --completions FILE' (harness import writes them beside it), and"
            " compare that run"
        )
    return bool(theirs)


# ---------------------------------------------------------------- comparison


def differing(a: Imported, b: Imported) -> list[str]:
    """A line for each thing on which the two differ that must be the same; none when they may be compared."""
    for one in (a, b):
        if not one.items:
            return [f"{one.source} has totals only, no items, and a paired test needs items: {one.no_items}"]
    mine, theirs = ({"tool": r.tool, "task": r.task, **r.conditions} for r in (a, b))
    lines = [
        f"{name}: {shown(mine.get(name))} and {shown(theirs.get(name))}"
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]
    if lines:
        return lines
    if a.items.keys() != b.items.keys():
        return [f"items: {len(a.items)} and {len(b.items)}, not the same ones"]
    if other_item := [name for name in a.items if a.items[name].asked != b.items[name].asked]:
        return [f"{len(other_item)} items ask something else: {', '.join(other_item[:3])}"]
    if a.shots == b.shots:
        prompts = [name for name in a.items if a.items[name].prompt != b.items[name].prompt]
        if prompts:
            return [f"{len(prompts)} items have another prompt: {', '.join(prompts[:3])}"]
    return []


def compared(found: Sequence[Imported], metrics: Sequence[str] = (), *, seed: int = 0) -> Comparison:
    """Each result against the first, on the same items. Raises NotComparable, ConfigError."""
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
        raise NotComparable("no metric that all have is the mean of its items: nothing to test item by item")
    ids = tuple(found[0].items)
    cells = {}
    for name in wanted:
        single = all(len(item.values[name]) == 1 for one in found for item in one.items.values())
        vectors = [_vectors(one, name) for one in found]
        cells[name] = compare.cells(estimates.mean_of(), vectors, single=single, seed=seed)
    rows = tuple(Row(name, ()) for name in _names(found))
    return Comparison(found[0].task, rows, dict.fromkeys(wanted, ids), cells, 0)


def _is_mean(one: Imported, metric: str) -> bool:
    """Whether the reported value is the mean of the items' values: only then a test on items is one of the metric."""
    if metric not in one.metrics or any(not item.values.get(metric) for item in one.items.values()):
        return False
    return math.isclose(one.metrics[metric].value, float(_vectors(one, metric).mean()), abs_tol=SAME)


def _vectors(one: Imported, metric: str) -> Floats:
    return np.array([[float(np.mean(item.values[metric]))] for item in one.items.values()])


def _names(found: Sequence[Imported]) -> list[str]:
    shots = len({one.shots for one in found}) > 1
    names = [f"{one.model}, {one.shots}-shot" if shots else one.model for one in found]
    return [
        f"{name} ({Path(one.source).name})" if names.count(name) > 1 else name
        for name, one in zip(names, found, strict=True)
    ]
