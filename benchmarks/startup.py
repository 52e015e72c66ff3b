"""How long `import harness` and short commands take, beside a bare interpreter: python benchmarks/startup.py [RUNS]

Prints medians of whole processes with all their children: wall clock and CPU. `harness score` judges one answer, which
is nearly all start-up. Last, how much of the harness a run needs: the modules of which a function is called, and their
lines.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.files import packaged


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Of wall clock and of CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_answer(folder: Path) -> str:
    """A file with the right answer to the first of HumanEval's mini rows."""
    with open(packaged("tasks/mini/humaneval/HumanEval.jsonl"), encoding="utf-8") as file:
        row = json.loads(file.readline())
    path = folder / "one.jsonl"
    path.write_text(json.dumps({"task_id": row["task_id"], "completion": row["canonical_solution"]}) + "\n")
    return str(path)


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
    folder = Path(tempfile.mkdtemp())
    harness = [sys.executable, "-c", "from harness.cli import main; main()"]
    scored = ["--data", "mini", "--partial", "--no-cache", "--completions", one_answer(folder)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import harness": [sys.executable, "-c", "import harness"],
        "harness --help": [*harness, "--help"],
        "harness tasks": [*harness, "tasks"],
        "harness score": [*harness, "score", "humaneval", *scored],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            out = ["--out", str(folder / str(number))] if name == "harness score" else []
            times[name].append(seconds([*command, *out]))
    for name, taken in times.items():
        walls, cpus = zip(*taken[1:], strict=True)  # the first round warms the disk cache
        wall, cpu = statistics.median(walls), statistics.median(cpus)
        print(f"{name:16} median {wall:.3f} s, {min(walls):.3f} to {max(walls):.3f}; CPU {cpu:.3f} s")
    done = subprocess.run([sys.executable, "-c", CALLED], check=True, capture_output=True, text=True)
    print("harness run      calls into", done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
