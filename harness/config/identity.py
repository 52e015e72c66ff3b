"""What identifies a run on any machine: its record without paths that a digest stands for, and without the device.

So a run's folder may be moved, and its model, recording or encoder may lie elsewhere than they did: the run goes on.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config import plugins

# Where something lies, and the digest that says what it is: with the digest there, the place is of no account.
PLACES = {
    "config.backend.path": "backend.completions",
    "config.backend.adapter": "backend.adapter",
    "config.retrieval.encoder": "shots.encoder.digest",
    "shots.encoder.model": "shots.encoder.digest",
    "config.retrieval.rerank": "shots.rerank.digest",
    "shots.rerank.model": "shots.rerank.digest",
    "config.style.classifier": "config.style.digest",
    "config.options.explanations": "data.sha256.humanevalpack/explanations",
}
WEIGHTS = (
    "config.backend.model",
    "backend.model",
    "backend.device",
)  # of backend hf; a server's model is a name
FILES = (
    "config.task",
    "config.extract",
    "config.backend.kind",
    "backend.kind",
)  # a name, or the path of a Python file
# Isolation levels whose verdicts are the same (tests/sandbox/python/test_isolation_parity.py).
EQUIVALENT_ISOLATION = {"namespaces", "landlock"}
# Fields of a backend's identity that it found out, and that no completion depends on.
OBSERVED = ("adapter_proof", "adapter_warnings")
DERIVED = ("run_id", "config_hash")  # they follow from the rest, with the places in it


def digest(plain: Any) -> str:
    """Short SHA-256 of a JSON value in canonical form."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def placeless(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as plain JSON without places, device, observations and what follows from them. The sandboxes that
    give the same verdicts have one name; of the path of a task's or backend's file only the name is kept.
    """
    plain: dict[str, Any] = json.loads(json.dumps(record))
    for place, digest in PLACES.items():
        if _at(plain, digest):
            _take_out(plain, place)
    if _at(plain, "backend.kind") == "hf" and _at(plain, "backend.weights"):
        for place in WEIGHTS:
            _take_out(plain, place)
    for name in FILES:
        if plugins.is_file(file := str(_at(plain, name))):
            parent, _, last = name.rpartition(".")
            _at(plain, parent)[last] = Path(file).name
    if _at(plain, "judge.sandbox") in EQUIVALENT_ISOLATION:
        plain["judge"]["sandbox"] = "isolated"
    for name in OBSERVED:
        _take_out(plain, f"backend.{name}")
    for name in DERIVED:
        plain.pop(name, None)
    return plain


def _at(plain: Any, name: str) -> Any:
    for part in name.split("."):
        plain = plain.get(part) if isinstance(plain, dict) else None
    return plain


def _take_out(plain: dict[str, Any], name: str) -> None:
    parent, _, last = name.rpartition(".")
    if isinstance(found := _at(plain, parent), dict):
        found.pop(last, None)
