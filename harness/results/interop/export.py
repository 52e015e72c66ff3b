"""Export a run in other tools' formats: lm-evaluation-harness, human-eval, evalplus, bigcode and Parquet here; Inspect,
Every Eval Ever and a model's page on the hub in modules of their own.

The other direction is interop/readers.py (results that another tool reported) and backends/replay (its completions, to
be judged here).
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.results.early_stop import check_not_stopped
from harness.results.interop import every_eval_ever, hub_results, inspect_archive
from harness.runs.store import reader
from harness.runs.store.atomic import make_folder, replace_file, write_atomic
from harness.runs.store.reader import Result
from harness.schema import Estimate, Generation, Judgement
from harness.stats.intervals import Z95

FOLDERS = ("lm-eval", "every-eval-ever")  # formats of more than one file


def export(run: Result, form: str, out: Path, model: str = "") -> list[Path]:
    """Write the run in one of interop.FORMATS and return the files. `out` is a folder for FOLDERS, else a file.

    `model` is the name under which every-eval-ever and model-index file it. Raises ConfigError for a run that
    --until-clear stopped.
    """
    check_not_stopped(run)
    if form in FOLDERS and out.exists() and not out.is_dir():
        raise ConfigError(f"--out {str(out)!r} is a file; the {form} format is a folder")
    if form == "every-eval-ever":
        return every_eval_ever.write(run, samples(run), model, out)
    if form == "inspect":
        return inspect_archive.write(run, samples(run), out)
    if form == "model-index":
        return hub_results.model_index(run, model, out)
    writers: Mapping[str, Callable[[Result, Path], list[Path]]] = {
        "lm-eval": lm_eval,
        "human-eval": human_eval,
        "evalplus": evalplus,
        "bigcode": bigcode,
        "parquet": parquet,
        "eval-results": hub_results.eval_results,
    }
    return writers[form](run, out)


def samples(run: Result) -> Iterator[dict[str, Any]]:
    """One row per sample in the run's order: ids, prompt, completion, answer, and each scorer's verdict."""
    problems = {row["problem_id"]: row for row in reader.problems(run.folder)}
    verdicts: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in reader.rows(run.folder / "judgements.jsonl", Judgement):
        verdicts.setdefault((row["problem_id"], row["index"]), []).append(row)
    for row in reader.rows(run.folder / "generations.jsonl", Generation):
        of_one = verdicts[row["problem_id"], row["index"]]
        problem = problems.get(row["problem_id"], {})
        prompt = problem.get("prompt", {})
        text = prompt.get("text") or "\n\n".join(m["content"] for m in prompt.get("messages", ()))
        text += f"\n[suffix]\n{prompt['suffix']}" if "suffix" in prompt else ""
        yield {
            "run_id": run.run_id,
            "task": run.summary.task,
            "problem_id": row["problem_id"],
            "index": row["index"],
            "group": problem.get("group", ""),
            "question": problem.get("question", ""),
            "prompt": text,
            "references": list(problem.get("references", ())),
            "completion": row["completion"]["text"],
            "form": row["completion"]["form"],
            "reasoning": row["completion"].get("reasoning", ""),
            "finish": row["completion"]["finish"],
            "prompt_tokens": row["completion"]["prompt_tokens"],
            "completion_tokens": row["completion"]["completion_tokens"],
            "reasoning_tokens": row["completion"].get("reasoning_tokens"),
            "answer": of_one[0]["answer"],
            "verdicts": {
                v["scorer"]: {
                    "status": v["status"],
                    "value": (v["score"] or {}).get("value"),
                    "error": v["error"],
                }
                for v in of_one
            },
        }


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines. Half a surrogate pair, which a model's output may hold and UTF-8 may not, is written as an escape."""
    replace_file(path, (_encode(row) + b"\n" for row in rows))


def _encode(plain: Any) -> bytes:
    return json.dumps(plain, ensure_ascii=False).encode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- samples files


def evalplus(run: Result, out: Path) -> list[Path]:
    """{"task_id", "solution"}: the whole program that was judged."""
    write_lines(out, ({"task_id": row["problem_id"], "solution": row["answer"]} for row in samples(run)))
    return [out]


def human_eval(run: Result, out: Path) -> list[Path]:
    """{"task_id", "completion"}: what human-eval appends to its own prompt.

    The prompt is removed from an answer that starts with it; any other program follows the prompt on a new line, where
    it defines the function again.
    """

    def rest(row: Mapping[str, Any]) -> str:
        answer, prompt = row["answer"], row["prompt"]
        continues = prompt and answer.startswith(prompt)
        return str(answer.removeprefix(prompt) if continues else f"    pass\n\n{answer}")

    write_lines(out, ({"task_id": row["problem_id"], "completion": rest(row)} for row in samples(run)))
    return [out]


