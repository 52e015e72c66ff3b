"""What putting one process back after each program costs beside a fork for each, and whether anything is left of one.

    python benchmarks/restore.py                    HumanEval's solutions, by turns, in batches of two times all
    python benchmarks/restore.py --mixed 100000     programs that change what they can, and others that look for it

CPU time of controller, tester, zygote and programs together, a verdict, warm, one worker. The rows are those of
benchmarks/judge.py; each program is made distinct, because equal ones are judged once.
"""

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Literal

from judge import rows

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import Limits, Program, UnitTests

_FORK_MB = 15  # less than a process that is put back has, with the memory set aside for it
Isolation = Literal["namespaces", "landlock"]
TESTS = UnitTests(setup="def f(x):\n    pass\n", code="assert f(2) == 4\nassert f(3) == 9", entry_point="f")
HONEST = "def f(x):\n    return x * x\n"
# What a program changes in memory, in the interpreter and in the kernel.
CHANGES = (
    "import math; math.left = 1",
    "import sys, types; sys.modules['left'] = types.ModuleType('left')",
    "import builtins; builtins.left = 1",
    "import json; json.dumps.__code__ = (lambda *a, **k: 'left').__code__",
    "import os; os.environ['LEFT'] = '1'",
    "import random; random.seed(7)",
    "import atexit; atexit.register(print)",
    "import sys; sys.excepthook = print; sys.setrecursionlimit(77777)",
    "import gc; gc.disable()",
    "import os; os.dup2(0, 77)",
    "open('left', 'w').write('x')",
    "import os; os.chdir('/')",
    "import signal; signal.signal(10, print)",
    "import threading, time; threading.Thread(target=time.sleep, args=(900,), daemon=True).start()",
    "import sys; print('left' * 100); print('left', file=sys.stderr)",
    "kept = [bytes(100) for _ in range(100_000)]",
    "import os; os.write(3, b'left' * 100)",
)
LOOK = """
import atexit, builtins, gc, json, math, os, random, signal, sys, threading
first = random.random()
random.seed(0)
left = [hasattr(math, 'left'), 'left' in sys.modules, hasattr(builtins, 'left'), json.dumps(1) != '1',
        'LEFT' in os.environ, first != random.random(), atexit._ncallbacks() > 0, sys.excepthook is print,
        sys.getrecursionlimit() == 77777, not gc.isenabled(), os.path.exists('left'), os.getcwd() == '/',
        threading.active_count() > 1]
try:
    os.fstat(77)
    left.append(True)
except OSError:
    pass
def f(x):
    return -1 if any(left) else x * x
"""


def cpu_s(pool: sandbox.Pool) -> float:
    """Of this process, of all below it, and of those that ended there."""
    total = time.process_time()
    pids = [process.pid for worker in pool.workers() for process in worker.processes]
    for pid in pids:
        total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        ended = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
        total += sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return total


def solutions(items: list[dict[str, Any]], tag: str) -> list[Program]:
    return [
        Program(
            code=f"{row['prompt']}{row['canonical_solution']}\n# {tag} {number}\n",
            limits=Limits(cpu_s=3.0),
            tests=UnitTests(
                setup=row["prompt"],
                code=f"{row['test']}\ncheck({row['entry_point']})",
                entry_point=row["entry_point"],
            ),
        )
        for number, row in enumerate(items)
    ]


def passed(result: object) -> bool:
    return not isinstance(result, SandboxFault) and getattr(result, "status", "") == "passed"


def compare(isolation: Isolation, rounds: int) -> None:
    items = rows()[::5] * 2  # each comes five times there
    pools = {
        process: sandbox.start(sandbox.Settings(isolation=isolation, workers=1, process=process))
        for process in ("fork", "restore")
    }
    costs: dict[str, list[float]] = {process: [] for process in pools}
    try:
        for number, (process, pool) in itertools.product(range(rounds + 1), pools.items()):
            programs = solutions(items, f"{process} {number}")
            before = cpu_s(pool) if number else 0.0  # the first round warms up
            assert all(map(passed, pool.map(programs)))
            if number:
                costs[process].append((cpu_s(pool) - before) / len(programs) * 1000)
    finally:
        for pool in pools.values():
            pool.close()
    for process, found in costs.items():
        print(
            f"{isolation:11} {process:8} {median(found):6.2f} ms of CPU a verdict {[round(x, 2) for x in found]}"
        )
    print(f"{isolation:11} ratio    {median(costs['restore']) / median(costs['fork']):6.2f}")


def mixed(isolation: Isolation, count: int, seed: int) -> bool:
    """Whether all verdicts were right, and at least half of them those of a process that was put back."""
    draw = random.Random(seed)
    references = solutions(rows()[::5], "mixed")

    def programs() -> Iterator[tuple[Program, str]]:
        for number in range(count):
            kind = draw.random()
            if kind < 0.05:
                yield Program(code=f"{draw.choice(CHANGES)}\n{HONEST}# {number}", tests=TESTS), ""
            elif kind < 0.1:
                yield Program(code=f"def f(x):\n    return x + {number + 9}", tests=TESTS), "failed"
            elif kind < 0.5:
                yield Program(code=f"{LOOK}# {number}", tests=TESTS), "passed"
            else:
                reference = draw.choice(references)
                yield reference.model_copy(update={"code": f"{reference.code}# {number}"}), "passed"

    given, wanted = itertools.tee(programs())
    wrong = restored = 0
    with sandbox.start(sandbox.Settings(isolation=isolation, workers=1, process="restore")) as pool:
        results = pool.map(program for program, _ in given)
        for number, (result, (program, status)) in enumerate(zip(results, wanted, strict=True), 1):
            restored += getattr(result, "peak_mb", 0) > _FORK_MB
            found = "fault" if isinstance(result, SandboxFault) else result.status
            if found == "fault" or (status and found != status):
                wrong += 1
                print(f"program {number}: {found} in place of {status}: {result}\n{program.code}")
    share = restored / count
    print(
        f"{isolation:11} {count} mixed programs, {wrong} wrong verdicts, {share:.1%} in a process put back",
        flush=True,
    )
    return not wrong and share >= 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mixed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of the mix: a long run may be made in parts")
    parser.add_argument("--isolation", choices=["namespaces", "landlock"], action="append")
    arguments = parser.parse_args()
    levels: list[Isolation] = arguments.isolation or ["namespaces", "landlock"]
    if arguments.mixed:
        sys.exit(0 if all(mixed(level, arguments.mixed, arguments.seed) for level in levels) else 1)
    for level in levels:
        compare(level, arguments.rounds)


if __name__ == "__main__":
    main()
