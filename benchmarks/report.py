"""How fast the HTML report of a large run opens and filters in Chromium, and how large its file is.

    python -m benchmarks.report [--problems 20000] [--samples 10]

The run is written to disk as the runner would have, with invented answers of a few lines; the page is made by the
same code as `harness report`. Needs a Chromium on the PATH, or playwright's own.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.load import parse
from harness.results.report import page, sections
from harness.runs import run
from harness.runs.store import reader

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WORDS = (
    "total",
    "value",
    "items",
    "result",
    "count",
    "text",
    "index",
    "lines",
    "left",
    "right",
    "name",
    "key",
)
TASK = '''"""Many small problems, for a benchmark."""
from harness import scorers
from harness.schema import Card, Problem, Reference, Sampling, Task, Template
def task(problems: int = 2):
    def load(split, source):
        for i in range(problems):
            yield Problem(id=f"many/{i}", question=f"number {i}", solution="x", check=Reference(texts=("x",)))
    return Task(name="many", version=1, load=load, extract=lambda problem, completion: completion.text,
                templates=(Template(name="plain", style="plain"),), scorers=(scorers.exact,),
                sampling=Sampling(max_tokens=8),
                card=Card(title="", paper="", licence="", url="", sizes={"test": problems}, setting=""))
'''


def write_run(folder: Path, problems: int, samples: int) -> Path:
    """A run folder of so many problems and samples."""
    chance = random.Random(0)
    (folder / "many.py").write_text(TASK)
    (folder / "answers.jsonl").write_text(
        "".join(json.dumps({"task_id": f"many/{i}", "text": "x"}) + "\n" for i in range(2))
    )
    backend = {"kind": "replay", "path": str(folder / "answers.jsonl")}
    out, _ = run.run(parse({"task": str(folder / "many.py"), "backend": backend}), folder / "run")
    summary = json.loads((out / "summary.json").read_text())
    summary |= {"problems": problems, "samples": problems * samples}
    (out / "summary.json").write_text(json.dumps(summary))
    with (
        (out / "generations.jsonl").open("w") as generations,
        (out / "judgements.jsonl").open("w") as judgements,
        (out / "problems.jsonl").open("w") as asked,
    ):
        for i in range(problems):
            row: dict[str, Any] = {"problem_id": f"many/{i}", "group": ("easy", "hard")[i % 2]}
            prompt = {"text": "\n".join(invent(chance) for _ in range(4)), "messages": []}
            asked.write(
                json.dumps({**row, "question": "", "references": [invent(chance)], "prompt": prompt}) + "\n"
            )
            for j in range(samples):
                answer, right = invent(chance), chance.random() < 0.4
                completion = {"text": answer, "finish": "stop"}
                key = {"problem_id": f"many/{i}", "index": j}
                generations.write(
                    json.dumps({**key, "prompt_sha": "0" * 16, "completion": completion}) + "\n"
                )
                score = {"value": float(right), "stats": [float(right)] * 2, "note": ""}
                verdict = {
                    "scorer": "exact",
                    "answer": answer,
                    "status": "scored",
                    "score": score,
                    "error": "",
                }
                judgements.write(json.dumps({**key, **verdict}) + "\n")
    return out


def invent(chance: random.Random) -> str:
    """Four lines that look like code: about 150 characters."""
    lines = [f"def {chance.choice(WORDS)}_{chance.randrange(1000)}({chance.choice(WORDS)}):"]
    lines += [
        f"    {chance.choice(WORDS)} = {chance.choice(WORDS)}[{chance.randrange(100)}]" for _ in range(2)
    ]
    return "\n".join([*lines, f"    return {chance.choice(WORDS)} + {chance.randrange(10_000)}"])


def measure(path: Path, repeats: int = 5) -> dict[str, list[float]]:
    """Milliseconds: from the start of loading until the samples can be used, and of each kind of filter."""
    times: dict[str, list[float]] = {}
    with open_browser() as browser:
        for _ in range(repeats):
            shown = browser.new_page(viewport={"width": 1280, "height": 900})
            inside = shown.context.new_cdp_session(shown)
            inside.send("Performance.enable", {"timeDomain": "threadTicks"})
            shown.goto(path.as_uri())
            shown.wait_for_selector("body[data-ready]", timeout=120_000)
            times.setdefault("opens", []).append(float(shown.evaluate("document.body.dataset.ready")))
            metrics = {m["name"]: m["value"] for m in inside.send("Performance.getMetrics")["metrics"]}
            times.setdefault("opens, its thread's CPU", []).append(1000 * metrics["TaskDuration"])
            steps = {
                "filters by ending": lambda p: p.select_option("[name=kind]", index=1),
                "filters by group": lambda p: p.select_option("[name=group]", index=1),
                "first search of all text": lambda p: p.fill("[name=query]", "total_99"),
                "next search of all text": lambda p: p.fill("[name=query]", "count_12"),
            }
            for name, step in steps.items():
                shown.evaluate("delete document.body.dataset.filtered")
                step(shown)
                shown.wait_for_selector("body[data-filtered]", timeout=120_000)
                times.setdefault(name, []).append(float(shown.evaluate("document.body.dataset.filtered")))
            shown.close()
    return times


@contextmanager
def open_browser() -> "Iterator[Browser]":
    """The machine's Chromium, or playwright's own."""
    from playwright.sync_api import sync_playwright

    found = next((p for name in ("chromium", "google-chrome") if (p := shutil.which(name))), None)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--problems", type=int, default=20_000)
    arguments.add_argument("--samples", type=int, default=10)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = write_run(folder, given.problems, given.samples)
        began = time.process_time()
        html = page.render(sections.make_sections([reader.read(out)]))
        print(f"{given.problems} problems x {given.samples} samples")
        print(f"made in {time.process_time() - began:.1f} s of CPU, {len(html) / 1e6:.1f} MB")
        (folder / "page.html").write_text(html)
        for what, taken in measure(folder / "page.html").items():
            print(f"{what:26} median {statistics.median(taken):6.0f} ms, best {min(taken):6.0f} ms")


if __name__ == "__main__":
    main()
