"""Whether the judge stays as it was over many programs: memory, descriptors, processes, mounts, folders.

    python benchmarks/soak.py                     100,000 trivial programs; a line for each tenth
    python benchmarks/soak.py --programs 5000 --isolation landlock

Memory is the private memory of this process and of all below it, which is what grows when something is kept.
It is measured after the first tenth and at the end; the rest before the first program and after the pool was
closed. Exit status 1 when memory grew by more than 16 MB, anything else by one, or a verdict was wrong.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import Limits, Program, UnitTests

GROWTH_MB = 16.0
TESTS = UnitTests(code="assert f(2) == 4", entry_point="f")
# Of each kind that leaves something else behind: tested, whole, with files, one that fails, one that dies.
KINDS = (
    Program(code="def f(x):\n    return x * x", tests=TESTS),
    Program(code="print(input())", stdin="text\n"),
    Program(code="open('left', 'w').write('x' * 1000)", files={"beside.txt": "text"}),
    Program(code="def f(x):\n    return x", tests=TESTS),
    Program(code="import os\nos.abort()", limits=Limits(output_kb=16)),
)
EXPECTED = ("passed", "passed", "passed", "failed", "signal")


def below() -> list[int]:
    """This process and every descendant."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue
        children.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found


def private_mb() -> float:
    total = 0
    for pid in below():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private"))
    return total / 1024


def left() -> dict[str, int]:
    """What may not grow, counted while no worker runs."""
    folders = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("harness-")]
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": len(below()),
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
        "folders": len(folders),
        "ipc objects": sum(
            len(Path(f"/proc/sysvipc/{kind}").read_text().splitlines()) - 1 for kind in ("shm", "sem", "msg")
        ),
    }


def descriptors_of_workers(pool: sandbox.Pool) -> int:
    pids = [process.pid for worker in pool.workers() for process in worker.processes]
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def soak(pool: sandbox.Pool, count: int) -> tuple[float, int]:
    """Run them; megabytes grown since the first tenth, and how many verdicts were wrong."""

    def endless() -> Iterator[Program]:
        while True:
            yield from KINDS

    begun = time.perf_counter()
    wrong, first = 0, 0.0
    tenth = max(1, count // 10)
    results = pool.map(endless())
    for number in range(count):
        result = next(results)
        status = "fault" if isinstance(result, SandboxFault) else result.status
        wrong += status != EXPECTED[number % len(EXPECTED)]
        if (number + 1) % tenth == 0:
            memory = private_mb()
            first = first or memory
            rate = (number + 1) / (time.perf_counter() - begun)
            print(
                f"  {number + 1:8,} programs  {memory:7.1f} MB private  {len(below()):3} processes  "
                f"{descriptors_of_workers(pool):3} descriptors of workers  {rate:5.0f}/s",
                flush=True,
            )
    grown = private_mb() - first
    results.close()  # type: ignore[attr-defined]
    return grown, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--isolation", default="auto", choices=["auto", "namespaces", "landlock"])
    parser.add_argument("--process", default="fork", choices=["fork", "restore"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)  # as /tmp is; other runs on this machine have their folders there
        tempfile.tempdir = folder
        run(arguments.programs, sandbox.Settings(isolation=arguments.isolation, process=arguments.process))


def run(programs: int, settings: sandbox.Settings) -> None:
    before = left()
    with sandbox.start(settings) as pool:
        print(f"{pool.isolation}, {pool.size} workers")
        grown, wrong = soak(pool, programs)
    after = left()
    print(f"memory {grown:+.1f} MB since the first tenth; {wrong} wrong verdicts")
    print("after closing: " + ", ".join(f"{what} {before[what]} -> {after[what]}" for what in before))
    bad = wrong or grown > GROWTH_MB or any(after[what] > before[what] for what in before)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
