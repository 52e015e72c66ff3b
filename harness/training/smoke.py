"""A study in the smallest size that goes through all of it: a few rows, two optimiser steps, plain number formats."""

from typing import Any

PROBLEMS, ROWS, STEPS, LENGTH = 2, 8, 2, 256
TEXTS = 8  # problems where completions are the texts of a classifier, which needs five different ones


def shrink(plain: dict[str, Any]) -> dict[str, Any]:
    """The study's config, before its matrices are filled: PROBLEMS or TEXTS a cell, STEPS of training on ROWS rows."""
    shrunk: dict[str, Any] = {**plain, "limit": TEXTS if "classifier" in plain else PROBLEMS}
    shrunk["backend"] = {"dtype": "float32", **plain.get("backend", {})}
    if "retrieval" in plain:
        shrunk["retrieval"] = {**plain["retrieval"], "encoder": "mini"}  # the one that comes with the harness
    shrunk["sampling"] = {**plain.get("sampling", {}), "max_tokens": 16}
    if "train" in plain:
        train = _with_rows(plain["train"])
        packing, optim = train.get("packing", {}), train.get("optim", {})
        train |= {
            "dtype": "float32",
            "packing": {
                **packing,
                "length": min(packing.get("length", LENGTH), LENGTH),
                "over_long": "truncate_left",
            },
            "optim": {**optim, "max_steps": STEPS, "warmup": 0, "precision": "float32", "accumulate": 1},
            "evaluation": {**train.get("evaluation", {}), "per_epoch": 1},
        }
        if "watch" in train:
            train["watch"] = {**train["watch"], "every": 1, "texts": PROBLEMS, "length": 8}
        shrunk["train"] = train
    return shrunk


def _with_rows(plain: Any) -> Any:
    """Every table of training data, wherever it stands, with at most ROWS rows."""
    if isinstance(plain, list):
        return [_with_rows(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    if "task" in plain or "file" in plain:
        return {**plain, "limit": ROWS}
    return {key: _with_rows(value) for key, value in plain.items()}
