"""Result files of other tools: lm-evaluation-harness 0.4, Inspect (JSON, version 2), EvalPlus, human-eval.

    read(path) -> [(Imported, completions), ...]     one a task; told apart by looking

Their files say what was reported; nothing is judged here. Inspect's `.eval` archives need its own library (zstandard
inside zip); its JSON is documented and has a version.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.files import decode, lines, parse_json
from harness.files import read as read_file
from harness.results.external import Figure, Imported, Item
from harness.stats import estimates

Completions = list[
    dict[str, Any]
]  # rows for `harness score`: {"task_id", "text" | "solution" | "completion"}
Read = tuple[Imported, Completions]
GRADES: Mapping[str, float] = {
    "C": 1.0,
    "P": 0.5,
    "I": 0.0,
    "N": 0.0,
}  # Inspect's letters, as its accuracy counts them


def read(path: Path) -> list[Read]:
    """What the file holds. Raises DataError with the place for what is none of theirs, unfinished or damaged."""
    if path.is_dir():
        inside = sorted(path.rglob("results*.json"))
        if not inside:
            raise DataError(f"{path}: no results*.json in it; give the file itself")
        return [found for each in inside for found in read(each)]
    blob = read_file(path)
    if blob[:2] == b"PK" or path.suffix == ".eval":
        raise DataError(
            f"{path}: Inspect's archive, which only its library reads: 'inspect log convert {path.name} --to json"
            " --output-dir DIR' writes the JSON that is read here"
        )
    text, sha = decode(blob, path), hashlib.sha256(blob).hexdigest()
    try:
        first = next((line for _, line in lines(text)), "")
        if path.suffix == ".jsonl":
            row = parse_json(first, f"{path}:1")
            if isinstance(row, dict) and {"task_id", "passed", "result"} <= set(row):
                return [_human_eval(path, text, sha)]
        else:
            plain = parse_json(text, str(path))
            if isinstance(plain, dict):
                if {"results", "versions"} <= set(plain):
                    return list(_lm_eval(path, plain, sha))
                if {"version", "status", "eval"} <= set(plain):
                    return [_inspect(path, plain, sha)]
                if "eval" in plain and "hash" in plain:
                    return [_evalplus(path, plain, sha)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: not as its tool writes it: {type(error).__name__} {error}") from None
    raise DataError(
        f"{path}: no result file that is known: results*.json of lm-evaluation-harness, a JSON log of Inspect,"
        " *_eval_results.json of EvalPlus, *_results.jsonl of human-eval"
    )


def digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- lm-evaluation-harness


def _lm_eval(path: Path, plain: Mapping[str, Any], sha: str) -> Iterator[Read]:
    config = plain.get("config", {})
    stamp = path.name.removeprefix("results").removesuffix(".json")
    for task, told in plain["results"].items():
        if task not in plain["versions"]:
            continue  # a group: the mean of tasks that are here themselves
        figures = {}
        for key, value in told.items():
            name, comma, kind = key.partition(",")
            if comma and not name.endswith("_stderr") and _number(value):
                error = told.get(f"{name}_stderr,{kind}")
                figures[key] = Figure(value=float(value), stderr=float(error) if _number(error) else None)
        beside = path.with_name(f"samples_{task}{stamp}.jsonl")
        items, completions = _lm_eval_items(beside, task) if beside.is_file() else ({}, [])
        of_task = plain.get("configs", {}).get(task, {})
        counted = plain.get("n-samples", {}).get(task, {})
        yield (
            Imported(
                tool="lm-eval",
                tool_version=str(plain.get("lm_eval_version", "")),
                task=task,
                model=_model(plain),
                source=str(path),
                sha256=sha,
                n=int(counted.get("effective", len(items))),
                shots=plain.get("n-shot", {}).get(task),
                conditions={
                    "task version": plain["versions"][task],
                    "output type": of_task.get("output_type"),
                    "generation": [of_task.get("generation_kwargs"), config.get("gen_kwargs") or None],
                    "repeats": of_task.get("repeats", 1),
                },
                metrics=figures,
                items=items,
                no_items="" if items else f"no {beside.name} beside it (lm_eval --log_samples writes it)",
            ),
            completions,
        )


def _model(plain: Mapping[str, Any]) -> str:
    """The model's own name where its arguments say it, else the kind of model."""
    config = plain.get("config", {})
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    return str(arguments.get("pretrained") or arguments.get("model") or config.get("model", "unknown"))


