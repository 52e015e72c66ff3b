"""What each part of the judge's speed is worth: CPU ms a verdict with it and without, by turns, medians.

    HARNESS_DATA=DIR python benchmarks/judge_parts.py [--rounds 5] [--part NAME]     some 8 minutes on an idle machine

No setting turns most parts off. So a part is off in a copy of this package in a temporary folder, in which the lines
below are exchanged (one that is not found ends the benchmark); for what was deleted it is the commit before, out of
this clone's history. Each measurement is a process of its own, of which all processes count: with its start for
`score` and `many calls`, warm for the others.
"""

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STACK = ("numpy", "pandas", "scipy.stats", "sklearn", "matplotlib.pyplot")
TABLE = "import numpy, pandas\nrows = [[i] for i in range(3000)]\nassert pandas.DataFrame(rows)[0].sum() == 4498500\n"


class Part(NamedTuple):
    """`off`: file, what is in it, and what is there without the part; or the commit before it. `measure` is told
    whether the part is on, and returns CPU ms a verdict.
    """

    what: str
    measure: Callable[[bool], float]
    off: tuple[str, str, str] | str = ""


# ---------------------------------------------------------------- in a process of their own


def _warm(judge: Any, rounds: int = 2, **settings: Any) -> float:
    """Of `judge(pool, number)`, which returns how many verdicts it gave; its first time warms up."""
    import restore

    from harness import sandbox

    spent, verdicts = 0.0, 0
    with sandbox.start(sandbox.Settings(workers=1, **settings)) as pool:
        judge(pool, 0)
        for number in range(1, rounds + 1):
            before = restore.cpu_s(pool)
            verdicts += judge(pool, number)
            spent += restore.cpu_s(pool) - before
    return 1000 * spent / verdicts


def _solutions(pool: Any, number: int) -> int:
    import restore

    programs = restore.solutions(restore.rows()[::5], f"part {number}")
    assert all(map(restore.passed, pool.map(programs)))
    return len(programs)


def _equal(on: bool) -> float:
    import restore

    from harness.sandbox.verdict_cache import CachingSandbox

    def judge(pool: Any, number: int) -> int:
        programs = [each for each in restore.solutions(restore.rows()[::5], str(number)) for _ in range(5)]
        with CachingSandbox(pool, {}, None) as caching:
            assert all(map(restore.passed, (caching if on else pool).map(programs)))
        return len(programs)

    return _warm(judge, rounds=1)


def _preloaded(_: bool) -> float:
    from harness.schema import Program

    def judge(pool: Any, number: int) -> int:
        results = list(pool.map([Program(code=f"{TABLE}# {number} {each}") for each in range(40)]))
        assert all(each.status == "passed" for each in results), results[0]
        return len(results)

    return _warm(judge, packages=None, preload=STACK)


def _score(task: str, problems: int, answers: int) -> float:
    """The whole command, on a task's own solutions, each made distinct."""
    name = {"humaneval": "HumanEval.jsonl", "humaneval_plus": "HumanEvalPlus-v0.1.10.jsonl"}[task]
    data, lines = _lines(task, name)
    with tempfile.TemporaryDirectory() as folder:
        completions = Path(folder) / "completions.jsonl"
        kept = [
            {"task_id": row["task_id"], "completion": f"{row['canonical_solution']}\n# {number}\n"}
            for row in lines[:problems]
            for number in range(answers)
        ]
        completions.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        start = ["-c", "from harness.cli import main; main()", "score", task, "--data", data]
        options = ("--partial", "--no-cache", "--completions", str(completions), "--out", f"{folder}/out")
        done = subprocess.run([sys.executable, *start, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime) / len(kept)


def _lines(task: str, name: str) -> tuple[str, list[dict[str, Any]]]:
    import gzip

    given = os.environ.get("HARNESS_DATA", "")
    if not given or not (path := Path(given) / task / f"{name}.gz").exists():
        given, path = "mini", ROOT / "tasks/mini" / task / "HumanEval.jsonl"
        path = path if path.exists() else next(path.parent.glob("*.jsonl*"))
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return given, [json.loads(line) for line in file]


PARTS = {
    "filter": Part(
        "7: Landlock's filter is built once; off: in each child",
        lambda _: _warm(_solutions, isolation="landlock"),
        (
            "sandbox/isolation/confine.py",
            "    state.filter.install(os.getpid())",
            '    syscalls.Filter(seccomp.instructions(os.getpid(), state.isolation == "landlock")).install()',
        ),
    ),
    "equal": Part("8: equal programs are judged once; five of each", _equal),
    "many calls": Part(
        "9: many-call tests in frames (8 problems of HumanEval+, 5 answers each); off: a call each",
        lambda _: _score("humaneval_plus", 8, 5),
        ("sandbox/python/test_runner.py", 'if "differing" in namespace:', "if False:"),
    ),
    "huge pages": Part(
        "10: a zygote with numpy, pandas, scipy, sklearn, matplotlib on huge pages",
        _preloaded,
        ("sandbox/python/zygote.py", "            huge_pages.collapse()", "            pass"),
    ),
    "start-up": Part(
        "11: lean start (`harness score` of one answer); off: the commit before it",
        lambda _: _score("humaneval", 1, 1),
        "a763f3b~1",
    ),
    "restore": Part(
        "12: one process put back after each program (judge.process)",
        lambda on: _warm(_solutions, process="restore" if on else "fork"),
    ),
}


# ---------------------------------------------------------------- by turns


def _tree(part: Part, folder: Path) -> Path | None:
    """The package without the part; None where this clone has no such commit."""
    if isinstance(part.off, str):
        command = ["git", "-C", str(ROOT), "archive", part.off, "harness", "tasks"]
        done = subprocess.run(command, capture_output=True)
        if done.returncode:
            return None
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return folder
    shutil.copytree(
        ROOT / "harness", folder / "harness", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "tasks").symlink_to(ROOT / "tasks")
    name, with_it, without = part.off
    path = folder / "harness" / name
    text = path.read_text(encoding="utf-8")
    assert text.count(with_it) == 1, (name, with_it)
    path.write_text(text.replace(with_it, without), encoding="utf-8")
    return folder


def _measured(name: str, tree: Path, on: bool) -> float:
    command = [sys.executable, __file__, "--measure", name, *(() if on else ("--off",))]
    paths = os.pathsep.join((str(tree), str(Path(__file__).parent)))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    return float(done.stdout.splitlines()[-1])


def compare(name: str, rounds: int) -> None:
    part, found = PARTS[name], {True: list[float](), False: list[float]()}
    with tempfile.TemporaryDirectory() as folder:
        off = _tree(part, Path(folder)) if part.off else ROOT
        if off is None:
            print(f"{part.what}: skipped, no commit {part.off} in this clone", flush=True)
            return
        for tree in {off, ROOT}:  # without bytecode one of them would compile what the other has ready
            subprocess.run([sys.executable, "-m", "compileall", "-q", str(tree / "harness")], check=True)
        for _ in range(rounds):
            for on in (False, True):
                found[on].append(_measured(name, ROOT if on else off, on))
    without, with_it = median(found[False]), median(found[True])
    spread = " | ".join(f"{min(each):.2f} to {max(each):.2f}" for each in (found[False], found[True]))
    print(
        f"{part.what}\n  {without:.2f} -> {with_it:.2f} ms ({without / with_it:.2f} times; {spread})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--off", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(PARTS[arguments.measure].measure(not arguments.off))
        return
    for name in arguments.part or PARTS:
        compare(name, arguments.rounds)


if __name__ == "__main__":
    main()
