"""Results of lm-evaluation-harness 0.4: results_DATE.json or NAME_DATE.json, and samples_TASK_DATE.jsonl beside it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.files import decode, lines, parse_json, read
from harness.results.external import ExternalItem, ExternalResult, ReportedMetric
from harness.results.interop.imported import Completions, ImportedTask, digest, is_number

DATE = re.compile(r"_\d{4}-\d\d-\d\dT[\d.-]+(?=\.json$)")


def results(path: Path, plain: Mapping[str, Any], sha: str) -> Iterator[ImportedTask]:
    config = plain.get("config", {})
    date = DATE.search(path.name)
    stamp = date[0] if date else path.name.removeprefix("results").removesuffix(".json")
    for task, reported in plain["results"].items():
        if task not in plain["versions"]:
            continue  # a group: the mean of tasks that are listed themselves
        figures = {}
        higher = plain.get("higher_is_better", {}).get(task, {})
        for key, value in reported.items():
            name, comma, kind = key.partition(",")
            if comma and not name.endswith("_stderr") and is_number(value):
                error = reported.get(f"{name}_stderr,{kind}")
                lower_is_better = higher.get(name) is False
                figures[key] = ReportedMetric(
                    value=float(value),
                    stderr=float(error) if is_number(error) else None,
                    unit="share" if 0 <= value <= 1 and not lower_is_better else "number",
                    lower_is_better=lower_is_better,
                )
        samples = path.with_name(f"samples_{task}{stamp}.jsonl")
        items, completions = _items(samples, task) if samples.is_file() else ({}, [])
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
    named = arguments.get("pretrained") or arguments.get("model") or plain.get("model_name")
    return str(named or config.get("model", "unknown"))


def _items(path: Path, task: str) -> tuple[dict[str, ExternalItem], Completions]:
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
            if is_number(row.get(metric)):
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
