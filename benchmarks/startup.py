"""How long `harness --help` takes, beside a bare interpreter: python benchmarks/startup.py [RUNS]

Prints medians of whole processes, wall clock. The aim is below 0.3 s.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence


def seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(runs: int) -> None:
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "harness --help": [sys.executable, "-c", "from harness.cli import main; main()", "--help"],
        "harness tasks": [sys.executable, "-c", "from harness.cli import main; main()", "tasks"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            times[name].append(seconds(command))
    for name, taken in times.items():
        counted = taken[1:]  # the first round warms the disk cache
        print(
            f"{name:16} median {statistics.median(counted):.3f} s, {min(counted):.3f} to {max(counted):.3f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
