"""Every Eval Ever 0.3: a run as one record of its metrics and a JSON line a sample, and such records read back.

    write(run, rows, model, out)    data/TASK/DEVELOPER/MODEL/UUID.json and UUID_samples.jsonl below `out`
    read(path, plain, sha)          the results in a record, with the samples beside it

After the schema of the package every-eval-ever 0.3.0, whose validator accepts what is written. A sample has a line for
each scorer that judged it; one that could not be judged has none, as it is in no metric.
"""

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import DISTRIBUTION, ConfigError, DataError
from harness.files import decode, lines, parse_json
from harness.files import read as read_file
from harness.results.external import ExternalItem, ExternalResult, ReportedMetric
from harness.results.interop.imported import Completions, ImportedTask, digest, is_number, one_line
from harness.runs.store.atomic import make_folder, replace_file, to_json, write_atomic
from harness.runs.store.reader import Result
from harness.schema import Card, Estimate
from harness.tasks.loading import registry

SCHEMA = "0.3.0"
NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json$")  # a record's file
MODEL_ID = re.compile(r"(?!\.+/)[\w.-]+/(?!\.+$)[\w.-]+")  # no folder above among them
# The field of a row for `harness score` in which a completion of each form stands.
FIELDS = {"output": "text", "continuation": "completion", "program": "solution"}


def write(run: Result, rows: Iterable[Mapping[str, Any]], model: str, out: Path) -> list[Path]:
    """`rows` are export.samples'; `model` is DEVELOPER/MODEL, "" for the run's own if that is a hub id."""
    model = model or run.config.backend.model
    if not MODEL_ID.fullmatch(model) or Path(model).exists():
        raise ConfigError(
            f"every-eval-ever files a run under DEVELOPER/MODEL, and the run's model is {model!r}: give --model"
        )
    name = str(uuid.UUID(bytes=hashlib.sha256(run.run_id.encode()).digest()[:16], version=4))
    folder = Path("data") / run.summary.task / model
    make_folder(out / folder)
    record, beside = out / folder / f"{name}.json", out / folder / f"{name}_samples.jsonl"
    made = str(int(time.time()))
    about = {
        "schema_version": SCHEMA,
        "evaluation_id": f"{run.summary.task}/{model.replace('/', '_')}/{made}",
    }
    metrics = {  # of each scorer the first that is the mean of its samples' scores
        scorer: metric
        for metric, (scorer, reduce) in reversed(list(run.reduces.items()))
        if reduce.of_sum is None and reduce.over is None
    }
    said = (one for row in rows for one in _sample_rows(row, {**about, "model_id": model}, metrics))
    replace_file(beside, (json.dumps(one).encode() + b"\n" for one in said))
    plain = {
        **about,
        "evaluation_timestamp": str(int((run.folder / "summary.json").stat().st_mtime)),
        "retrieved_timestamp": made,
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": DISTRIBUTION, "version": __version__},
        "model_info": _model(run, model),
        "evaluation_results": [
            _result(run, name, e) for name, e in run.summary.metrics.items() if math.isfinite(e.value)
        ],
        "detailed_evaluation_results": _reference(beside, folder),
    }
    write_atomic(record, to_json(plain))
    return [record, beside]


def _reference(path: Path, folder: Path) -> dict[str, Any]:
    """How the record names its file of samples, which `folder` holds in the datastore."""
    checksum, rows = hashlib.sha256(), 0
    with path.open("rb") as file:
        for line in file:
            checksum.update(line)
            rows += 1
    return {
        "format": "jsonl",
        "file_path": (folder / path.name).as_posix(),
        "hash_algorithm": "sha256",
        "checksum": checksum.hexdigest(),
        "total_rows": rows,
    }