def bigcode(run: Result, out: Path) -> list[Path]:
    """A list of lists of programs in task order. Raises ConfigError where some are missing: a place is a task there."""
    if run.config.only or any(note.startswith("partial: ") for note in run.summary.notes):
        raise ConfigError(
            f"{run.run_id} has part of its problems, and bigcode's file says by places alone which problem a program"
            " is of: choose human-eval or evalplus"
        )
    programs: dict[str, list[str]] = {}
    for row in samples(run):
        programs.setdefault(row["problem_id"], []).append(row["answer"])
    replace_file(out, [_encode(list(programs.values())) + b"\n"])
    return [out]


def parquet(run: Result, out: Path) -> list[Path]:
    """One row per sample (`flatten`), for pandas and the like; half a surrogate pair becomes U+FFFD."""
    import pyarrow
    import pyarrow.parquet

    rows = [{name: _valid(value) for name, value in flatten(row).items()} for row in samples(run)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return [out]


def _valid(value: Any) -> Any:
    if isinstance(value, list):
        return [_valid(each) for each in value]
    return (
        value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(value, str)
        else value
    )


def flatten(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as a flat row: verdicts become columns SCORER.status, SCORER.value and SCORER.error."""
    row = {name: value for name, value in sample.items() if name != "verdicts"}
    for scorer, verdict in sample["verdicts"].items():
        row |= {f"{scorer}.{name}": value for name, value in verdict.items()}
    return row


# ---------------------------------------------------------------- lm-evaluation-harness


def lm_eval(run: Result, out: Path) -> list[Path]:
    """results.json and samples_TASK.jsonl in the format of lm-evaluation-harness 0.4.

    Standard errors come from the width of the interval, read as that of a normal distribution.
    """
    make_folder(out)
    task, config = run.summary.task, run.config
    metrics: dict[str, Any] = {"alias": task}
    for name, e in run.summary.metrics.items():
        metrics[f"{name},none"] = e.value
        metrics[f"{name}_stderr,none"] = _stderr(e)
    shots, version = config.shots.partition(":")[2], run.record["task"]["version"]
    plain = {
        "results": {task: metrics},
        "configs": {task: {"task": task, "output_type": "generate_until", "metadata": {"version": version}}},
        "versions": {task: version},
        "n-shot": {task: int(shots) if shots.isdigit() else 0},
        "n-samples": {task: {"original": run.summary.problems, "effective": run.summary.problems}},
        "higher_is_better": {task: {n: not e.lower_is_better for n, e in run.summary.metrics.items()}},
        "config": {
            "model": run.record["backend"]["kind"],
            "model_args": {"pretrained": config.backend.model} if config.backend.model else {},
            "limit": config.limit,
        },
        "model_name": config.backend.model,
        "git_hash": run.record.get("commit", ""),
        "harness_signature": run.summary.signature,
    }
    write_atomic(out / "results.json", json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    rows: dict[str, dict[str, Any]] = {}
    means = _problem_values(run)
    for row in samples(run):
        sample = rows.setdefault(
            row["problem_id"],
            {
                "doc_id": len(rows),
                "doc": {"task_id": row["problem_id"]},
                "target": (row["references"] or [""])[0],
                "arguments": {"gen_args_0": {"arg_0": row["prompt"], "arg_1": {}}},
                "resps": [[]],
                "filtered_resps": [[]],
                "filter": "none",
                **_metric_values(means, row["problem_id"]),
            },
        )
        sample["resps"][0].append(row["completion"])
        sample["filtered_resps"][0].append(row["answer"])
    for sample in rows.values():
        sample |= {f"{name}_hash": _sha256(text) for name, text in _hashed_texts(sample).items()}
    write_lines(out / f"samples_{task}.jsonl", rows.values())
    return [out / "results.json", out / f"samples_{task}.jsonl"]


def _problem_values(run: Result) -> dict[str, dict[str, float]]:
    """Metric -> problem id -> value, for metrics that are the mean over problems."""
    found = {}
    for name, (_, reduce) in run.reduces.items():
        if reduce.of_sum is None and reduce.over is None:
            judged = sorted(run.judged(name))
            found[name] = (
                dict(zip(judged, run.vectors(name, judged)[:, 0].tolist(), strict=True)) if judged else {}
            )
    return found


def _metric_values(means: Mapping[str, Mapping[str, float]], problem_id: str) -> dict[str, Any]:
    values = {name: of_metric[problem_id] for name, of_metric in means.items() if problem_id in of_metric}
    return {"metrics": list(values), **values}


def _hashed_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """The texts whose digests lm-eval's own rows carry."""
    return {
        "doc": json.dumps(row["doc"], indent=2, ensure_ascii=False),
        "prompt": row["arguments"]["gen_args_0"]["arg_0"],
        "target": str(row["target"]),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _stderr(e: Estimate) -> float:
    width = (e.high - e.low) / (2 * Z95)
    return 0.0 if math.isnan(width) else width
