"""How long `harness view` takes to show a run of many samples and a folder of many runs, and what memory it holds.

    python -m benchmarks.view --samples 1000000
    python -m benchmarks.view --samples 1000000 --browser      in Chromium, from the command's own server
    python -m benchmarks.view --runs 2000

CPU seconds of this process, which does what the server does; with --browser seconds by the clock until the page shows
what was asked for, and the server's memory. The rows are made up, some 350 bytes each in both files; the runs are links
to one.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.report import open_browser
from harness.config.load import parse
from harness.runs import run as runner
from harness.view import pairs, samples
from harness.view.index import IndexedRun, RunIndex
from harness.view.watcher import Watcher

SAMPLES_A_PROBLEM = 200
ANSWER = "def f(x):\n    return x * x\n"


def resident_mb(pid: int | str = "self") -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(what: str, act: Callable[[], Any]) -> Any:
    began = process_time()
    found = act()
    print(f"| {what} | {process_time() - began:.3f} | {resident_mb():.0f} |", flush=True)
    return found


def small_run(folder: Path) -> Path:
    """A finished run of the project's own rows."""
    said = [{"task_id": f"conala/test/{i}", "text": "x"} for i in range(2)]
    recording = folder / "said.jsonl"
    recording.write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")
    backend = {"kind": "replay", "path": str(recording)}
    runner.run(parse({"task": "conala", "data": "mini", "limit": 2, "backend": backend}), folder / "run")
    return folder / "run"


def write_large(like: Path, folder: Path, n: int) -> None:
    """The run with n samples in place of its own."""
    folder.mkdir()
    for name in ("run.json", "summary.json", "problems.jsonl"):
        os.link(like / name, folder / name)
    for name, field in (("generations", "completion"), ("judgements", "")):
        with (like / f"{name}.jsonl").open(encoding="utf-8") as file:
            row = json.loads(file.readline())
        row |= {"answer": ANSWER} if not field else {field: {**row[field], "text": ANSWER}}
        row |= {"problem_id": "PROBLEM", "index": "INDEX"}
        line = json.dumps(row).replace("%", "%%").replace("PROBLEM", "p/%d").replace('"INDEX"', "%d") + "\n"
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(line % divmod(i, SAMPLES_A_PROBLEM) for i in range(n))


def read_samples(folder: Path, n: int) -> None:
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{n:,} samples, {megabytes:,.0f} MB of files\n\n| | CPU s | resident MB |\n|---|--:|--:|")
    index = RunIndex()
    run = timed("opened, with its first page", lambda: index.open("run", folder, 0.0))
    both = pairs.Pairs(index)
    first = samples.page(index, run, "", 0, newest=False)
    timed("wholly in the index", lambda: index.open("run", folder, 3600.0))
    for what, act in (
        ("a page at nine tenths", lambda: samples.page(index, run, "", 9 * n // 10, newest=False)),
        ("a page of those that ended alike", lambda: samples.page(index, run, "wrong", n // 2, newest=False)),
        ("the newest page", lambda: samples.page(index, run, "", 0, newest=True)),
        ("a sample in full", lambda: samples.whole(index, run, first["rows"][0]["at"])),
        ("a search through all", lambda: search(index, run)),
        ("all its pairs with itself", lambda: pair(both, run)),
        ("a page of pairs at nine tenths", lambda: both.page(run, run, "neither", 9 * n // 10)),
        ("written anew, and wholly in the index again", lambda: again(index, folder)),
    ):
        timed(what, act)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"\nAt most {peak:.0f} MB were resident at any time.")


def browse(folder: Path, n: int) -> None:
    """The run in Chromium. A page is there when its count and its rows are."""
    command = [sys.executable, "-m", "harness", "view", str(folder.parent), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, open_browser() as browser:
        assert server.stdout is not None
        found = re.search(r"http://\S+/", server.stdout.readline())
        assert found is not None
        address = found[0]
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        print(f"{n:,} samples in Chromium\n\n| | s | resident MB of the server |\n|---|--:|--:|")

        def until(what: str, act: Callable[[], Any], selector: str) -> None:
            began = perf_counter()
            act()
            shown.wait_for_selector(selector, timeout=300_000)
            print(f"| {what} | {perf_counter() - began:.2f} | {resident_mb(server.pid):.0f} |", flush=True)

        until("the list of runs", lambda: shown.goto(address), f"tr[data-run='{folder.name}']")
        page = f"{address}run?run={folder.name}"
        until("the run, with its first samples", lambda: shown.goto(page), "#list .row >> nth=99")
        until("all samples counted", lambda: None, f"#count:has-text('of {n:,}')")
        until("the next page", lambda: shown.click("#next"), "#count:has-text('101 to 200')")
        until("a sample in full", lambda: shown.locator("#list .row").first.click(), "#detail h3")
        wrong = lambda: shown.select_option("[name=ended]", "wrong")  # noqa: E731
        until("those that ended wrong", wrong, "#count:has-text('1 to 100')")
        until(
            "a search without a hit",
            lambda: shown.fill("[name=query]", "no such"),
            "#count:has-text('0 with')",
        )
        server.send_signal(signal.SIGINT)


def search(index: RunIndex, run: IndexedRun) -> None:
    after: int | None = -1
    while after is not None:
        after = samples.search(index, run, "no such text", "", after)["next"]


def pair(both: pairs.Pairs, run: IndexedRun) -> None:
    while both.page(run, run, "neither", 0)["share"] < 1.0:
        pass


def again(index: RunIndex, folder: Path) -> None:
    """As at a stage's end, when the rows are put in order."""
    for name in ("generations", "judgements"):
        shutil.copy(folder / f"{name}.jsonl", folder / "copy")
        (folder / "copy").replace(folder / f"{name}.jsonl")
    index.open("run", folder, 3600.0)


def look_at_runs(like: Path, folder: Path, n: int) -> None:
    for i in range(n):
        run = folder / f"study-{i // 100}" / f"run-{i}"
        run.mkdir(parents=True)
        for path in like.iterdir():
            os.link(path, run / path.name)
    watcher = Watcher(folder)
    print(f"{n:,} runs\n\n| | CPU s | resident MB |\n|---|--:|--:|")
    timed("the first look", watcher.look)
    watcher._looked = 0.0
    timed("a look", watcher.look)
    watcher._looked = watcher._searched = 0.0
    timed("a look that searches for new runs", watcher.look)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--samples", type=int, default=0)
    given.add_argument("--runs", type=int, default=0)
    given.add_argument("--browser", action="store_true")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        like = small_run(Path(name))
        if asked.samples:
            write_large(like, Path(name) / "large", asked.samples)
            (browse if asked.browser else read_samples)(Path(name) / "large", asked.samples)
        if asked.runs:
            look_at_runs(like, Path(name) / "many", asked.runs)


if __name__ == "__main__":
    main()
