"""How long a leaderboard of many submissions takes to build, and its page to open, sort and filter in Chromium.

    python -m benchmarks.leaderboard [--models 2000] [--problems 40]

The submissions are copies of one finished run with verdicts drawn from a model's skill and a problem's difficulty; the
site is made by `harness leaderboard` in a process of its own. Needs a Chromium on the PATH, or playwright's own.
"""

import argparse
import hashlib
import json
import math
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import TASK, open_browser
from harness.config.load import parse
from harness.runs import run

FIRST_MODEL = "document.querySelector('tbody tr:not([hidden]) th')?.textContent"
SORT = "table th button"


def write_submissions(folder: Path, models: int, problems: int) -> None:
    """A folder a submission: a model.toml and one run whose verdicts are drawn."""
    chance = random.Random(0)
    source = _one_run(folder.parent, problems)
    rows = [json.loads(line) for line in (source / "judgements.jsonl").read_text().splitlines()]
    summary, record = (json.loads((source / name).read_text()) for name in ("summary.json", "run.json"))
    difficulty = [chance.gauss(0, 2) for _ in rows]
    for number in range(models):
        made = folder / f"model-{number:05}"
        out = made / "runs" / "many"
        out.mkdir(parents=True)
        for name in ("generations.jsonl", "problems.jsonl"):
            shutil.copy(source / name, out / name)
        skill = chance.gauss(0, 1.2)
        right = [chance.random() < 1 / (1 + math.exp(hard - skill)) for hard in difficulty]
        lines = (
            {**row, "score": {**row["score"], "value": float(verdict), "stats": [float(verdict)] * 2}}
            for row, verdict in zip(rows, right, strict=True)
        )
        (out / "judgements.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        share = {"value": sum(right) / len(right)}
        metrics = {name: {**metric, **share} for name, metric in summary["metrics"].items()}
        (out / "summary.json").write_text(json.dumps({**summary, "metrics": metrics}))
        record["run_id"] = f"many-{number:08x}"
        record["backend"]["completions"] = hashlib.sha256(str(number).encode()).hexdigest()
        (out / "run.json").write_text(json.dumps(record))
        (made / "model.toml").write_text(
            f'name = "Model {number}"\nsize = {chance.choice([1.5, 3, 7, 13, 34, 70])}\ngroup = "base"\n'
            f'licence = "MIT"\ndate = 2026-{1 + number % 12:02}-15\n'
        )


def _one_run(folder: Path, problems: int) -> Path:
    (folder / "many.py").write_text(TASK.replace("problems: int = 2", f"problems: int = {problems}"))
    rows = [{"task_id": f"many/{i}", "text": "x"} for i in range(problems)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    backend = {"kind": "replay", "path": str(folder / "answers.jsonl")}
    return run.run(parse({"task": str(folder / "many.py"), "backend": backend}), folder / "source")[0]


def build(submissions: Path, site: Path) -> str:
    """Makes the site; what it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "harness", "leaderboard", str(submissions), "--out", str(site)]
    subprocess.run([*command, "--no-samples"], check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    return (
        f"built in {time.monotonic() - began:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU,"
        f" peak {used.ru_maxrss / 1024:.0f} MB; {size / 1e6:.1f} MB, index.html"
        f" {(site / 'index.html').stat().st_size / 1e6:.1f} MB"
    )


def measure(page: Path, repeats: int = 5) -> dict[str, list[float]]:
    """Milliseconds until the page has loaded, and until it shows what a click or a word asks for."""
    times: dict[str, list[float]] = {}
    with open_browser() as browser:
        for _ in range(repeats):
            shown = browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            shown.goto(page.as_uri(), wait_until="load")
            _painted(shown)
            times.setdefault("opens", []).append(1000 * (time.perf_counter() - began))
            steps = {
                "sorts": lambda p: p.locator(SORT).last.click(),
                "sorts the other way": lambda p: p.locator(SORT).last.click(),
                "filters by a word": lambda p: p.locator("input[type=search]").first.fill("model 77"),
            }
            for name, step in steps.items():
                before = shown.evaluate(FIRST_MODEL)
                began = time.perf_counter()
                step(shown)
                _painted(shown)
                times.setdefault(name, []).append(1000 * (time.perf_counter() - began))
                if shown.evaluate(FIRST_MODEL) == before:
                    raise SystemExit(f"{name}: the first row is {before!r} as before")
            shown.close()
    return times


def _painted(shown: Any) -> None:
    shown.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--models", type=int, default=2000)
    arguments.add_argument("--problems", type=int, default=40)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_submissions(folder / "submissions", given.models, given.problems)
        print(f"{given.models} submissions of {given.problems} problems")
        print(build(folder / "submissions", folder / "site"), flush=True)
        for what, taken in measure(folder / "site" / "index.html").items():
            print(f"{what:20} median {statistics.median(taken):6.0f} ms, best {min(taken):6.0f} ms")


if __name__ == "__main__":
    main()