def _lm_eval_items(path: Path, task: str) -> tuple[dict[str, Item], Completions]:
    """Items by document, metrics named "METRIC,FILTER" as in the results; completions of the first filter."""
    values: dict[str, dict[str, list[float]]] = {}
    digests: dict[str, tuple[str, str]] = {}
    completions: Completions = []
    first_filter = ""
    for place, row in _rows(path):
        kind = str(row.get("filter", "none"))
        doc = row["doc"] if isinstance(row["doc"], dict) else {}
        own = doc.get("task_id")
        name = own if isinstance(own, str) else f"{task}/{row['doc_id']}"
        asked = (row.get("doc_hash") or digest(row["doc"]), row.get("target_hash") or digest(row["target"]))
        prompt = row.get("prompt_hash") or digest(row["arguments"])
        if digests.setdefault(name, (digest(asked), prompt))[0] != digest(asked):
            raise DataError(f"{place}: {name} is there twice, with another document")
        of_item = values.setdefault(name, {})
        for metric in row.get("metrics", ()):
            if _number(row.get(metric)):
                of_item[f"{metric},{kind}"] = [float(row[metric])]
        first_filter = first_filter or kind
        if kind == first_filter:
            said = [text for each in row["resps"] for text in (each if isinstance(each, list) else [each])]
            completions += [{"task_id": name, "text": text} for text in said if isinstance(text, str)]
    items = {
        name: Item(asked=digests[name][0], prompt=digests[name][1], values=values[name]) for name in values
    }
    return items, completions


# ---------------------------------------------------------------- Inspect


def _inspect(path: Path, plain: Mapping[str, Any], sha: str) -> Read:
    if plain["version"] != 2:
        raise DataError(f"{path}: Inspect's log of version {plain['version']}; version 2 is read")
    if plain["status"] != "success":
        raise DataError(f"{path}: Inspect's log ended as {plain['status']!r}: only finished ones are read")
    told, scores = plain["eval"], plain["results"]["scores"]
    figures: dict[str, Figure] = {}
    means: dict[str, str] = {}  # scorer -> the metric that is the mean of its items
    for score in scores:
        metrics = {m["name"].rpartition("/")[2]: m["value"] for m in score["metrics"].values()}
        for name, value in metrics.items():
            if name != "stderr" and _number(value):
                figures[f"{score['name']}/{name}"] = Figure(value=float(value), stderr=metrics.get("stderr"))
        mean = next((name for name in ("accuracy", "mean") if name in metrics), "")
        if mean and score.get("reducer") in (None, "mean"):
            means[score["name"]] = f"{score['name']}/{mean}"
    items: dict[str, Item] = {}
    completions: Completions = []
    for sample in sorted(plain.get("samples") or (), key=lambda sample: sample["epoch"]):
        name = str(sample["id"])
        shown = [
            [m["role"], m["content"]]
            for m in sample.get("messages", ())
            if m.get("source") != "generate" and m["role"] != "tool"
        ]
        before = items.get(name)
        values = {k: list(v) for k, v in before.values.items()} if before else {}
        for scorer, metric in means.items():
            grade = _grade((sample.get("scores") or {}).get(scorer, {}).get("value"))
            if grade is not None:
                values.setdefault(metric, []).append(grade)
        asked = digest([sample["input"], sample["target"]])
        if before and before.asked != asked:
            raise DataError(f"{path}: sample {name} is there twice, with another input")
        items[name] = Item(asked=asked, prompt=digest(shown), values=values)
        completions.append({"task_id": name, "text": sample["output"].get("completion", "")})
    return (
        Imported(
            tool="inspect",
            tool_version=str(told.get("packages", {}).get("inspect_ai", "")),
            task=told["task"],
            model=told["model"],
            source=str(path),
            sha256=sha,
            n=len(items) or len(told["dataset"].get("sample_ids") or ()),
            shots=None,
            conditions={
                "task version": told.get("task_version"),
                "task arguments": told.get("task_args", {}),
                "epochs": told["config"].get("epochs", 1),
                "generation": told.get("model_generate_config", {}),
            },
            metrics=figures,
            items=items,
            no_items="" if items else "its log has no samples (--log-samples writes them)",
        ),
        completions,
    )


