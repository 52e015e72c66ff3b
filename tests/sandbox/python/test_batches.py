"""Batches of programs: results in order, no verdict lost with a worker, nothing left when pool or parent ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import ExecResult, Program, UnitTests
from tests.support.parts.judged_programs import GOOD, SQUARE, judge
from tests.support.processes import below


def test_results_come_in_order_and_programs_are_drawn_lazily(pool: sandbox.Pool) -> None:
    drawn = 0

    def endless() -> Iterator[Program]:
        nonlocal drawn
        while True:
            sleep = "import time; time.sleep(0.05)\n" if drawn % 5 == 0 else ""
            yield Program(code=f"{sleep}print({drawn})")
            drawn += 1

    results = pool.map(endless())
    outputs = [next(results) for _ in range(30)]
    assert [int(r.stdout) for r in outputs if isinstance(r, ExecResult)] == list(range(30))
    assert drawn < 400
    results.close()  # type: ignore[attr-defined]
    assert judge(pool, GOOD).status == "passed"


def test_two_testers_that_end_with_one_program_are_its_verdict(pool: sandbox.Pool) -> None:
    """Whatever ends a tester with the values a program returns: never a fault, which no metric counts."""
    tests = UnitTests(code="import os\nif f(2) != 4:\n    os._exit(3)\n", entry_point="f")
    wrong, right = (Program(code=f"def f(x):\n    return {value}", tests=tests) for value in (5, 4))
    ended, neighbour, other = pool.map([wrong, right, right])
    assert not isinstance(ended, SandboxFault)
    assert not isinstance(neighbour, SandboxFault)
    assert not isinstance(other, SandboxFault)
    assert (ended.status, ended.detail.split(":")[0]) == ("error", "judge resources")
    assert (neighbour.status, other.status) == ("passed", "passed")


def test_a_killed_worker_costs_no_verdict() -> None:
    with sandbox.start(sandbox.Settings(workers=2)) as pool:
        results = pool.map([Program(code=GOOD, tests=SQUARE)] * 300)
        got = [next(results) for _ in range(10)]
        for worker in pool.workers():
            for process in worker.processes[:1]:
                process.kill()
        for worker in pool.workers()[:1]:
            worker.processes[1].kill()
        got += list(results)
    assert [r.status for r in got if isinstance(r, ExecResult)] == ["passed"] * 300


def test_closing_leaves_no_process_descriptor_or_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)  # as /tmp is: workers have identities of their own
        monkeypatch.setattr(tempfile, "tempdir", folder)
        check_closing(Path(folder))


def check_closing(folder: Path) -> None:
    before = (below(os.getpid()), len(os.listdir("/proc/self/fd")))
    for isolation in ("auto", "process"):
        with sandbox.start(sandbox.Settings(isolation=isolation, workers=2)) as pool:  # type: ignore[arg-type]
            list(pool.map([Program(code="open('left', 'w')\nprint(1)")] * 20))
    assert (below(os.getpid()), len(os.listdir("/proc/self/fd"))) == before
    assert os.listdir(folder) == []


PARENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a caller in the background has it ignored
from harness import sandbox
from harness.schema import Program
with sandbox.start(sandbox.Settings(workers=2)) as pool:
    results = pool.map(Program(code="import time\\nprint(1, flush=True)\\ntime.sleep(60)") for _ in range(9))
    pool.run if False else None
    print("up", flush=True)
    next(results)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_its_parent(number: signal.Signals) -> None:
    root = str(Path(sandbox.__file__).parents[2])
    before = set(below(os.getpid()))
    marked = {"PYTHONPATH": os.pathsep.join([root, *sys.path])}
    command = [sys.executable, "-c", PARENT]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | marked
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    workers: set[str] = set()
    deadline = time.monotonic() + 60
    while len(workers) < 6 and time.monotonic() < deadline:  # a busy machine takes its time to start them
        time.sleep(0.1)
        workers = {pid for pid in below(os.getpid()) if pid not in before and pid != parent.pid}
    assert len(workers) >= 6
    parent.send_signal(number)
    parent.wait(timeout=10)
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(_alive, workers)):
        time.sleep(0.02)
    assert [pid for pid in workers if _alive(pid)] == []


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_exception_is_reported_whichever_of_exit_and_last_frame_is_seen_first() -> None:
    # They came in one turn of the poll once in about 200 programs, and the words were left unread.
    failing = [Program(code="raise ValueError('x')")] * 600
    with sandbox.start(sandbox.Settings(workers=2)) as box:
        seen = {(r.status, r.detail) for r in box.map(failing) if isinstance(r, ExecResult)}
    assert seen == {("error", "ValueError: x")}
