"""A run as a log of Inspect, version 2: an `.eval` archive that `inspect view` opens, and inspect_log.py reads back.

Written after inspect_ai 0.3; its package is not needed. A zip of header.json (what was run, and the metrics),
summaries.json (what the list of samples shows), samples/ID_epoch_N.json (all of a sample), and _journal/start.json.
Several samples of a problem are epochs.
"""

import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import DISTRIBUTION, ConfigError
from harness.results.interop.imported import digest
from harness.runs.store.atomic import replacing
from harness.runs.store.reader import Result

SHOWN = 1024  # characters of a prompt in the list of samples
STOPPED = {"length": "max_tokens", "stop": "stop"}


def write(run: Result, rows: Iterable[Mapping[str, Any]], out: Path) -> list[Path]:
    """`rows` are export.samples'. Raises ConfigError for a name that Inspect would not take for a log."""
    if out.suffix != ".eval":
        raise ConfigError(f"--out {str(out)!r}: a log of Inspect has a name that ends in .eval")
    summaries: list[dict[str, Any]] = []
    means: dict[str, dict[str, list[float]]] = {}
    with replacing(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        start = {
            "version": 2,
            "eval": _spec(run),
            "plan": {"name": "plan", "steps": [], "config": _sampling(run)},
        }
        _add(archive, "_journal/start.json", start)
        for row in rows:
            sample = _sample(run, row)
            _add(archive, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
            kept = {name: sample[name] for name in ("id", "epoch", "target", "scores", "metadata")}
            summaries.append({**kept, "input": sample["input"][:SHOWN], "completed": True})
            for scorer, score in sample["scores"].items():
                means.setdefault(scorer, {}).setdefault(sample["id"], []).append(score["value"])
        _add(archive, "summaries.json", summaries)
        ended = _time(run)
        header = {
            **start,
            "status": "success",
            "results": {
                "total_samples": len(summaries),
                "completed_samples": len(summaries),
                "scores": list(_scores(run, means)),
            },
            "stats": {"started_at": ended, "completed_at": ended, "model_usage": {}},
        }
        _add(archive, "header.json", header)
    return [out]


def _add(archive: zipfile.ZipFile, name: str, plain: Any) -> None:
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), json.dumps(plain), zipfile.ZIP_DEFLATED)


def _time(run: Result) -> str:
    ended = (run.folder / "summary.json").stat().st_mtime
    return datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds")


def _spec(run: Result) -> dict[str, Any]:
    summary, backend = run.summary, run.config.backend
    samples = run.record["sampling"]["samples"]
    return {
        "eval_id": run.run_id,
        "run_id": run.run_id,
        "created": _time(run),
        "task": summary.task,
        "task_id": run.run_id,
        "task_version": run.record["task"]["version"],
        "task_args": dict(run.config.options),
        "model": f"{backend.kind}/{backend.model}" if backend.model else backend.kind,
        "model_generate_config": _sampling(run),
        "dataset": {"name": summary.task, "samples": summary.problems, "shuffled": False},
        "config": {"epochs": samples},
        "packages": {DISTRIBUTION: __version__},
        "metadata": {"signature": summary.signature, "shots": run.config.shots},
    }


def _sampling(run: Result) -> dict[str, Any]:
    """As asked; of a recording nobody knows how it was sampled."""
    if run.config.backend.kind == "replay":
        return {}
    return {name: run.record["sampling"][name] for name in ("temperature", "top_p", "max_tokens", "seed")}


def _scores(run: Result, means: Mapping[str, Mapping[str, list[float]]]) -> Iterator[dict[str, Any]]:
    """Of each scorer the mean over problems, as Inspect reduces epochs, and the metrics of the run's summary."""
    for scorer, of_problems in means.items():
        values = [math.fsum(values) / len(values) for values in of_problems.values()]
        found = {"mean": math.fsum(values) / len(values)}
        found |= {
            name: e.value
            for name, e in run.summary.metrics.items()
            if run.reduces[name][0] == scorer and math.isfinite(e.value)
        }
        metrics = {name: {"name": name, "value": value, "params": {}} for name, value in found.items()}
        yield {"name": scorer, "scorer": scorer, "reducer": "mean", "params": {}, "metrics": metrics}


def _sample(run: Result, row: Mapping[str, Any]) -> dict[str, Any]:
    model = run.config.backend.model or run.config.backend.kind
    text, thought = _valid(row["completion"]), _valid(row["reasoning"])
    parts = [{"type": "reasoning", "reasoning": thought}, {"type": "text", "text": text}]
    said = {"role": "assistant", "content": parts if thought else text, "source": "generate", "model": model}
    read, written = row["prompt_tokens"], row["completion_tokens"]
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    if row["reasoning_tokens"] is not None:
        usage["reasoning_tokens"] = row["reasoning_tokens"]
    prompt = _valid(row["prompt"] or row["question"])
    return {
        "id": row["problem_id"],
        "uuid": digest([run.run_id, row["problem_id"], row["index"]]),
        "epoch": row["index"] + 1,
        "input": prompt,
        "target": [_valid(each) for each in row["references"]],
        "messages": [{"role": "user", "content": prompt, "source": "input"}, said],
        "output": {
            "model": model,
            "choices": [{"message": said, "stop_reason": STOPPED.get(row["finish"], "unknown")}],
            "completion": text,
            "usage": usage,
        },
        "scores": {
            scorer: {
                "value": verdict["value"],
                "answer": _valid(row["answer"]),
                "explanation": ": ".join(filter(None, (verdict["status"], _valid(verdict["error"])))),
            }
            for scorer, verdict in row["verdicts"].items()
            if verdict["value"] is not None
        },
        "metadata": {"group": row["group"]} if row["group"] else {},
        "store": {},
        "events": [],
        "model_usage": {model: usage} if written else {},
    }


def _valid(text: str) -> str:
    """Half a surrogate pair, which Inspect cannot read, becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