def _model(run: Result, model: str) -> dict[str, Any]:
    backend = run.config.backend
    where = {"hf": "self_deployed", "server": "self_deployed"}.get(backend.kind, "unknown")
    weights = "open_weights" if backend.kind == "hf" else "unknown"
    known = {"revision": backend.revision, "adapter": backend.adapter, "backend": backend.kind}
    details = {name: value for name, value in known.items() if value}
    details |= {"deployment_type": where, "model_availability": weights}
    return {"name": model, "id": model, "developer": model.partition("/")[0], "additional_details": details}


def _result(run: Result, name: str, e: Estimate) -> dict[str, Any]:
    task = run.summary.task
    card = registry.task(run.config.task, run.config.options).card
    low, high = (0.0, 1.0) if e.unit == "share" else ("-Infinity", "Infinity")
    at = re.search(r"@(\d+)", name)
    uncertainty: dict[str, Any] = {"num_samples": e.n}
    if math.isfinite(e.low) and math.isfinite(e.high):
        uncertainty["confidence_interval"] = {"lower": e.low, "upper": e.high, "confidence_level": 0.95}
    sampling = run.record["sampling"]
    arguments = {key: sampling[key] for key in ("temperature", "top_p", "max_tokens")}
    return {
        "evaluation_result_id": name,
        "evaluation_name": task,
        "source_data": _source(task, card, run.record["data"]["sha256"]),
        "metric_config": {
            "metric_id": name,
            "metric_name": name,
            "metric_unit": "proportion" if e.unit == "share" else "number",
            "lower_is_better": e.lower_is_better,
            "score_type": "continuous",
            "min_score": low,
            "max_score": high,
            **({"metric_parameters": {"k": int(at[1])}} if at else {}),
        },
        "score_details": {
            "score": e.value,
            "uncertainty": uncertainty,
            **({"details": {"k": repr(e.k)}} if e.k is not None else {}),
        },
        "generation_config": {
            # of a recording nobody knows how it was sampled
            **({} if run.config.backend.kind == "replay" else {"generation_args": arguments}),
            "additional_details": {"signature": run.summary.signature, "samples": str(sampling["samples"])},
        },
    }


def _source(task: str, card: Card | None, digests: Mapping[str, str]) -> dict[str, Any]:
    details = {"additional_details": dict(digests)} if digests else {}
    if card is None or not card.url:
        return {"dataset_name": task, "source_type": "other", **details}
    return {"dataset_name": task, "source_type": "url", "url": [card.url], **details}


def _sample_rows(
    row: Mapping[str, Any], about: Mapping[str, str], metrics: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """A row for each verdict; half a surrogate pair becomes U+FFFD, for the validator refuses it."""
    text, thought, answer = (_valid(row[name]) for name in ("completion", "reasoning", "answer"))
    question, prompt = _valid(row["question"]), _valid(row["prompt"])
    references = [_valid(each) for each in row["references"]]
    read, written = row["prompt_tokens"], row["completion_tokens"]
    tokens = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    for scorer, verdict in row["verdicts"].items():
        if verdict["value"] is None:
            continue
        metadata = {"index": row["index"], "scorer": scorer, "status": verdict["status"]}
        metadata |= {"field": FIELDS[row["form"]], "finish": row["finish"], "group": row["group"]}
        yield {
            **about,
            "evaluation_name": row["task"],
            **({"evaluation_result_id": metrics[scorer]} if scorer in metrics else {}),
            "sample_id": row["problem_id"],
            "sample_hash": hashlib.sha256((question + "".join(references)).encode()).hexdigest(),
            "interaction_type": "single_turn",
            "input": {"raw": question, "formatted": prompt, "reference": references},
            "output": {"raw": [text], "reasoning_trace": [thought] if thought else None},
            "messages": None,
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": answer,
                    "extraction_method": "custom",
                    "is_terminal": True,
                }
            ],
            "evaluation": {"score": verdict["value"], "is_correct": verdict["value"] == 1},
            "token_usage": {**tokens, "reasoning_tokens": row["reasoning_tokens"]} if written else None,
            "error": _valid(verdict["error"]) or None,
            "metadata": {name: str(value) for name, value in metadata.items() if value != ""},
        }


