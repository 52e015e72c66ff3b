"""A training config with a [matrix] -> one config a cell: methods x tasks, as in the PEFT study's table. Pure."""

from collections.abc import Mapping
from typing import Any

from harness.config.grid import fill
from harness.config.load import checked
from harness.training.config import TrainConfig


def expand(plain: Mapping[str, Any], where: str) -> list[TrainConfig]:
    """The cells, the last axis turning fastest; one for a config without a matrix. Raises ConfigError."""
    if "matrix" not in plain:
        return [checked(TrainConfig, plain, where)]
    cells = fill(plain, TrainConfig, where)
    return [checked(TrainConfig, filled, f"{where}, cell {label}") for label, filled in cells]
