"""The driver's limit: samples a second through the store, its memory and its disk, when workers cost nothing.

    python benchmarks/driver.py                      10,000 and 100,000 samples, 200 a problem
    python benchmarks/driver.py --samples 1000000    a leaderboard's worth: APPS' 5,000 problems, 200 samples each

A backend that answers at once and a scorer that passes everything, so that what is left is the driver: rows made,
written through, put in order, read back and summed. Each size is `runner.run` in a process of its own. CPU seconds are
its process's; the second column of rates counts waiting for the disk too. Not here: the cost of generating and judging.
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
from pathlib import Path

EACH = 200  # samples a problem
TEXT = "def solve(values):\n    return sorted(value for value in values if value > %d)\n"

TASK = '''
"""Problems that everything solves."""
from harness.stats import estimates
from harness.schema import Card, Problem, Reference, Sampling, Score, Scorer, Task, Template, Verdict

PASSED = Verdict("passed", Score(value=1.0))

def load(split, source):
    return (Problem(id=f"p/{n}", question="", solution="x", check=Reference(texts=("x",))) for n in range(PROBLEMS))

def score(answers, sandbox):
    return (PASSED for _ in answers)

def task():
    passes = Scorer("passes", score, lambda ks: {f"pass@{k}": stats.pass_at(k) for k in ks})
    plain = Template(name="plain", style="plain")
    card = Card(*[""] * 4, {}, "")
    return Task("nothing", 1, load, (plain,), lambda problem, made: made.text, (passes,), Sampling(), card)
'''


class Nothing:
    """A backend that has its answers already."""

    identity: Mapping[str, str] = {"kind": "hf", "dtype": "none", "engine": "none"}

    @property
    def capabilities(self) -> object:
        from harness.schema import Capabilities

        return Capabilities()

    def generate(self, requests: Sequence, sampling: object) -> Iterator:
        from harness.schema import Completion, Generation

        for request in requests:
            for index in request.indices:
                made = Completion(text=TEXT % index, finish="eos", prompt_tokens=100, completion_tokens=20)
                yield Generation(
                    problem_id=request.problem_id, index=index, prompt_sha=request.prompt.sha, completion=made
                )

    def tokens(self, prompt: object) -> int:
        return 1

    def fits(self, prompt: object, max_tokens: int) -> bool:
        return True

    def close(self) -> None:
        pass


def run(samples: int, folder: Path) -> None:
    """One run; prints its figures as JSON."""
    from harness.config.backend import BackendConfig
    from harness.config.run import RunConfig
    from harness.config.sampling import SamplingConfig
    from harness.runs import run as runner

    task = folder / "nothing.py"
    task.write_text(f"PROBLEMS = {samples // EACH}\n{TASK}")
    config = RunConfig(
        task=str(task),
        backend=BackendConfig(model="none"),
        sampling=SamplingConfig(samples=EACH, temperature=1.0),
    )
    stages: dict[str, float] = {}
    began, cpu = time.perf_counter(), time.process_time()

    def progress(stage: str, done: int, total: int, *more: float) -> None:
        if done == total and stage not in stages:
            stages[stage] = time.process_time() - cpu

    out, summary = runner.run(
        config, folder / "run", progress, executor=runner.Executor(open_backend=lambda *_: Nothing())
    )
    figures = {
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "generate": stages["generate"],
        "judge": stages["judge"],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "disk": sum(path.stat().st_size for path in out.iterdir()),
        "value": summary.metrics["pass@1"].value,
    }
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        run(given.samples, given.one)
        return
    print("CPU us a sample in three parts: generations, judgements, order and sum\n")
    print("| samples | samples a CPU s | samples a s | peak MB | bytes a sample on disk | CPU us | | |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for samples in (given.samples // 10, given.samples):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--samples", str(samples), "--one", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
        found = json.loads(done.stdout)
        assert found["value"] == 1.0
        made, judged = found["generate"], found["judge"] - found["generate"]
        parts = (1e6 * seconds / samples for seconds in (made, judged, found["cpu"] - found["judge"]))
        print(
            f"| {samples:,} | {samples / found['cpu']:,.0f} | {samples / found['wall']:,.0f} | {found['peak']:.0f} |"
            f" {found['disk'] / samples:.0f} | " + " | ".join(f"{part:.0f}" for part in parts) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