def _valid(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# ---------------------------------------------------------------- reading


def read(path: Path, plain: Mapping[str, Any], sha: str) -> Iterator[ImportedTask]:
    """A result for each evaluation in the record. Raises DataError naming the line of a damaged sample."""
    beside = path.with_name(f"{path.stem}_samples.jsonl")
    library, declared = plain["eval_library"], plain.get("detailed_evaluation_results")
    samples = _items(beside, plain["evaluation_id"]) if beside.is_file() else {}
    names = dict.fromkeys(result["evaluation_name"] for result in plain["evaluation_results"])
    for name in names:
        results = [one for one in plain["evaluation_results"] if one["evaluation_name"] == name]
        items, completions = samples.get(name, ({}, []))
        said = results[0].get("generation_config", {})
        counted = results[0]["score_details"].get("uncertainty", {}).get("num_samples", 0)
        missing = f"no {beside.name} next to it" if declared else "the record declares no samples"
        yield (
            ExternalResult(
                tool=library["name"],
                tool_version=library["version"],
                task=name,
                model=plain["model_info"]["id"],
                source=str(path),
                sha256=sha,
                n=len(items) or counted,
                shots=None,
                conditions={"data": results[0]["source_data"], "generation": said.get("generation_args")},
                metrics={_metric_id(one): _reported(one) for one in results},
                items=items,
                no_items="" if items else missing,
            ),
            completions,
        )


def _metric_id(result: Mapping[str, Any]) -> str:
    config = result["metric_config"]
    return str(
        result.get("evaluation_result_id") or config.get("metric_id") or config.get("metric_name") or "score"
    )


def _reported(result: Mapping[str, Any]) -> ReportedMetric:
    config, score = result["metric_config"], result["score_details"]
    error = score.get("uncertainty", {}).get("standard_error") or {}
    share = config.get("min_score") == 0 and config.get("max_score") == 1
    return ReportedMetric(
        value=float(score["score"]),
        stderr=error["value"] if is_number(error.get("value")) else None,
        unit="share" if share else "number",
        lower_is_better=config["lower_is_better"],
    )


def _items(path: Path, evaluation: str) -> dict[str, tuple[dict[str, ExternalItem], Completions]]:
    """By evaluation: each item's values by metric, and the completions of the lines of its first metric."""
    found: dict[str, tuple[dict[str, ExternalItem], Completions]] = {}
    first: dict[str, str] = {}
    for number, line in lines(decode(read_file(path), path)):
        row = parse_json(line, f"{path}:{number}")
        try:
            if row["evaluation_id"] != evaluation:
                raise DataError(f"{path}:{number}: a sample of another record, {row['evaluation_id']!r}")
            items, completions = found.setdefault(row["evaluation_name"], ({}, []))
            name, metric = row["sample_id"], row.get("evaluation_result_id") or "score"
            asked = row.get("sample_hash") or digest(row["input"])
            shown = digest(row["input"].get("formatted") or row["input"]["raw"])
            before = items.get(name) or ExternalItem(asked=asked, prompt=shown, values={})
            scores = [*before.values.get(metric, ()), float(row["evaluation"]["score"])]
            items[name] = ExternalItem(asked=asked, prompt=shown, values={**before.values, metric: scores})
            if metric == first.setdefault(row["evaluation_name"], metric) and row.get("output"):
                completions += _said(name, row)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{path}:{number}: not a sample of Every Eval Ever: {one_line(error)}") from None
    return found


def _said(name: str, row: Mapping[str, Any]) -> Completions:
    output, field = row["output"], (row.get("metadata") or {}).get("field", "text")
    thoughts = output.get("reasoning_trace") or [""] * len(output["raw"])
    return [
        {"task_id": name, field: text, **({"reasoning": thought} if thought else {})}
        for text, thought in zip(output["raw"], thoughts, strict=False)
    ]
