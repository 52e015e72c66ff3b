"""Which runs are one row of a table, what the row is called, and in which order rows stand.

Runs that differ in the seed alone are one row: the run's, and that with which its adapter was trained. A row is named
after what sets it apart. The base as it is comes first, the reference of all differences; then examples by way and
number, then adapters by name, so that what belongs together stands together.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.identity import OBSERVED
from harness.config.run import RunConfig
from harness.runs.store import reader
from harness.runs.store.reader import Result

DIGEST = re.compile(r"(?<=.)-[0-9a-f]{8}$")  # what training appends to an adapter's name
NO_METHOD = {"seed", "device", "data_folder", "trackers", "log_every", "name"}  # of a training's config
WAYS = ("none", "icl", "rag", "random_like_rag")


@dataclass(frozen=True)
class ComparisonRow:
    """One method: its runs (one per seed; none for another tool's result) and its name in this comparison.

    `method` is the name without the model's.
    """

    name: str
    runs: tuple[Result, ...]
    method: str = ""


def group_seeds(runs: Sequence[Result]) -> tuple[ComparisonRow, ...]:
    """Group runs that differ only in the seed; each row is named after what sets it apart."""
    found: dict[str, list[Result]] = {}
    for run in runs:
        found.setdefault(_method_key(run), []).append(run)
    groups = [sorted(same, key=lambda run: run.config.seed) for same in found.values()]
    models = {reader.model(same[0].config) for same in groups}
    several = len(models) > 1 or len(groups) == 1
    adapters = adapter_names([same[0] for same in groups])
    methods = [_method(same[0].config, adapters) for same in groups]
    names = [_row_name(same[0], method, several) for same, method in zip(groups, methods, strict=True)]
    return tuple(
        ComparisonRow(
            f"{name} ({same[0].run_id.rpartition('-')[2]})" if names.count(name) > 1 else name,
            tuple(same),
            method,
        )
        for name, method, same in zip(names, methods, groups, strict=True)
    )


def in_order(runs: Sequence[Result], reference: str = "") -> list[Result]:
    """The base without help first (else the first run, or that with the id `reference`), then in natural order."""
    models = list(dict.fromkeys(reader.model(run.config) for run in sorted(runs, key=_is_trained)))
    bare = [run for run in runs if run.config.shots == "none" and not _is_trained(run)]
    first = next((run for run in runs if run.run_id == reference), None) or next(iter(bare), runs[0])

    names = adapter_names(runs)

    def place(run: Result) -> tuple[Any, ...]:
        way, _, count = run.config.shots.partition(":")
        adapter = names.get(run.config.backend.adapter, "")
        return (
            _method_key(run) != _method_key(first),
            models.index(reader.model(run.config)),
            bool(adapter),
            [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", adapter)],
            WAYS.index(way) if way in WAYS else len(WAYS),
            int(count) if count.isdigit() else 0,
        )

    return sorted(runs, key=place)


def _is_trained(run: Result) -> bool:
    backend = run.config.backend
    return bool(backend.adapter) or training(backend.model) is not None


def training(folder: str) -> dict[str, Any] | None:
    """What decides a training done here, as far as its train.json is still there: without the seed."""
    try:
        plain = json.loads((Path(folder).expanduser() / "train.json").read_text(encoding="utf-8"))
        own = {key: value for key, value in plain["config"].items() if key not in NO_METHOD}
        return {**own, "rows": sorted(plain["data"]["sha256"].values())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not trained here


def _method_key(run: Result) -> str:
    """All that makes a run what it is but for seeds."""
    backend = {k: v for k, v in run.record["backend"].items() if k not in {"engine", "device", *OBSERVED}}
    plain = run.config.model_dump(mode="json", exclude={"seed", "data", "judge", "cache"})
    plain["backend"] = run.config.backend.identity_fields()
    for name, digests in (("adapter", ("adapter", "loaded")), ("model", ("model", "weights", "loaded"))):
        if made := training(getattr(run.config.backend, name)):
            plain["backend"] = {**plain["backend"], name: made}
            backend = {key: value for key, value in backend.items() if key not in digests}
    return json.dumps([plain, backend], sort_keys=True, default=str)


# ---------------------------------------------------------------- names


def _method(config: RunConfig, adapters: Mapping[str, str]) -> str:
    shots = "" if config.shots == "none" else config.shots
    parts = (adapters.get(config.backend.adapter, ""), shots)
    return " + ".join(part for part in parts if part) or "zero-shot"


def _row_name(run: Result, method: str, several: bool) -> str:
    """A row's name: its method, with the model if there are several."""
    if not several:
        return method
    model = reader.model(run.config)
    return model if method == "zero-shot" else f"{model}, {method}"


def adapter_names(runs: Sequence[Result]) -> dict[str, str]:
    """Adapter -> its folder's name without the digest; of several of that name with what differs in their training.

    Where that is not known the whole name, of folders of one name with the one above.
    """
    adapters = list(dict.fromkeys(run.config.backend.adapter for run in runs if run.config.backend.adapter))
    short = {adapter: DIGEST.sub("", Path(adapter).name) for adapter in adapters}
    names = {}
    for adapter, name in short.items():
        made = {other: training(other) for other in adapters if short[other] == name}
        known = [each for each in made.values() if each is not None]
        if len(made) == 1 or (len(known) == len(made) and all(each == known[0] for each in known)):
            names[adapter] = name
        elif len(known) == len(made):
            names[adapter] = f"{name} ({_differing(made[adapter] or {}, known)})"
        else:
            path = Path(adapter)
            alone = [Path(other).name for other in made].count(path.name) == 1
            names[adapter] = path.name if alone else f"{path.parent.name}/{path.name}"
    return names


def _differing(own: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]) -> str:
    """ "r=8, balance=task_token": the settings that are not the same in all of them."""
    flat = [dict(_flatten(each)) for each in alike]
    keys = dict.fromkeys(key for each in flat for key in each)
    other = [key for key in keys if len({json.dumps(each.get(key), default=str) for each in flat}) > 1]
    if "rows" in other and len(other) > 1:
        other.remove("rows")
    mine = dict(_flatten(own))
    return ", ".join(f"{key.rpartition('.')[2]}={_value(mine.get(key))}" for key in other)


def _flatten(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(plain, list) and plain and isinstance(plain[0], Mapping):
        for number, value in enumerate(plain):
            yield from _flatten(value, f"{prefix}.{number}")
    else:
        yield prefix, plain


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(str(each)[:8] for each in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
