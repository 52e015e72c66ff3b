"""How many workers one driver can feed: a whole run with workers that sleep, their pipes, its store; and a price list.

    python -m benchmarks.scale                      about two minutes
    python -m benchmarks.scale --merge 100000       so many samples, made in four parts, put together

HumanEval's mini rows, 200 samples each. Generators and judges are processes that sleep for as long as the work would
take and answer at once then, so that many fit on two processors: everything on the driver's side is real (chunks,
pickles, extraction, programs, rows on disk). Where its core is busy all the time, the driver is the limit; its CPU time
a sample says where that will be on another machine. `extrapolate` needs no run: costs a sample in, days
and disks out.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EACH = 200  # samples a problem
COUNTS = ((1, 1000.0), (4, 1000.0), (16, 1000.0), (8, 16000.0))  # workers, samples a second of each
TEXT = "    # sample %d\n    return sorted(value for value in values if value > 0)\n"


@dataclass(frozen=True)
class Sleeping:
    """A spec and its task: `rate` samples or verdicts a second."""

    rate: float
    config: Any = None

    def setup(self, slot: int, previous: Any) -> "Sleeping":
        return self

    @property
    def identity(self) -> Mapping[str, str]:
        return {"kind": "hf", "dtype": "none", "engine": "none", "sandbox": "sleeping", "interpreter": ""}

    def run(self, method: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        from harness.schema import ExecResult

        for number, item in items:
            if method == "generate":
                time.sleep(len(item.indices) / self.rate)
                yield number, [made(item, index) for index in item.indices]
            else:
                time.sleep(1 / self.rate)
                yield number, ExecResult(status="passed")

    def close(self) -> None:
        pass


def made(request: Any, index: int) -> Any:
    from harness.schema import Completion, Generation

    text = Completion(text=TEXT % index, finish="eos", prompt_tokens=150, completion_tokens=20)
    return Generation(
        problem_id=request.problem_id, index=index, prompt_sha=request.prompt.sha, completion=text
    )


def ready_pool(workers: int, rate: float, config: Any) -> Any:
    """A pool whose workers have all set up: their start is no part of what is measured."""
    from benchmarks.scale import Sleeping  # not __main__'s, which no worker could import
    from harness.runs.workers import processes
    from harness.runs.workers.pool import WorkerPool

    pool = WorkerPool(processes.ProcessLauncher(["sleeps"] * workers), Sleeping(rate, config))
    while any(slot.identity is None for slot in pool.slots):
        pool._start_workers()
        pool._poll()
    return pool


def run(workers: int, rate: float, folder: Path) -> None:
    """One run; prints its figures as JSON."""
    from harness.config.backend import BackendConfig
    from harness.config.run import RunConfig
    from harness.config.sampling import SamplingConfig
    from harness.runs import run as runner
    from harness.runs.workers.backend import PooledBackend
    from harness.runs.workers.sandbox import PooledSandbox

    backend = BackendConfig(model="none", batch_size=16)
    config = RunConfig(
        task="humaneval",
        data="mini",
        backend=backend,
        sampling=SamplingConfig(samples=EACH, temperature=1.0),
    )
    generators, judges = (ready_pool(workers, rate, backend) for _ in range(2))
    marks: dict[str, tuple[float, float]] = {}

    def progress(stage: str, done: int, total: int, *more: float) -> None:
        if (stage == "generate" and done == 0) or done == total:
            marks.setdefault(f"{stage} {done == total}", (time.perf_counter(), time.process_time()))

    executor = runner.Executor(
        open_backend=lambda *given: PooledBackend(generators, generators.spec),
        open_sandbox=lambda *given: PooledSandbox(judges),
    )
    out, summary = runner.run(config, folder / "run", progress, executor=executor)
    assert summary.metrics["pass@1"].value == 1.0
    begun, between, over = (marks[key] for key in ("generate False", "generate True", "judge True"))
    files = {name: (out / f"{name}.jsonl").stat().st_size for name in ("generations", "judgements")}
    figures = {"samples": summary.samples, "files": files}
    for stage, (since, until) in {"generate": (begun, between), "judge": (between, over)}.items():
        figures[stage] = [until[0] - since[0], until[1] - since[1]]
    print(json.dumps(figures))


# ---------------------------------------------------------------- parts put together


def parts(samples: int, folder: Path) -> None:
    """A run of `samples` that cost nothing (benchmarks/driver.py), in four parts, merged; prints JSON."""
    from benchmarks import driver
    from harness.config.backend import BackendConfig
    from harness.config.run import RunConfig
    from harness.config.sampling import SamplingConfig
    from harness.runs import merge
    from harness.runs import run as runner
    from harness.runs.shards import Shard

    task = folder / "nothing.py"
    task.write_text(f"PROBLEMS = {samples // driver.EACH}\n{driver.TASK}")
    config = RunConfig(
        task=str(task),
        backend=BackendConfig(model="none"),
        sampling=SamplingConfig(samples=driver.EACH, temperature=1.0),
    )
    executor = runner.Executor(open_backend=lambda *given: driver.Nothing())
    root = folder / "parts"
    for index in range(4):
        runner.run(config, root=root, executor=executor, shard=Shard(index, 4))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    ((_, summary),) = merge.merge([root], folder / "all", folder)
    figures = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "samples": summary.samples,
    }
    figures["grown"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown) / 1024
    print(json.dumps(figures))


# ---------------------------------------------------------------- what 10^6 and 10^9 samples cost


@dataclass(frozen=True)
class Costs:
    """Of one sample: driver CPU seconds, judging CPU seconds, bytes that are kept. `tokens`: of an answer."""

    driver: float
    judging: float
    kept: float
    tokens: float


def extrapolate(costs: Costs, samples: float, gpu_tokens: float) -> dict[str, float]:
    """Days of one driver, one GPU (of `gpu_tokens` a second) and one judging core; gigabytes; and how many GPUs and
    cores keep one driver busy."""
    day = 86_400
    gpu, judging = costs.tokens / gpu_tokens, costs.judging
    return {
        "driver days": samples * costs.driver / day,
        "GPU days": samples * gpu / day,
        "judging core days": samples * judging / day,
        "GB": samples * costs.kept / 1e9,
        "GPUs a driver feeds": gpu / costs.driver,
        "judging cores a driver feeds": judging / costs.driver,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--merge", type=int, metavar="N")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.merge:
        with tempfile.TemporaryDirectory() as folder:
            parts(given.merge, Path(folder))
        return
    if given.one:
        run(given.workers, given.rate, given.one)
        return
    print(
        "| workers | samples a s they could make | generated a s | driver CPU us | busy | judged a s | CPU us | busy |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    found: dict[str, Any] = {}
    for workers, rate in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.scale", "--one", folder, "--rate", str(rate)]
            done = subprocess.run(
                [*command, "--workers", str(workers)], check=True, stdout=subprocess.PIPE, env=os.environ
            )
        found = json.loads(done.stdout)
        n = found["samples"]
        cells = [
            f"{n / wall:,.0f} | {1e6 * cpu / n:.0f} | {100 * cpu / wall:.0f} %"
            for wall, cpu in (found["generate"], found["judge"])
        ]
        print(f"| {workers} | {workers * rate:,.0f} | " + " | ".join(cells) + " |", flush=True)
    n = found["samples"]
    driver = (found["generate"][1] + found["judge"][1]) / n
    kept = sum(found["files"].values()) / n
    print(
        f"\nbytes a sample: {kept:.0f}. Of 10^6 and 10^9 samples, with judging at 5 CPU ms, answers of 200 tokens"
    )
    print("and a GPU of 2,500 tokens a second (assumed: none was at hand):\n")
    print("| | 10^6 | 10^9 |\n|---|--:|--:|")
    costs = Costs(driver, 0.005, kept, 200)
    million, billion = (extrapolate(costs, samples, 2500) for samples in (1e6, 1e9))
    for name, value in million.items():
        print(f"| {name} | {value:,.3g} | {billion[name]:,.3g} |")


if __name__ == "__main__":
    main()
