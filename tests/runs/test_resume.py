"""kill -9 at any instant costs nothing but time: the same command goes on and ends with the same bytes.

Real SIGKILLs hit real runs: recorded completions through the sandbox, and a tiny model that generates for
two text scorers. A third are sent from outside after a random time, a third come at a random fsync or
rename, where a folder is between two states, a third at a random step of progress; after some of them the
end of a file is lost too, as when the power fails.
What they hit is counted, so that a test that always kills too late fails.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support.command import mini_humaneval, write_rows
from tests.support.paths import ROOT
from tests.support.tiny_models import build

KILLS = 50
FILES = ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json", "problems.jsonl")


@dataclass
class Warm:
    """The warm process; `run` gives the exit status, `stage` how far the command was when it ended."""

    process: "subprocess.Popen[str]"
    folder: Path

    def run(self, argv: list[str], **how: Any) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"argv": argv, "stage": str(self.folder / "stage"), "flush_rows": 64, **how}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline())["status"])

    @property
    def stage(self) -> str:
        return (self.folder / "stage").read_text().strip()


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.kill_at"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield Warm(process, tmp_path)
        process.stdin.close()
        assert process.wait(10) == 0


@dataclass
class Job:
    """A command without its --out; how long it takes undisturbed, and what it leaves."""

    argv: list[str]
    seconds: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)

    def command(self, out: Path) -> list[str]:
        return [*self.argv, "--out", str(out)]


def files(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def scoring(folder: Path) -> Job:
    """Twelve problems, three samples each: right, wrong, and one that does not parse."""
    rows = [
        {"task_id": row["task_id"], "completion": text}
        for row in mini_humaneval()[:12]
        for text in (row["canonical_solution"], "    return None\n", "    return (\n")
    ]
    path = write_rows(folder / "completions.jsonl", rows)
    argv = f"score humaneval --data mini --partial --workers 1 --completions {path}".split()
    return Job(argv)


def generating(folder: Path) -> Job:
    """A tiny model draws three samples each for five questions."""
    model = build("llama", folder / "model")
    argv = f"run --task conala --data mini --model {model} --limit 5 --samples 3".split()
    for item in ("sampling.temperature=0.8", "sampling.max_tokens=12", "backend.batch_size=4"):
        argv += ["--set", item]
    return Job(argv)


def tear(path: Path, chance: random.Random) -> bool:
    """Take a piece off the file's last line, as a power cut does to what had not reached the disk."""
    blob = path.read_bytes() if path.exists() else b""
    last = len(blob) - (blob.rstrip(b"\n").rfind(b"\n") + 1)
    if last < 2 or chance.random() < 0.7:
        return False
    os.truncate(path, len(blob) - chance.randint(1, last))
    return True


def test_fifty_kills_at_random_instants_leave_the_bytes_of_an_undisturbed_run(
    warm: Warm, tmp_path: Path
) -> None:
    jobs = [scoring(tmp_path), generating(tmp_path)]
    for number, job in enumerate(jobs):
        out = tmp_path / f"undisturbed{number}"
        began = monotonic()
        assert warm.run(job.command(out)) == 0
        job.seconds = monotonic() - began
        assert warm.stage == "done"
        job.files = files(out)
    chance = random.Random(20240611)
    hit: Counter[str] = Counter()
    torn = runs = 0
    while sum(hit.values()) < KILLS or runs % len(jobs):
        job = jobs[runs % len(jobs)]
        out = tmp_path / f"run{runs}"
        runs += 1
        for _ in range(chance.randint(3, 10)):
            how = chance.choice(
                [
                    {"after_s": chance.uniform(0, job.seconds)},
                    {"at_sync": chance.randint(1, 30)},
                    {"at_step": chance.randint(1, 60)},
                ]
            )
            how["flush_rows"] = chance.choice([2, 8])
            status = warm.run(job.command(out), **how)
            if status == 0:
                break
            assert status == -9, f"{status} at {warm.stage}"
            hit[f"{job.argv[0]}: {warm.stage}"] += 1
            torn += sum(tear(out / name, chance) for name in ("generations.jsonl", "judgements.jsonl"))
        else:
            assert warm.run(job.command(out), log=str(tmp_path / "log")) == 0, (tmp_path / "log").read_text()
        assert files(out) == job.files, f"run {runs}, after {dict(hit)}"
        left = {path.name for path in out.iterdir()} - {*FILES, "timings.jsonl", ".lock"}
        assert {name for name in left if not name.endswith(".tmp")} == set()
    assert torn >= 3
    assert sum(hit.values()) >= KILLS
    assert {"score: start", "score: judge", "run: start", "run: generate", "run: judge"} <= set(hit), hit
    assert sum(count for stage, count in hit.items() if stage.endswith(("end", "finish", "done"))) >= 3, hit
