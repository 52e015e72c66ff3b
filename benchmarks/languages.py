"""Verdicts a second of each language: HumanEval-X references in the sandbox, beside the same commands without one.

    python benchmarks/languages.py [--data DIR] [--repeat N] [LANGUAGE...]

Without --data the project's own four rows a language are judged. The peer compiles and runs each program once with the
same commands in a plain subprocess, as upstream's script does; the sandbox runs whoever passes a second time (the
control). CPU seconds are those of all child processes. A language without its tools is left out and named.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import sandbox
from harness.sandbox.languages import table, toolchains
from harness.schema import Completion, InlineTests, Program
from harness.tasks.loading import data_files, registry

LANGUAGES = ("java", "cpp", "javascript", "go", "rust")


def programs(language: str, data: str) -> list[Program]:
    task = registry.task("humaneval_x", {"language": language})
    found = []
    for problem in data_files.load(task, "test", data_files.open_source(data)):
        check = problem.check
        assert isinstance(check, InlineTests)
        code = task.extract(problem, Completion(text=problem.solution, form="continuation"))
        found.append(
            Program(
                code=f"{check.before}{code}{check.after}",
                language=check.language,
                flags=check.flags,
                sentinel=check.sentinel,
                files=check.files,
                limits=check.limits,
            )
        )
    return found


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_the_sandbox(found: list[Program]) -> tuple[int, float]:
    """How many passed, and verdicts a second; the first program, with start and seed, is not timed."""
    with sandbox.start(sandbox.Settings(workers=2)) as box:
        list(box.map(found[:1]))
        begun = time.monotonic()
        results = list(box.map(found[1:]))
        wall = time.monotonic() - begun
    return sum(getattr(result, "status", "") == "passed" for result in results), len(results) / wall


def plain(found: list[Program]) -> float:
    """Verdicts a second of two subprocess chains at a time, for languages that need no seed."""
    row, tools = table.LANGUAGES[found[0].language], toolchains.toolchain(found[0].language).tools
    begun = time.monotonic()
    for program in found:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**program.files, row.source: program.code}.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            steps = (*(row.tests or row.compile), row.test_run or row.run)
            for step in steps:
                words = [w.replace("{source}", row.source).replace("{memory}", "1024") for w in step]
                filled = [w for word in words for w in (program.flags if word == "{flags}" else (word,))]
                filled[0] = tools.get(filled[0], filled[0])
                subprocess.run(filled, cwd=folder, capture_output=True, check=True)
    return len(found) / (time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="mini")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("language", nargs="*", default=list(LANGUAGES))
    asked = parser.parse_args()
    print(
        "| language | passed | sandbox, verdicts/s | plain subprocess, one at a time | CPU ms each, sandbox |"
    )
    print("|---|--:|--:|--:|--:|")
    for language in asked.language:
        if toolchains.toolchain(language).missing:
            print(toolchains.toolchain(language).hint, file=sys.stderr)
            continue
        base = programs(language, asked.data)
        # Equal programs of one batch are run once: a comment makes each its own.
        found = [
            each.model_copy(update={"code": f"{each.code}\n// {turn}\n"})
            for turn in range(asked.repeat)
            for each in base
        ]
        before = cpu()
        passed, rate = in_the_sandbox(found)
        spent = cpu() - before
        # Without a seed at hand, Go's and Rust's shims are missing outside.
        beside = f"{plain(found[:4]):.2f}" if language not in ("go", "rust") else ""
        print(
            f"| {language} | {passed + 1} of {len(found)} | {rate:.2f} | {beside} | {spent / len(found) * 1000:.0f} |"
        )


if __name__ == "__main__":
    main()
