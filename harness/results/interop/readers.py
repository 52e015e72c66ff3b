"""Read result files of other tools: lm-evaluation-harness 0.4, Inspect (JSON, version 2), EvalPlus, human-eval.

    read_results(path) -> [(ExternalResult, completions), ...]     one per task; the format is detected from the content

The files say what was reported; nothing is judged here. Inspect's `.eval` archives need its own library (zstandard
inside zip); its JSON is documented and has a version.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.files import decode, lines, parse_json, read
from harness.results.external import ExternalItem, ExternalResult, ReportedMetric
from harness.stats import estimates

Completions = list[
    dict[str, Any]
]  # rows for `harness score`: {"task_id", "text" | "solution" | "completion"}
ImportedTask = tuple[ExternalResult, Completions]
GRADES: Mapping[str, float] = {
    "C": 1.0,
    "P": 0.5,
    "I": 0.0,
    "N": 0.0,
}  # Inspect's grades, with the values its accuracy gives them


def read_results(path: Path) -> list[ImportedTask]:
    """The results in a file or folder. Raises DataError, naming the place, for a file that is unknown or damaged."""
    if path.is_dir():
        inside = sorted(path.rglob("results*.json"))
        if not inside:
            raise DataError(f"{path}: no results*.json inside; give the file itself")
        return [found for each in inside for found in read_results(each)]
    blob = read(path)
    if blob[:2] == b"PK" or path.suffix == ".eval":
        raise DataError(
            f"{path}: an Inspect archive, which only Inspect can read; convert it with 'inspect log convert {path.name}"
            " --to json --output-dir DIR'"
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
        raise DataError(f"{path}: unexpected content: {type(error).__name__} {error}") from None
    raise DataError(
        f"{path}: not a known result file; expected results*.json of lm-evaluation-harness, a JSON log of Inspect,"
        " *_eval_results.json of EvalPlus or *_results.jsonl of human-eval"
    )


def digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- lm-evaluation-harness


def _lm_eval(path: Path, plain: Mapping[str, Any], sha: str) -> Iterator[ImportedTask]:
    config = plain.get("config", {})
    stamp = path.name.removeprefix("results").removesuffix(".json")
    for task, reported in plain["results"].items():
        if task not in plain["versions"]:
            continue  # a group: the mean of tasks that are listed themselves
        figures = {}
        higher = plain.get("higher_is_better", {}).get(task, {})
        for key, value in reported.items():
            name, comma, kind = key.partition(",")
            if comma and not name.endswith("_stderr") and _is_number(value):
                error = reported.get(f"{name}_stderr,{kind}")
                lower_is_better = higher.get(name) is False
                figures[key] = ReportedMetric(
                    value=float(value),
                    stderr=float(error) if _is_number(error) else None,
                    unit="share" if 0 <= value <= 1 and not lower_is_better else "number",
                    lower_is_better=lower_is_better,
                )
        samples = path.with_name(f"samples_{task}{stamp}.jsonl")
        items, completions = _lm_eval_items(samples, task) if samples.is_file() else ({}, [])
        of_task = plain.get("configs", {}).get(task, {})
        counted = plain.get("n-samples", {}).get(task, {})
        yield (
            ExternalResult(
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
                no_items="" if items else f"no {samples.name} next to it (lm_eval --log_samples writes it)",
            ),
            completions,
        )


def _model(plain: Mapping[str, Any]) -> str:
    """The model's name from its arguments, else the kind of model."""
    config = plain.get("config", {})
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    return str(arguments.get("pretrained") or arguments.get("model") or config.get("model", "unknown"))


def _lm_eval_items(path: Path, task: str) -> tuple[dict[str, ExternalItem], Completions]:
    """Items by document, metrics named "METRIC,FILTER" as in the results; completions of the first filter."""
    values: dict[str, dict[str, list[float]]] = {}
    digests: dict[str, tuple[str, str]] = {}
    completions: Completions = []
    first_filter = ""
    for place, row in _rows(path):
        kind = str(row.get("filter", "none"))
        doc = row["doc"] if isinstance(row["doc"], dict) else {}
        task_id = doc.get("task_id")
        name = task_id if isinstance(task_id, str) else f"{task}/{row['doc_id']}"
        asked = (row.get("doc_hash") or digest(row["doc"]), row.get("target_hash") or digest(row["target"]))
        prompt = row.get("prompt_hash") or digest(row["arguments"])
        if digests.setdefault(name, (digest(asked), prompt))[0] != digest(asked):
            raise DataError(f"{place}: {name} occurs twice with different documents")
        of_item = values.setdefault(name, {})
        for metric in row.get("metrics", ()):
            if _is_number(row.get(metric)):
                of_item[f"{metric},{kind}"] = [float(row[metric])]
        first_filter = first_filter or kind
        if kind == first_filter:
            texts = [text for each in row["resps"] for text in (each if isinstance(each, list) else [each])]
            completions += [{"task_id": name, "text": text} for text in texts if isinstance(text, str)]
    items = {
        name: ExternalItem(asked=digests[name][0], prompt=digests[name][1], values=values[name])
        for name in values
    }
    return items, completions


# ---------------------------------------------------------------- Inspect


