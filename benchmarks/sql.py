"""Verdicts a second on pairs of SQL queries: the engines beside the official test-suite evaluator's own approach.

    python benchmarks/sql.py                   HARNESS_DATA/spider (with its recorded predictions), else the mini rows
    python benchmarks/sql.py --rounds 5        median of so many rounds, taken in turns (default 3)
    python benchmarks/sql.py --command         `harness score spider` as a whole, on all rows and on one

The official approach, written anew: one pair after another in one process, DISTINCT taken out by sqlparse's parser, a
new connection for each query inside an event loop of its own, results compared by going through the orders of
columns. No protection of any kind. The engines are confined; they are measured with their start (and with finding out
which isolation works here, as every run does), and warm, with and
without gold results kept. All must give the same verdicts. CPU time counts children too and is the steadier
figure on a machine that does other things as well.
"""

import argparse
import asyncio
import itertools
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlparse

from harness import sandbox, scorers
from harness.schema import Problem, Query
from harness.tasks.loading import data_files, registry

Pairs = list[tuple[Problem, str]]
ENDED = {"official approach", "engines, with their start"}


def pairs() -> Pairs:
    data = os.environ.get("HARNESS_DATA", "mini")
    recorded = Path(data) / "spider" / "outputs" / "dail_gpt4.verdicts.jsonl"
    data = data if recorded.exists() else "mini"
    problems = data_files.load(registry.task("spider"), "test", data_files.open_source(data))
    if data == "mini":
        return [(problem, problem.solution) for problem in problems for _ in range(6)]
    rows = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    return [(problem, row["pred"]) for problem, row in zip(problems, rows, strict=True)]


# ---------------------------------------------------------------- the official approach


def official(asked: Pairs) -> list[bool]:
    return [one(problem, answer) for problem, answer in asked]


def one(problem: Problem, answer: str) -> bool:
    assert isinstance(problem.check, Query)
    gold, answer = without_distinct(problem.check.sql), without_distinct(answer)
    path = problem.check.files[0].path
    expected = asyncio.run(timed(path, gold))
    got = asyncio.run(timed(path, answer))
    if got is None:
        return False
    assert expected is not None
    return equal(expected, got, "order by" in gold.lower())


def without_distinct(sql: str) -> str:
    tokens = sqlparse.parse(sql)[0].flatten()
    return "".join(token.value for token in tokens if token.value.lower() != "distinct")


async def timed(path: str, sql: str) -> list[tuple[Any, ...]] | None:
    return await asyncio.wait_for(execute(path, sql), 60)


async def execute(path: str, sql: str) -> list[tuple[Any, ...]] | None:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = lambda raw: raw.decode(errors="ignore")
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def equal(expected: list[tuple[Any, ...]], got: list[tuple[Any, ...]], ordered: bool) -> bool:
    if len(expected) != len(got) or (expected and len(expected[0]) != len(got[0])):
        return False
    if not expected:
        return True
    for order in itertools.permutations(range(len(got[0]))):
        moved = [tuple(row[place] for place in order) for row in got]
        if moved == expected if ordered else Counter(moved) == Counter(expected):
            return True
    return False


# ---------------------------------------------------------------- ours


def judged(box: sandbox.Pool, asked: Pairs) -> list[bool]:
    return [v.score is not None and v.score.value == 1.0 for v in scorers.sql_execution.score(asked, box)]


def with_start(asked: Pairs) -> list[bool]:
    with sandbox.start(sandbox.Settings(queries=True)) as box:
        assert box.isolation == "namespaces"
        return judged(box, asked)


def cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(run: Callable[[Pairs], list[bool]], asked: Pairs) -> tuple[list[bool], float, float]:
    began, before = time.perf_counter(), cpu()
    verdicts = run(asked)
    return verdicts, time.perf_counter() - began, cpu() - before


def score(asked: Pairs) -> list[bool]:
    """The command in a process of its own, on all rows; its time is that of a child."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predict.txt"
        queries = {problem.id: " ".join(sql.split()) for problem, sql in asked}
        file.write_text("".join(f"{sql}\n" for sql in queries.values()), encoding="utf-8")
        data = os.environ.get("HARNESS_DATA", "mini")
        limit = [] if len(asked) > 1 else ["--limit", "1"]
        arguments = [
            "score",
            "spider",
            "--data",
            data,
            "--completions",
            file,
            "--out",
            f"{folder}/run",
            *limit,
        ]
        program = "from harness.cli import main; main()"
        subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    return []


def command(asked: Pairs, rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for some in (asked, asked[:1]):
            found.setdefault(f"harness score, {len(some)}", []).append(measure(score, some)[1:])
    for name, times in found.items():
        wall, used = (statistics.median(each) for each in zip(*times, strict=True))
        print(f"{name:28} wall {wall:5.2f} s  CPU {used:5.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--command", action="store_true")
    given = parser.parse_args()
    rounds, asked = given.rounds, pairs()
    if given.command:
        command(asked, rounds)
        return
    without_distinct("SELECT 1")  # sqlparse makes its tables once
    found: dict[str, list[tuple[float, float]]] = {}
    starts: list[float] = []
    expected = None
    for _ in range(rounds):
        box = sandbox.start(sandbox.Settings(isolation="namespaces"))
        ways: dict[str, Callable[[Pairs], list[bool]]] = {
            "official approach": official,
            "engines, with their start": with_start,
            "engines, gold results new": lambda some, box=box: judged(box, some),
            "engines, gold results kept": lambda some, box=box: judged(box, some),
        }
        judged(box, asked[:1])
        for name, run in ways.items():
            verdicts, wall, used = measure(run, asked)
            expected = expected or verdicts
            assert verdicts == expected, f"{name} gives other verdicts"
            found.setdefault(name, []).append((wall, used))
        starts.append(measure(with_start, asked[:1])[2])
        box.close()
    base = statistics.median(wall for wall, _ in found["official approach"])
    print(f"{len(asked)} pairs, {sum(expected or [])} right, median of {rounds} rounds")
    base_cpu = statistics.median(used for _, used in found["official approach"])
    print(f"{'':28} {'verdicts/s':>11} {'ratio':>7} {'CPU s':>7} {'ratio':>7}")
    for name, times in found.items():
        wall = statistics.median(wall for wall, _ in times)
        used = statistics.median(used for _, used in times)
        # Of engines that go on running the CPU time is not known here.
        of_cpu = f"{used:7.2f} {base_cpu / used:6.1f}x" if name in ENDED else ""
        print(f"{name:28} {len(asked) / wall:11.0f} {base / wall:6.1f}x {of_cpu}")
    start = statistics.median(starts)
    rest = statistics.median(used for _, used in found["engines, with their start"]) - start
    print(f"{'  their start alone':28} {'':11} {'':7} {start:7.2f}")
    print(f"{'  without it':28} {'':11} {'':7} {rest:7.2f} {base_cpu / rest:6.1f}x")


if __name__ == "__main__":
    main()
