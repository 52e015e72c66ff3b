"""Right verdicts on a machine that is four times oversubscribed: 20 rounds of HumanEval's own solutions.

    python benchmarks/load.py              HARNESS_DATA/humaneval/HumanEval.jsonl[.gz], else the mini rows
    python benchmarks/load.py --rounds 2 --busy 1

Busy loops (`--busy` for each core) run beside it all the time. Every solution has to pass in every round, and
one endless program a round has to time out. Exit status 1 when any verdict is another.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from judge import LIMIT_S, REPEATS, rows

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import Limits, Program, UnitTests


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def programs() -> list[Program]:
    """The solutions and, last, a program that never ends."""
    limits = Limits(cpu_s=LIMIT_S)
    solutions = [
        Program(
            code=row["prompt"] + row["canonical_solution"],
            limits=limits,
            tests=UnitTests(
                setup=row["prompt"],
                code=f"{row['test']}\ncheck({row['entry_point']})",
                entry_point=row["entry_point"],
            ),
        )
        for row in rows()[::REPEATS]
    ]
    endless = UnitTests(code="assert f() == 1", entry_point="f")
    return [*solutions, Program(code="def f():\n    while True: pass", limits=limits, tests=endless)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--busy", type=int, default=4, help="busy loops for each core")
    parser.add_argument("--isolation", default="auto", choices=["auto", "namespaces", "landlock"])
    parser.add_argument("--process", default="fork", choices=["fork", "restore"])
    arguments = parser.parse_args()
    batch = programs()
    wrong: Counter[str] = Counter()
    cores = len(os.sched_getaffinity(0))
    begun = time.perf_counter()
    with (
        busy_loops(arguments.busy * cores),
        sandbox.start(sandbox.Settings(isolation=arguments.isolation, process=arguments.process)) as pool,
    ):
        for _ in range(arguments.rounds):
            for number, result in enumerate(pool.map(batch)):
                status = "fault" if isinstance(result, SandboxFault) else result.status
                if status != ("timeout" if number == len(batch) - 1 else "passed"):
                    wrong[f"{number} {status}"] += 1
        isolation = pool.isolation
    count = arguments.rounds * len(batch)
    right = count - wrong.total()
    print(
        f"{isolation}, {arguments.busy * cores} busy loops on {cores} cores: {right} of {count} verdicts "
        f"right ({arguments.rounds} x {len(batch) - 1} solutions and an endless program), "
        f"{time.perf_counter() - begun:.0f} s"
    )
    for what, times in wrong.items():
        print(f"  wrong: program {what}, {times} times")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
