"""A training config with a [matrix] -> one config a cell: methods x tasks, as in the PEFT study's table. Pure.

An axis is a list: of values for the key it is named after, or, under any name, of tables that are laid over
the rest of the config.
"""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

from harness.config.load import checked
from harness.errors import ConfigError, unknown
from harness.training.config import TrainConfig


def expand(plain: Mapping[str, Any], where: str) -> list[TrainConfig]:
    """The cells, the last axis turning fastest; one for a config without a matrix. Raises ConfigError."""
    rest = {key: value for key, value in plain.items() if key != "matrix"}
    axes = [_axis_values(name, values, where) for name, values in plain.get("matrix", {}).items()]
    cells = []
    for places in itertools.product(*axes):
        filled = copy.deepcopy(rest)
        for place in places:
            _overlay(filled, copy.deepcopy(place))
        at = ", ".join(f"{key}={value}" for place in places for key, value in place.items() if key != "data")
        cells.append(checked(TrainConfig, filled, f"{where}, cell {at}" if axes else where))
    return cells


def _axis_values(name: str, values: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{where}: matrix.{name} = {values!r}: expected a list with at least one value")
    if all(isinstance(value, dict) for value in values):
        return values
    if name not in TrainConfig.model_fields:
        hint = unknown("key", name, TrainConfig.model_fields)
        raise ConfigError(f"{where}: matrix.{name}: {hint} An axis of another name is a list of tables")
    return [{name: value} for value in values]


def _overlay(plain: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(plain.get(key), dict):
            _overlay(plain[key], value)
        else:
            plain[key] = value
