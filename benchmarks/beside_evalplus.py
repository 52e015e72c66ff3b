"""HumanEval+ judged here and by EvalPlus, the same answers: CPU seconds of all processes, wall, memory, verdicts.

    pip install evalplus                                  in an environment of its own
    HARNESS_DATA=DIR python benchmarks/beside_evalplus.py --evaluate ENV/bin/evalplus.evaluate [--answers 5]

The answers are the references, of more than one a problem every fifth (from the second on) a wrong one. By turns,
with as many workers as there are processors, medians. Both keep what the references say between their
runs: the first run of each is not counted. Verdicts are not kept.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from harness.config.run import VERDICTS

Verdicts = dict[str, list[bool]]


class Measured(NamedTuple):
    """`peak_mb`: of the largest process."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    verdicts: Verdicts


def _run(command: list[str], environment: dict[str, str], folder: Path) -> tuple[float, float, float]:
    begun = time.perf_counter()
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]}: {(folder / 'output.txt').read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - begun, used.ru_maxrss / 1024


def by_evalplus(program: str, data: Path, answers: Path, workers: int) -> Measured:
    for old in answers.parent.glob("*eval_results.json"):
        old.unlink()
    command = [program, "--dataset", "humaneval", "--samples", str(answers), "--parallel", str(workers)]
    used = _run(command, os.environ | {"HUMANEVAL_OVERRIDE_PATH": str(data)}, answers.parent)
    found = json.loads(next(answers.parent.glob("*eval_results.json")).read_text())["eval"]
    passed = {task: [_both(each) for each in results] for task, results in found.items()}
    return Measured(*used, passed)


def _both(result: dict[str, Any]) -> bool:
    return bool(result["base_status"] == result["plus_status"] == "pass")


def here(answers: Path, workers: int) -> Measured:
    """References' values come from the run before, in the folder of the answers."""
    cache = answers.parent / "cache"
    (cache / VERDICTS).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        start = ["-c", "from harness.cli import main; main()", "score", "humaneval_plus"]
        where = [
            "--data",
            os.environ["HARNESS_DATA"],
            "--completions",
            str(answers),
            "--out",
            f"{folder}/out",
        ]
        command = [sys.executable, *start, *where, "--workers", str(workers)]
        used = _run(command, os.environ | {"HARNESS_CACHE": str(cache)}, Path(folder))
        passed: dict[str, dict[int, bool]] = {}
        with open(f"{folder}/out/judgements.jsonl", encoding="utf-8") as file:
            for row in map(json.loads, file):
                passed.setdefault(row["problem_id"], {})[row["index"]] = row["status"] == "passed"
    return Measured(*used, {task: [each[n] for n in sorted(each)] for task, each in passed.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--evaluate", required=True)
    parser.add_argument("--answers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = Path(os.environ["HARNESS_DATA"]) / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl.gz"
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.jsonl"
        with gzip.open(data, "rt", encoding="utf-8") as rows, open(answers, "w", encoding="utf-8") as file:
            for row in map(json.loads, rows):
                for number in range(arguments.answers):
                    body = "    return None\n" if number % 5 == 1 else row["canonical_solution"]
                    line = {"task_id": row["task_id"], "solution": f"{row['prompt']}{body}\n# {number}\n"}
                    file.write(json.dumps(line) + "\n")
        evalplus, ours = list[Measured](), list[Measured]()
        by_evalplus(arguments.evaluate, data, answers, workers)
        here(answers, workers)
        for _ in range(arguments.rounds):
            evalplus.append(by_evalplus(arguments.evaluate, data, answers, workers))
            ours.append(here(answers, workers))
    for name, found in (("evalplus", evalplus), ("here", ours)):
        cpu, wall, peak = (median(each[at] for each in found) for at in range(3))
        passed = sum(map(sum, found[-1].verdicts.values()))
        print(f"{name:9} CPU {cpu:6.1f} s  wall {wall:6.1f} s  peak {peak:5.0f} MB  {passed} passed")
    left, right = evalplus[-1].verdicts, ours[-1].verdicts
    differing = [f"{task}/{n}" for task in left for n, one in enumerate(left[task]) if right[task][n] != one]
    cpu, wall = (median(a[at] / b[at] for a, b in zip(evalplus, ours, strict=True)) for at in range(2))
    print(
        f"evalplus takes {cpu:.2f} times the CPU time and {wall:.2f} times as long; verdicts that differ: {differing}"
    )


if __name__ == "__main__":
    main()
