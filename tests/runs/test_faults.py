"""What dies under a run costs time and no verdict: judges killed for want of memory, servers that restart.

Kills of the run itself are tests/runs/test_resume.py's and tests/training/test_resume.py's, of a sandbox's processes at
any moment tests/sandbox/python/test_killed.py's, of workers and nodes those in tests/runs/workers, a full disk
tests/runs/store/test_run_folder.py's.
"""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox import batch, launch
from tests.support.command import Ended, harness, mini_humaneval, rows, write_rows
from tests.support.faulty_server import World, serving

FILES = ("generations.jsonl", "judgements.jsonl", "summary.json")
COUNT = 12


@pytest.fixture
def asked(tmp_path: Path) -> list[object]:
    """A command that judges twelve right programs on one worker."""
    said = [
        {"task_id": row["task_id"], "completion": row["canonical_solution"]}
        for row in mini_humaneval()[:COUNT]
    ]
    path = write_rows(tmp_path / "c.jsonl", said)
    return [
        "score",
        "humaneval",
        "--data",
        "mini",
        "--set",
        f"limit={COUNT}",
        "--completions",
        path,
        "--workers",
        1,
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


class Reaper:
    """Kills one process of a worker each time it is given a program with `mark` in it, as the kernel would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, mark: bytes, times: int, which: int) -> None:
        self.left, self.killed = times, 0
        give = batch.Batch._dispatch

        def given(self_: batch.Batch, worker: launch.SandboxWorker, number: int) -> None:
            if self.left and mark in self_.jobs[number].payload:
                self.left -= 1
                self.killed += 1
                worker.processes[which].send_signal(signal.SIGKILL)
                worker.processes[which].wait()
            give(self_, worker, number)

        monkeypatch.setattr(batch.Batch, "_dispatch", given)
        monkeypatch.setattr(batch, "_DEPTH", 1)  # what is given is what runs


@pytest.mark.parametrize("which", [0, 1])
def test_a_judge_killed_for_want_of_memory_changes_no_byte(
    which: int, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert harness(*asked, "--out", tmp_path / "undisturbed").code == 0
    name = mini_humaneval()[4]["entry_point"].encode()
    reaper = Reaper(monkeypatch, name, 1, which)
    ended = harness(*asked, "--out", tmp_path / "disturbed")
    assert reaper.killed == 1
    assert (ended.code, ended.err) == (0, "")
    assert contents(tmp_path / "disturbed") == contents(tmp_path / "undisturbed")


def test_a_program_that_has_its_judge_killed_each_time_is_judged_by_that(
    asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = mini_humaneval()[4]
    with monkeypatch.context() as patch:
        reaper = Reaper(patch, victim["entry_point"].encode(), 1000, 0)
        ended = harness(*asked, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err  # a fault would take the problem out of the metric
    assert reaper.killed == 2  # a budget, not for ever
    judged = {row["problem_id"]: row for row in rows(tmp_path / "run" / "judgements.jsonl")}
    mine = judged[victim["task_id"]]
    assert (mine["status"], mine["score"]["value"]) == ("error", 0.0)
    assert "judge resources" in mine["error"]
    assert {row["status"] for name, row in judged.items() if name != victim["task_id"]} <= {
        "passed",
        "failed",
    }


def test_a_machine_on_which_no_worker_starts_any_more_ends_the_run_and_the_same_command_goes_on(
    asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, started = launch.spawn, [0]

    def starved(*given: Any, **named: Any) -> Any:
        """From the third process on, each is killed as soon as it is there."""
        process = spawn(*given, **named)
        started[0] += 1
        if started[0] > 2:
            process.kill()
        return process

    with monkeypatch.context() as patch:
        patch.setattr(launch, "spawn", starved)
        Reaper(patch, mini_humaneval()[4]["entry_point"].encode(), 1, 0)
        ended = harness(*asked, "--out", tmp_path / "run")
    assert ended.code == 3
    assert ended.err.count("\n") == 1
    assert "ended while it was started: its tester was killed (SIGKILL)" in ended.err
    assert "rerun the same command to resume" in ended.err
    assert started[0] < 20
    assert not (tmp_path / "run" / "summary.json").exists()
    assert len(rows(tmp_path / "run" / "judgements.jsonl")) < COUNT
    assert harness(*asked, "--out", tmp_path / "run").code == 0
    assert harness(*asked, "--out", tmp_path / "undisturbed").code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")


# ---------------------------------------------------------------- servers


def generated(url: str, folder: Path) -> Ended:
    server = f'kind = "openai"\nmodel = "m"\n[backend.server]\nurl = "{url}"\nconcurrency = 2\nretries = 8\n'
    path = folder.with_suffix(".toml")
    path.write_text(f'task = "conala"\ndata = "mini"\nlimit = 20\n[backend]\n{server}')
    return harness("run", path, "--out", folder)


def test_a_server_that_restarts_in_the_middle_costs_no_completion(tmp_path: Path) -> None:
    """It is gone for a second, connections refused, and comes back at the same address."""
    said = World(delay=0.02, answer=lambda body, index: "x = 1")
    with serving(said):
        assert generated(said.url, tmp_path / "undisturbed").code == 0
    first = World(lambda number, body: "dropped" if number >= 6 else "", delay=0.02)
    first.answer = said.answer
    done = threading.Event()

    def lives() -> Iterator[str]:
        with serving(first):
            yield first.url
            while len(first.bodies) < 6:
                time.sleep(0.005)
        time.sleep(1.0)
        with serving(second, int(first.url.rsplit(":", 1)[1].split("/")[0])):
            done.wait(60)

    second = World(answer=lambda body, index: "x = 1")
    life = lives()
    url = next(life)
    restarting = threading.Thread(target=lambda: next(life, None))
    restarting.start()
    try:
        ended = generated(url, tmp_path / "disturbed")
    finally:
        done.set()
        restarting.join()
    assert ended.code == 0, ended.err
    assert len(first.bodies) >= 6
    assert second.bodies
    both = [(tmp_path / name / "generations.jsonl").read_bytes() for name in ("disturbed", "undisturbed")]
    assert both[0] == both[1]
    assert both[0].count(b"\n") == 20