def _grade(value: Any) -> float | None:
    """Inspect's value of a sample as a number; None for what is neither a grade nor a number."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return GRADES.get(value)
    return float(value) if _number(value) else None


# ---------------------------------------------------------------- EvalPlus, human-eval


def _evalplus(path: Path, plain: Mapping[str, Any], sha: str) -> Read:
    """`pass@1` counts what passed all tests, `base pass@1` what passed the benchmark's own."""
    values: dict[str, dict[str, list[float]]] = {}
    completions: Completions = []
    for name, rows in plain["eval"].items():
        base = [float(row["base_status"] == "pass") for row in rows]
        values[name] = {"base pass@1": base}
        if all(row.get("plus_status") for row in rows):
            both = [float(row["base_status"] == row["plus_status"] == "pass") for row in rows]
            values[name]["pass@1"] = both
        completions += [{"task_id": name, "solution": row["solution"]} for row in rows]
    task = "mbpp_plus" if next(iter(values), "").startswith("Mbpp/") else "humaneval_plus"
    return _of_programs("evalplus", task, path, sha, values, {"data": plain["hash"]}), completions


def _human_eval(path: Path, text: str, sha: str) -> Read:
    values: dict[str, dict[str, list[float]]] = {}
    completions: Completions = []
    for number, line in lines(text):
        row = parse_json(line, f"{path}:{number}")
        if not isinstance(row, dict) or not {"task_id", "passed", "completion"} <= set(row):
            raise DataError(f"{path}:{number}: no row of human-eval's results")
        values.setdefault(row["task_id"], {}).setdefault("pass@1", []).append(float(row["passed"]))
        completions.append({"task_id": row["task_id"], "completion": row["completion"]})
    return _of_programs("human-eval", "humaneval", path, sha, values, {}), completions


def _of_programs(
    tool: str,
    task: str,
    path: Path,
    sha: str,
    values: Mapping[str, Mapping[str, list[float]]],
    conditions: Mapping[str, Any],
) -> Imported:
    """A result that is nothing but its items: its figures come from them, and what was asked is known by id only."""
    metrics = {
        name: Figure(value=float(np.mean([np.mean(of_item[name]) for of_item in values.values()])))
        for name in dict.fromkeys(name for of_item in values.values() for name in of_item)
        if all(name in of_item for of_item in values.values())
    }
    counts = [len(next(iter(of_item.values()))) for of_item in values.values()]
    for k in estimates.ks(min(counts, default=0), ()):
        for name in [name for name in metrics if k > 1 and name.endswith("pass@1")]:
            right = [int(sum(of_item[name])) for of_item in values.values()]
            mean = float(np.mean([estimates.pass_at_k(n, c, k) for n, c in zip(counts, right, strict=True)]))
            metrics[name.replace("pass@1", f"pass@{k}")] = Figure(value=mean)
    return Imported(
        tool=tool,
        tool_version="",
        task=task,
        model=path.name.removesuffix("_eval_results.json")
        .removesuffix("_results.jsonl")
        .removesuffix(".jsonl"),
        source=str(path),
        sha256=sha,
        n=len(values),
        shots=None,
        conditions={**conditions, "samples": sorted(set(counts))},
        metrics=metrics,
        items={name: Item(asked="", prompt="", values=of_item) for name, of_item in values.items()},
    )


# ---------------------------------------------------------------- shared


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(decode(read_file(path), path)):
        place = f"{path}:{number}"
        row = parse_json(line, place)
        missing = {"doc_id", "doc", "target", "resps"} - (set(row) if isinstance(row, dict) else set())
        if missing:
            raise DataError(
                f"{place}: no sample of lm-evaluation-harness: {', '.join(sorted(missing))} missing"
            )
        yield place, row


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def name_of(one: Imported, taken: Sequence[str]) -> str:
    """A file's name for it: tool, task and model, and a number where that is taken."""
    words = "-".join((one.tool, one.task, one.model))
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in words).strip("-")
    number, name = 1, plain
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name
