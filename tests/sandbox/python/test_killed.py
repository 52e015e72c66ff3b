"""kill -9 at random moments, of testers, zygotes and the parent: no verdict lost, nothing stays running."""

import os
import random
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
from harness.sandbox import launch
from harness.sandbox.isolation import left_behind
from harness.sandbox.languages import worker_pool
from harness.schema import Program, UnitTests
from tests.support.processes import below

SQUARE = UnitTests(code="assert f(2) == 4", entry_point="f")
GOOD = Program(code="import time\ntime.sleep(0.002)\ndef f(x):\n    return x * x", tests=SQUARE)
LEVELS = ["namespaces", "landlock"]

PARENT = f"""
import itertools, sys
from harness import sandbox
from harness.schema import Program, UnitTests
tests = UnitTests(code={SQUARE.code!r}, entry_point="f")
programs = (Program(code={GOOD.code!r}, tests=tests) for _ in itertools.count())
with sandbox.start(sandbox.Settings(isolation=sys.argv[1], workers=2)) as pool:
    print("up", flush=True)
    for result in pool.map(programs):
        pass
"""


# The same with a program in another language.
OTHER_PARENT = """
import sys
from harness import sandbox
from harness.schema import Limits, Program
with sandbox.start(sandbox.Settings(isolation=sys.argv[1], workers=1)) as pool:
    pool.run(Program(code="exit 0", language="bash"))
    print("up", flush=True)
    pool.run(Program(code="sleep 60", language="bash", limits=Limits(wall_s=60)))
"""


def offered(isolation: str) -> str:
    """The level, or a skip with the kernel's reason."""
    try:
        launch.stop_worker(launch.start_worker(isolation))  # type: ignore[arg-type]
    except launch.IsolationUnavailable as fault:
        pytest.skip(f"this machine does not offer {isolation}: {fault}")
    return isolation


def running(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.add(pid)
        except OSError:
            continue
    return found


def ended(pids: set[int]) -> set[int]:
    """Those still running after five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and running(pids):
        time.sleep(0.02)
    return running(pids)


@pytest.mark.parametrize("isolation", LEVELS)
@pytest.mark.parametrize("seed", range(3))
def test_any_process_of_a_worker_may_be_killed_at_any_moment(seed: int, isolation: str) -> None:
    """The kills are so far apart that no program is hit twice, which would be a fault and not a verdict."""
    rng = random.Random(seed)
    before = set(below(os.getpid()))
    seen: set[int] = set()
    got = []
    with sandbox.start(sandbox.Settings(isolation=offered(isolation), workers=2)) as pool:  # type: ignore[arg-type]
        results = pool.map([GOOD] * 200)
        kills = {rng.randrange(start, start + 20) for start in (5, 65, 125)}
        for number in range(200):
            got.append(next(results))
            seen |= set(below(os.getpid())) - before if number % 20 == 0 else set()
            if number in kills:
                time.sleep(rng.random() * 0.02)
                process = rng.choice(rng.choice(pool.workers()).processes)
                seen |= set(below(process.pid))
                os.kill(process.pid, signal.SIGKILL)
    statuses = ["fault" if isinstance(r, SandboxFault) else r.status for r in got]
    assert statuses == ["passed"] * 200
    assert len(seen) >= 4
    assert ended(seen) == set()
    assert set(below(os.getpid())) <= before


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)  # as /tmp is: workers have identities of their own
        yield Path(name)


def start(isolation: str, folder: Path, code: str = PARENT) -> "subprocess.Popen[bytes]":
    """A process that judges without end. Its scratch folders lie in `folder`."""
    root = str(Path(sandbox.__file__).parents[2])
    more = {"PYTHONPATH": os.pathsep.join([root, *sys.path]), "TMPDIR": str(folder)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, offered(isolation)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | more,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    return parent


def kill(parent: "subprocess.Popen[bytes]") -> None:
    parent.kill()
    parent.wait(timeout=10)
    assert parent.stdout is not None
    parent.stdout.close()


@pytest.mark.parametrize("isolation", LEVELS)
@pytest.mark.parametrize("seed", range(4))
def test_a_parent_killed_at_any_moment_leaves_nothing_running(
    seed: int, isolation: str, folder: Path
) -> None:
    rng = random.Random(seed)
    parent = start(isolation, folder)
    # The first moments are those of the workers' start.
    time.sleep(rng.random() * (0.3 if seed % 2 == 0 else 1.0))
    workers = set(below(parent.pid))
    kill(parent)
    assert ended(workers) == set()
    # A process that was started between the look at them and the kill is not among them: it cleans up when it notices.
    deadline = time.monotonic() + 20
    while os.listdir(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("isolation", LEVELS)
def test_so_it_is_with_programs_in_other_languages(
    isolation: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = set(Path("/var/tmp").glob("harness-seeds-*"))
    parent = start(isolation, folder, OTHER_PARENT)
    time.sleep(0.1)
    workers = set(below(parent.pid))
    (own,) = set(Path("/var/tmp").glob("harness-seeds-*")) - seeds
    kill(parent)
    assert ended(workers) == set()
    deadline = time.monotonic() + 20
    while os.listdir(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert os.listdir(folder) == []
    # What nobody is left to remove the next one removes, and nothing that somebody holds.
    monkeypatch.setattr(left_behind, "_AGE_S", 0.0)
    held = tmp_path / "held"
    held.mkdir()
    lock = left_behind.hold(str(held))
    assert str(held) not in left_behind.unheld(str(tmp_path), "h")
    os.close(lock)
    assert str(held) in left_behind.unheld(str(tmp_path), "h")
    worker_pool.LanguagePool("process", 1, lambda limits: limits).close()
    assert not own.exists()
