"""How long `import harness` and `harness --help` take, beside a bare interpreter: python benchmarks/startup.py [RUNS]

Prints medians of whole processes, wall clock. The aim is below 0.3 s. Last, how much of the harness a run needs: the
modules of which a function is called, and their lines.
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


CALLED = """
import sys, tempfile
from harness.cli import cli
from harness.files import packaged
model, out = str(packaged("tasks/demo/model")), tempfile.mkdtemp()
task = ["--task", "humaneval", "--data", "mini", "--limit", "1", "--no-cache", "--set", "sampling.max_tokens=4"]
called = set()
def note(frame, event, argument):
    if event == "call" and frame.f_code.co_name != "<module>":
        called.add(frame.f_code.co_filename)
sys.setprofile(note)
cli(["run", *task, "--model", model, "--out", out], standalone_mode=False)
sys.setprofile(None)
files = {m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "harness" and m.__file__} & called
print(len(files), "modules,", sum(open(f).read().count("\\n") for f in files), "lines")
"""


def main(runs: int) -> None:
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import harness": [sys.executable, "-c", "import harness"],
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
    done = subprocess.run([sys.executable, "-c", CALLED], check=True, capture_output=True, text=True)
    print("harness run      calls into", done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
