"""Read result files of other tools: which reader a file is for.

    read_results(path) -> [(ExternalResult, completions), ...]     one per task; the format is detected from the content

lm_eval.py, inspect_log.py, every_eval_ever.py, hub_results.py and programs.py (EvalPlus, BigCodeBench, human-eval,
MultiPL-E, LiveCodeBench) read them. The files say what was reported; nothing is judged here.
"""

import hashlib
from collections.abc import Container
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, DataError
from harness.files import decode, lines, parse_json, read
from harness.results import external
from harness.results.external import ExternalResult
from harness.results.interop import every_eval_ever, hub_results, inspect_log, lm_eval, programs
from harness.results.interop.imported import ImportedTask, one_line, plain_name

LONGEST_STEM = 160  # bytes: file systems allow 255 for a name, endings and numbers included


def read_results(path: Path) -> list[ImportedTask]:
    """The results in a file or folder. Raises DataError, naming the place, for a file that is unknown or damaged."""
    if path.is_dir():
        return _folder(path)
    blob = read(path)
    sha = hashlib.sha256(blob).hexdigest()
    try:
        if blob[:2] == b"PK":
            return [inspect_log.archive(path, sha)]
        text = decode(blob, path)
        if path.suffix in (".yaml", ".yml", ".md"):
            return hub_results.read(path, text)
        first = next((line for _, line in lines(text)), "")
        if plain_name(path).endswith(".jsonl"):
            row = parse_json(first, f"{path}:1")
            found = isinstance(row, dict) and {"task_id", "passed", "result"} <= set(row)
            read_by = [programs.human_eval(path, text, sha)] if found else []
        else:
            read_by = _json(path, parse_json(text, str(path)), sha)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: unexpected content: {one_line(error)}") from None
    if not read_by:
        raise DataError(
            f"{path}: not a known result file; expected results*.json of lm-evaluation-harness, a log of Inspect"
            " (.eval or JSON), *_eval_results.json of EvalPlus or BigCodeBench, *_results.jsonl of human-eval,"
            " *_eval_all.json of LiveCodeBench, a record of Every Eval Ever, a README.md or .eval_results/*.yaml"
            " of the Hugging Face hub, or a folder of MultiPL-E's *.results.json"
        )
    return read_by


def _folder(path: Path) -> list[ImportedTask]:
    inside = sorted(path.rglob("*.json*"))
    of_problems = [each for each in inside if plain_name(each).endswith(programs.MULTIPL_E_RESULTS)]
    of_tasks = [
        each
        for each in inside
        if each.suffix == ".json"
        and (
            each.name.startswith("results")
            or lm_eval.DATE.search(each.name)
            or every_eval_ever.NAME.match(each.name)
        )
    ]
    if not of_problems and not of_tasks:
        raise DataError(
            f"{path}: no results*.json of lm-evaluation-harness, *.results.json of MultiPL-E or UUID.json of Every Eval"
            " Ever inside; give the file itself"
        )
    found = programs.multipl_e(path, of_problems) if of_problems else []
    return found + [result for each in of_tasks for result in read_results(each)]


def _json(path: Path, plain: Any, sha: str) -> list[ImportedTask]:
    """The tasks in the file; none if it is of no known tool."""
    if isinstance(plain, list):
        row = plain[0] if plain and isinstance(plain[0], dict) else {}
        return (
            [programs.livecodebench(path, plain, sha)] if {"question_id", "graded_list"} <= set(row) else []
        )
    if not isinstance(plain, dict):
        return []
    if {"results", "versions"} <= set(plain):
        return list(lm_eval.results(path, plain, sha))
    if {"schema_version", "evaluation_id", "evaluation_results"} <= set(plain):
        return list(every_eval_ever.read(path, plain, sha))
    if {"version", "status", "eval"} <= set(plain):
        samples = sorted(plain.get("samples") or (), key=lambda sample: sample["epoch"])
        return [inspect_log.log(path, plain, sha, samples)]
    if isinstance(plain.get("eval"), dict):
        row = next((row for rows in plain["eval"].values() for row in rows), {})
        if "hash" in plain:
            return [programs.evalplus(path, plain, sha)]
        return [programs.bigcodebench(path, plain, sha)] if {"status", "solution"} <= set(row) else []
    match next(iter(plain.values()), None):
        case [[_, {"passed": _, "code": _}], *_]:
            return [programs.multipl_e_details(path, plain, sha)]
    return []


def file_stem(one: ExternalResult, folder: Path, taken: Container[str]) -> str:
    """A file name for the result in a folder: tool, task and model, with a number if that is taken.

    It is taken if it is in `taken`, or is a file's that does not hold this very result.
    """
    words = "-".join((one.tool, one.task, one.model))
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in words).strip("-")
    if len(plain.encode()) > LONGEST_STEM:
        start = plain.encode()[:LONGEST_STEM].decode("utf-8", "ignore")
        plain = f"{start}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    number, name = 1, plain
    while name in taken or _is_another(folder / (name + external.SUFFIX), one):
        number += 1
        name = f"{plain}-{number}"
    return name


def _is_another(path: Path, one: ExternalResult) -> bool:
    """Whether there is a file that importing `one` once more would not have written."""
    if not path.exists():
        return False
    try:
        there = external.read_result(path)
    except ConfigError:
        return True
    return (there.sha256, there.tool, there.task, there.model) != (one.sha256, one.tool, one.task, one.model)
