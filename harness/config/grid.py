"""A config with a [matrix] -> the runs it asks for. Pure: nothing is loaded, looked up or run here.

Every key of a run's config can be an axis, by its full name (`backend.dtype`) or a short one (`adapter`). An axis of
any other name is a list of tables, each of which sets several keys together, for what belongs together:

    [matrix]
    seed = [1, 2, 3]
    method = [{ shots = "none" }, { shots = "icl:4" }, { shots = "rag:4", adapter = "results/adapters/conala-lora" }]
"""

import copy
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.config.load import parse
from harness.config.run import RunConfig
from harness.errors import ConfigError, unknown
from harness.schema import Value

SHORT = {
    "model": "backend.model",
    "revision": "backend.revision",
    "adapter": "backend.adapter",
    "dtype": "backend.dtype",
    "samples": "sampling.samples",
    "temperature": "sampling.temperature",
    "beams": "sampling.beams",
}
# Axes that have a name: `seed = "paper"` is the five seeds of the PEFT study's ICL runs (2308.10462, code of
# November 2023).
NAMED: Mapping[str, Mapping[str, list[Any]]] = {"seed": {"paper": [42, 777, 5432, 55555, 97]}}
MOST = 10_000  # cells; more is a slip of the keyboard


@dataclass(frozen=True)
class Cell:
    """One run of a study; `label` says what sets it apart from the others: "shots=icl:4, seed=1"."""

    label: str
    config: RunConfig


@dataclass(frozen=True)
class Axis:
    """`values` are what the config gets: dotted key -> value, one mapping for each place on the axis."""

    name: str
    values: tuple[Mapping[str, Any], ...]


def expand(plain: Mapping[str, Any], where: str = "config") -> list[Cell]:
    """The cells of the grid, the last axis turning fastest. Raises ConfigError naming the key or the cell."""
    cells: dict[str, Cell] = {}
    total = 0
    for label, filled in fill(plain, RunConfig, where):
        total += 1
        config = parse(filled, f"{where}, cell {label}")
        if (same := cells.setdefault(config.model_dump_json(), Cell(label, config))).label != label:
            raise ConfigError(
                f"{where}: cells {same.label!r} and {label!r} are the same run: drop one of them"
            )
    if len(cells) != total:
        raise ConfigError(f"{where}: an axis of [matrix] has the same value twice")
    return list(cells.values())


def fill(plain: Mapping[str, Any], model: type[Value], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, what `model` gets) of each cell of a config with a [matrix]. Raises ConfigError."""
    rest = {key: value for key, value in plain.items() if key != "matrix"}
    matrix = plain.get("matrix", {})
    if not isinstance(matrix, dict) or not matrix:
        raise ConfigError(f"{where}: [matrix] needs at least one axis, for example seed = [1, 2, 3]")
    axes = [_axis(name, values, model, where) for name, values in _leaves(matrix)]
    _check_overlap(axes, rest, where)
    if (total := math.prod(len(axis.values) for axis in axes)) > MOST:
        raise ConfigError(f"{where}: [matrix] has {total} cells; at most {MOST} make sense")
    for places in itertools.product(*(axis.values for axis in axes)):
        settings = {key: value for place in places for key, value in place.items()}
        filled = copy.deepcopy(rest)
        for key, value in settings.items():
            _put(filled, key, copy.deepcopy(value))
        yield ", ".join(f"{key}={_shown(value)}" for key, value in settings.items()), filled


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """TOML reads `backend.dtype = [...]` as a table in a table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _axis(name: str, values: Any, model: type[Value], where: str) -> Axis:
    if isinstance(values, str) and values in NAMED.get(name, {}):
        values = NAMED[name][values]
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{where}: matrix.{name} = {values!r}: expected a list with at least one value")
    short = SHORT if model is RunConfig else {}
    full = short.get(name, name)
    known = full.split(".")[0] in model.model_fields
    tables = all(isinstance(value, dict) for value in values)
    if not known and not tables:
        hint = unknown("key", name, [*model.model_fields, *short])
        raise ConfigError(f"{where}: matrix.{name}: {hint} An axis of another name is a list of tables")
    if known and full != "options" and tables:
        return Axis(name, tuple({f"{full}.{key}": v for key, v in _leaves(value)} for value in values))
    if tables and not known:
        return Axis(name, tuple({short.get(k, k): v for k, v in _leaves(value)} for value in values))
    return Axis(name, tuple({full: value} for value in values))


def _check_overlap(axes: list[Axis], rest: Mapping[str, Any], where: str) -> None:
    owner: dict[str, str] = {}
    outside = {key for key, _ in _leaves(rest)}
    for axis in axes:
        for key in sorted({key for value in axis.values for key in value}):
            if any(_overlap(key, other) for other in outside):
                raise ConfigError(
                    f"{where}: {key} is set by matrix.{axis.name} and outside of it too: drop one of them"
                )
            if (other := owner.setdefault(key, axis.name)) != axis.name:
                raise ConfigError(
                    f"{where}: {key} is set by two axes, {other!r} and {axis.name!r}: drop one of them"
                )


def _overlap(key: str, other: str) -> bool:
    """Whether two dotted keys set the same thing, or one of them a part of the other."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _put(plain: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        plain = plain.setdefault(parent, {})
    plain[last] = value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else "..." + text[-57:]
