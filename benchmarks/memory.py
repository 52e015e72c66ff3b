"""Peak memory of `harness score` at three numbers of samples of 5,000 problems.

    python benchmarks/memory.py                     3,000, 5,000 and 200,000 samples
    python benchmarks/memory.py --big 1000000       the last 200 for each problem, which takes five times as long
    python benchmarks/memory.py --big 1000000 --gz  the recording packed

All runs load the same problems; the first judges 200 samples for each of 15 of them (`--partial`), the second one for
each, so that between the second and the last the samples alone differ. Each is a process of its own; completions are
all different, exact match judges them with one worker.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROBLEMS = 5_000
TASK = f'''
"""One-line answers, all different."""
from harness import scorers
from harness.schema import Card, Problem, Reference, Sampling, Task, Template

def load(split, source):
    for n in range({PROBLEMS}):
        solution = f"result = sorted(value for value in items if value > {{n}})"
        yield Problem(id=f"p/{{n}}", question="?" * 400, solution=solution, check=Reference(texts=(solution,)))

def task():
    card = Card(*[""] * 4, {{}}, "")
    plain = Template(name="plain", style="plain")
    return Task("lines", 1, load, (plain,), lambda problem, made: made.text, (scorers.exact,), Sampling(), card)
'''


def measured(file: Path, task: Path, out: Path) -> tuple[float, float]:
    """(peak MB, CPU seconds) of judging the file."""
    command = [sys.executable, "-c", "from harness.cli import main; main()", "score", str(task)]
    command += ["--completions", str(file), "--partial", "--workers", "1", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{file.name} ended with {process.returncode}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--big", type=int, default=200_000)
    parser.add_argument("--gz", action="store_true", help="pack the recording")
    given = parser.parse_args()
    print("| samples | peak MB | CPU s | recording MB |\n|--:|--:|--:|--:|")
    peaks = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        task = folder / "lines.py"
        task.write_text(TASK)
        for samples, each in ((3_000, 200), (PROBLEMS, 1), (given.big, -(-given.big // PROBLEMS))):
            file = folder / f"{samples}.jsonl{'.gz' * given.gz}"
            with gzip.open(file, "wt", 1) if given.gz else file.open("w", encoding="utf-8") as lines:
                for n in range(samples):
                    text = f"result_{n} = sorted([value for value in items if value > {n}], key=lambda x: x[{n % 9}])"
                    lines.write(json.dumps({"task_id": f"p/{n // each}", "solution": text}) + "\n")
            peak, cpu = measured(file, task, folder / str(samples))
            peaks.append(peak)
            print(f"| {samples:,} | {peak:.0f} | {cpu:.0f} | {file.stat().st_size / 1e6:.0f} |", flush=True)
    print(f"\n{2**20 * (peaks[2] - peaks[1]) / (given.big - PROBLEMS):.0f} bytes a further sample")


if __name__ == "__main__":
    main()
