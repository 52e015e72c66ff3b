"""Judging on one worker and on two, by each engine; and what an engine costs beside work that costs nothing.

    python benchmarks/engines.py                  HARNESS_DATA/humaneval/HumanEval.jsonl[.gz], else the mini rows
    python benchmarks/engines.py --rounds 3 --without ray

`pool` is a run's own sandbox on this machine, `processes` and `ray` are worker pools with one sandbox in each worker.
All judge the same programs in rounds that take turns; figures are medians, a ratio's too, of each round's own:
HumanEval's own solutions, each many times, and 600 programs that compute for some 15 ms. A worker is several
processes that can work at the same time, so one worker has one core of its own here, and two workers have two;
beside it, one worker with two cores.

Sleeping work needs no core, so its cost shows with more workers than there are cores: the share of the time from
the first chunk to the last result in which a worker was not busy with a request. Work that does nothing shows how many
items a second an engine can hand out and take in, and what each costs the driver's process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from judge import LIMIT_S, rows
from sleeping import Sleeping

from harness import sandbox
from harness.runs.workers import processes
from harness.runs.workers.pool import Launcher, WorkerPool
from harness.runs.workers.sandbox import PooledSandbox
from harness.runs.workers.tasks import JudgeSpec
from harness.runs.workers.work_queue import ChunkSizer
from harness.schema import Limits, Program, UnitTests

ENGINES = ("pool", "processes", "ray")
NAP_S = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--without", action="append", default=[], choices=ENGINES)
    parser.add_argument("--seconds", type=float, default=5.0, help="of sleeping work for each worker")
    given = parser.parse_args()
    engines = [name for name in ENGINES if name not in given.without]
    scaling(engines, given.rounds)
    with ExitStack() as stack:
        if "ray" in engines:
            start_ray(stack)
        cost([name for name in engines if name != "pool"], given.seconds)


def start_ray(stack: ExitStack) -> None:
    import ray

    here = Path(__file__).resolve().parent
    os.environ["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent)])  # what its workers import
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its processors are names only: as many as the most workers of this benchmark.
    ray.init(
        address="local", num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    stack.callback(ray.shutdown)


def launcher(name: str, workers: int) -> Launcher:
    if name == "processes":
        return processes.ProcessLauncher(["cpu"] * workers)
    from harness.runs import ray as cluster

    return cluster.ActorLauncher(workers, {"num_cpus": 1})


# ---------------------------------------------------------------- judging


def programs() -> list[Program]:
    return [
        Program(
            code=row["prompt"] + row["canonical_solution"],
            limits=Limits(cpu_s=LIMIT_S),
            tests=UnitTests(
                setup=row["prompt"],
                code=f"{row['test']}\ncheck({row['entry_point']})",
                entry_point=row["entry_point"],
            ),
        )
        for row in rows()
    ]


def open_box(name: str, workers: int) -> Any:
    if name == "pool":
        return sandbox.start(sandbox.Settings(workers=workers))
    one = sandbox.Settings(workers=1, crowded=workers >= len(os.sched_getaffinity(0)))  # as runs/ray.py does
    return PooledSandbox(WorkerPool(launcher(name, workers), JudgeSpec(one)))


def computing(count: int) -> list[Program]:
    """Programs that compute, each another one."""
    code = "def f(x):\n    s = 0\n    for i in range(500_000):\n        s += i & 3\n    return s + x\n# {}\n"
    tests = UnitTests(code="assert f(1) > 0\n", entry_point="f")
    return [Program(code=code.format(number), tests=tests) for number in range(count)]


def scaling(engines: list[str], rounds: int) -> None:
    """Each figure is of a process of its own (`judging`), which starts its workers on the cores that it is given."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    settings = (("1 on 1", 1, {first}), ("1 on 2", 1, {first, second}), ("2 on 2", 2, {first, second}))
    rates: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(rounds):
        for name in engines:
            for label, workers, cores in settings:
                pinned = f"import os; os.sched_setaffinity(0, {cores})"
                code = f"{pinned}; import engines; engines.judging({name!r}, {workers})"
                done = subprocess.run(
                    [sys.executable, "-c", code],
                    cwd=Path(__file__).parent,
                    stdout=subprocess.PIPE,
                    check=True,
                )
                for kind, rate in json.loads(done.stdout.splitlines()[-1]).items():
                    rates.setdefault((kind, name, label), []).append(rate)
    print(f"programs judged a second by workers on cores, median of {rounds} rounds")
    print(f"{'':10} {'':10} {'1 on 1':>8} {'1 on 2':>8} {'2 on 2':>8} {'2 on 2 / 1 on 1':>16}")
    for kind in ("humaneval", "computing"):
        for name in engines:
            each = [rates[kind, name, label] for label, _, _ in settings]
            one, both, two = map(statistics.median, each)
            scaled = statistics.median(b / a for a, b in zip(each[0], each[2], strict=True))
            print(f"{kind:10} {name:10} {one:8.1f} {both:8.1f} {two:8.1f} {scaled:16.2f}")


