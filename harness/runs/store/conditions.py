"""Which runs may be compared: the conditions that two must share for their numbers to be about the same thing."""

import json
from collections.abc import Mapping
from typing import Any

from harness.config.identity import EQUIVALENT_ISOLATION
from harness.config.run import RunConfig
from harness.runs.store.reader import Result
from harness.schema import Sampling


def conditions(result: Result) -> dict[str, Any]:
    """What two runs must share for their numbers to be about the same thing: dotted name -> value."""
    partial = [note for note in result.summary.notes if note.startswith("partial")]
    return {**recorded_conditions(result.record, result.config), "partial": partial[0] if partial else None}


def recorded_conditions(record: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """Those that are settled before anything is made."""
    # Defaults are skipped, so that a field that a newer version adds is no difference.
    defaults = Sampling().model_dump(mode="json")
    sampling = {
        key: value
        for key, value in record["sampling"].items()
        if key not in {"seed", "stop"} and value != defaults.get(key)
    }
    return {
        "task": record["task"]["name"],
        "task.version": record["task"]["version"],
        "options": dict(config.options),
        "extract": record.get("extractor", ""),
        "split": config.split,
        "limit": config.limit,
        "data": record["data"]["sha256"],
        "prompt": record["prompt"]["template"],
        **_judge_conditions(record["judge"]),
        **{f"sampling.{name}": value for name, value in sampling.items()},
        **({"exclude": record["exclude"]} if "exclude" in record else {}),
        **{f"scorers.{name}": source for name, source in record.get("scorers", {}).items()},
    }


def _judge_conditions(judge: Mapping[str, Any] | None) -> dict[str, Any]:
    """Limits and isolation, packages, and each language's version: of Python without the number of its repairs."""
    if judge is None:
        return {"judge": None}
    sandbox = "isolated" if judge["sandbox"] in EQUIVALENT_ISOLATION else judge["sandbox"]
    own = {name: value for name, value in judge.items() if name not in ("versions", "installed")}
    versions = dict(judge.get("versions", {}))
    if "python" in versions:
        versions["python"] = ".".join(versions["python"].split(".")[:2])
    return {
        "judge": {**own, "sandbox": sandbox},
        **{f"judge.{name}": version for name, version in versions.items()},
        **{f"judge.packages.{name}": version for name, version in judge.get("installed", {}).items()},
    }


def format_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def condition_differences(a: Result, b: Result, *, same_prompts: bool = False) -> list[str]:
    """A line for each condition in which the runs differ; none when they may be compared.

    With the same shots, or with `same_prompts`, the prompts must be identical.
    """
    one, other = conditions(a), conditions(b)
    fields = one["prompt"].keys() & other["prompt"].keys()  # a newer version may know more of them
    for each in (one, other):
        each["prompt"] = {name: each["prompt"][name] for name in sorted(fields)}
    for name in one.keys() ^ other.keys():
        if name.startswith("scorers."):  # a scorer that only one of them has is in no metric that they share
            (one if name in one else other).pop(name)
    lines = _value_differences(one, other)
    lines += [f"{r.run_id} is {p}" for r in (a, b) if (p := conditions(r)["partial"])]
    hashes = (a.record["prompt"]["hash"], b.record["prompt"]["hash"])
    if hashes[0] != hashes[1] and not lines and (same_prompts or _shots(a) == _shots(b)):
        lines.append(f"prompt.hash: {hashes[0]} and {hashes[1]}")
    if not lines and set(a.samples) != set(b.samples):
        lines.append(f"problems: {len(a.samples)} and {len(b.samples)}, not the same ones")
    return lines


def _value_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {format_value(one.get(name))} and {format_value(other.get(name))}"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def _shots(result: Result) -> Any:
    """The part of the config that chooses shots; with the seed, if there are any."""
    if result.config.shots == "none":
        return "none"
    return result.config.model_dump(
        mode="json", exclude={"backend", "sampling", "judge", "scorers", "k", "data"}
    )