def _inspect(path: Path, plain: Mapping[str, Any], sha: str) -> ImportedTask:
    if plain["version"] != 2:
        raise DataError(f"{path}: Inspect's log of version {plain['version']}; only version 2 is supported")
    if plain["status"] != "success":
        raise DataError(
            f"{path}: Inspect's log has status {plain['status']!r}; only finished logs can be imported"
        )
    info = plain["eval"]
    figures, means = _inspect_figures(plain["results"]["scores"])
    items, completions = _inspect_items(path, plain.get("samples") or (), means)
    return (
        ExternalResult(
            tool="inspect",
            tool_version=str(info.get("packages", {}).get("inspect_ai", "")),
            task=info["task"],
            model=info["model"],
            source=str(path),
            sha256=sha,
            n=len(items) or len(info["dataset"].get("sample_ids") or ()),
            shots=None,
            conditions={
                "task version": info.get("task_version"),
                "task arguments": info.get("task_args", {}),
                "epochs": info["config"].get("epochs", 1),
                "generation": info.get("model_generate_config", {}),
            },
            metrics=figures,
            items=items,
            no_items="" if items else "its log has no samples (--log-samples writes them)",
        ),
        completions,
    )


def _inspect_figures(scores: Sequence[Mapping[str, Any]]) -> tuple[dict[str, ReportedMetric], dict[str, str]]:
    """The metrics as reported, and of each scorer the metric that is the mean of its items."""
    figures: dict[str, ReportedMetric] = {}
    means: dict[str, str] = {}
    for score in scores:
        metrics = {m["name"].rpartition("/")[2]: m["value"] for m in score["metrics"].values()}
        for name, value in metrics.items():
            if name != "stderr" and _is_number(value):
                figures[f"{score['name']}/{name}"] = ReportedMetric(
                    value=float(value),
                    stderr=metrics.get("stderr"),
                    unit="share" if 0 <= value <= 1 else "number",
                )
        mean = next((name for name in ("accuracy", "mean") if name in metrics), "")
        if mean and score.get("reducer") in (None, "mean"):
            means[score["name"]] = f"{score['name']}/{mean}"
    return figures, means


def _inspect_items(
    path: Path, samples: Sequence[Mapping[str, Any]], means: Mapping[str, str]
) -> tuple[dict[str, ExternalItem], Completions]:
    """Each item's values by metric, epoch by epoch, and the completions in the same order."""
    items: dict[str, ExternalItem] = {}
    completions: Completions = []
    for sample in sorted(samples, key=lambda sample: sample["epoch"]):
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
            raise DataError(f"{path}: sample {name} occurs twice with different inputs")
        items[name] = ExternalItem(asked=asked, prompt=digest(shown), values=values)
        completions.append({"task_id": name, "text": sample["output"].get("completion", "")})
    return items, completions


def _grade(value: Any) -> float | None:
    """Inspect's value of a sample as a number; None if it is neither a grade nor a number."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return GRADES.get(value)
    return float(value) if _is_number(value) else None


# ---------------------------------------------------------------- EvalPlus, human-eval


def _evalplus(path: Path, plain: Mapping[str, Any], sha: str) -> ImportedTask:
    """`pass@1`: all tests passed; `base pass@1`: the benchmark's original tests passed."""
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
    return _from_programs("evalplus", task, path, sha, values, {"data": plain["hash"]}), completions


def _human_eval(path: Path, text: str, sha: str) -> ImportedTask:
    values: dict[str, dict[str, list[float]]] = {}
    completions: Completions = []
    for number, line in lines(text):
        row = parse_json(line, f"{path}:{number}")
        if not isinstance(row, dict) or not {"task_id", "passed", "completion"} <= set(row):
            raise DataError(f"{path}:{number}: not a row of human-eval's results")
        values.setdefault(row["task_id"], {}).setdefault("pass@1", []).append(float(row["passed"]))
        completions.append({"task_id": row["task_id"], "completion": row["completion"]})
    return _from_programs("human-eval", "humaneval", path, sha, values, {}), completions


def _from_programs(
    tool: str,
    task: str,
    path: Path,
    sha: str,
    values: Mapping[str, Mapping[str, list[float]]],
    conditions: Mapping[str, Any],
) -> ExternalResult:
    """A result that consists of its items: metrics are computed from them, and problems are known by id only."""
    metrics = {
        name: ReportedMetric(value=float(np.mean([np.mean(of_item[name]) for of_item in values.values()])))
        for name in dict.fromkeys(name for of_item in values.values() for name in of_item)
        if all(name in of_item for of_item in values.values())
    }
    counts = [len(next(iter(of_item.values()))) for of_item in values.values()]
    for k in estimates.k_values(min(counts, default=0), ()):
        for name in [name for name in metrics if k > 1 and name.endswith("pass@1")]:
            right = [int(sum(of_item[name])) for of_item in values.values()]
            mean = float(np.mean([estimates.pass_at_k(n, c, k) for n, c in zip(counts, right, strict=True)]))
            metrics[name.replace("pass@1", f"pass@{k}")] = ReportedMetric(value=mean)
    return ExternalResult(
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
        items={name: ExternalItem(asked="", prompt="", values=of_item) for name, of_item in values.items()},
    )


# ---------------------------------------------------------------- shared


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(decode(read(path), path)):
        place = f"{path}:{number}"
        row = parse_json(line, place)
        missing = {"doc_id", "doc", "target", "resps"} - (set(row) if isinstance(row, dict) else set())
        if missing:
            raise DataError(
                f"{place}: not a sample of lm-evaluation-harness: no {', '.join(sorted(missing))}"
            )
        yield place, row


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def file_stem(one: ExternalResult, taken: Sequence[str]) -> str:
    """A file name for the result: tool, task and model, with a number if that is taken."""
    words = "-".join((one.tool, one.task, one.model))
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in words).strip("-")
    number, name = 1, plain
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name