def judging(name: str, workers: int) -> None:
    """Judge both kinds on so many workers, once to start them and once for the figure; prints JSON."""
    rates = {}
    with ExitStack() as stack:
        if name == "ray":
            start_ray(stack)
        box = stack.enter_context(open_box(name, workers))
        for kind, batch in (("humaneval", 6 * programs()), ("computing", computing(600))):
            for part in (batch[:200], batch):  # the first starts workers, and finds the size of chunks
                began = time.perf_counter()
                passed = sum(getattr(result, "status", "") == "passed" for result in box.map(iter(part)))
                rates[kind] = len(part) / (time.perf_counter() - began)
                if passed != len(part):
                    sys.exit(f"{name}: {len(part) - passed} of {len(part)} solutions did not pass")
    print(json.dumps(rates))


# ---------------------------------------------------------------- the engine's own cost


def cost(engines: list[str], seconds: float) -> None:
    print(
        f"\nsleeping work, items of {1000 * NAP_S:g} ms, {seconds:g} s a worker; and work that does nothing"
    )
    head = ("workers", "chunks", "cost", "items/s", "driver us/item")
    print(f"{'':10} {head[0]:>8} {head[1]:>7} {head[2]:>7} {head[3]:>9} {head[4]:>15}")
    for name in engines:
        for workers in (1, 2, 8):
            with WorkerPool(launcher(name, workers), Sleeping()) as pool:
                ready(pool)
                sizer = ChunkSizer()
                timed(pool, int(workers * 1.5 / NAP_S), NAP_S, sizer)  # finds the size of chunks
                before, chunks = pool.stats.seconds, pool.stats.chunks
                took, _ = timed(pool, int(workers * seconds / NAP_S), NAP_S, sizer)
                lost = 1 - (pool.stats.seconds - before) / (took * workers)
                chunks = pool.stats.chunks - chunks
                sizer = ChunkSizer()
                timed(pool, 20_000, 0.0, sizer)
                took, busy = timed(pool, 100_000, 0.0, sizer)
                line = f"{name:10} {workers:8} {chunks:7} {100 * lost:5.2f} % {100_000 / took:9.0f}"
                print(f"{line} {1e6 * busy / 100_000:15.1f}")


def ready(pool: WorkerPool) -> None:
    """Wait until every worker has set up."""
    while any(slot.identity is None for slot in pool.slots):
        timed(pool, 1, 0.0, ChunkSizer())


def timed(pool: WorkerPool, count: int, nap: float, sizer: ChunkSizer) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process, for so many naps."""

    def naps() -> Iterator[float]:
        for _ in range(count):
            yield nap

    clock: Callable[[], float] = time.process_time
    began, busy = time.perf_counter(), clock()
    for _ in pool.map("sleep", None, naps(), sizer):
        pass
    return time.perf_counter() - began, clock() - busy


if __name__ == "__main__":
    main()
