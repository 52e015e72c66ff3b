"""Lanes: workers that all askers share. The Pools here are made up, so that nothing takes time."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from harness import sandbox
from harness.errors import Fault, SandboxFault, UserError
from harness.schema import ExecResult, Program
from harness.serve import lanes
from harness.serve.lanes import Lanes, SharedSandbox

SETTINGS = sandbox.Settings()


class MadeUpPool:
    """Runs `code` by its words: a name that is printed, `wait` until somebody says go, `broken`, `fault`."""

    isolation = "landlock"

    def __init__(self, go: threading.Event) -> None:
        self.go = go
        self.seen: list[str] = []
        self.closed = False

    def map(self, programs: Iterable[Program], ahead: int) -> Iterator[ExecResult | SandboxFault]:
        source, drawn = iter(programs), deque[Program]()
        while True:
            drawn.extend(islice(source, ahead - len(drawn)))
            if not drawn:
                return
            program = drawn.popleft()
            self.seen.append(program.code)
            if program.code == "wait":
                assert self.go.wait(10)
            if program.code == "broken":
                raise UserError("no such language")
            if program.code == "bug":
                raise ZeroDivisionError("of ours")
            yield (
                SandboxFault("told")
                if program.code == "fault"
                else ExecResult(status="passed", stdout=program.code)
            )

    def close(self) -> None:
        self.closed = True


class MadeUp:
    """Lanes over made-up Pools, and a sandbox over them."""

    def __init__(self, workers: int) -> None:
        self.go = threading.Event()
        self.pools: list[MadeUpPool] = []
        self.levels: list[str] = []  # asked of each
        self.lanes = Lanes(workers, self._make)  # type: ignore[arg-type]
        self.sandbox = SharedSandbox(self.lanes, SETTINGS)

    def _make(self, settings: sandbox.Settings) -> MadeUpPool:
        assert settings.workers == 1
        self.levels.append(settings.isolation)
        time.sleep(0.05)  # as a real one: another lane begins meanwhile
        self.pools.append(MadeUpPool(self.go))
        return self.pools[-1]

    def until_waiting(self, jobs: int) -> None:
        """Until the one worker has begun, and so many jobs wait behind its first."""
        while not (self.pools and self.pools[0].seen and self.lanes.waiting == jobs):
            time.sleep(0.005)

    def outputs(self, *codes: str) -> list[str]:
        results = self.sandbox.map(Program(code=code) for code in codes)
        return [str(each) if isinstance(each, SandboxFault) else each.stdout for each in results]


def test_results_come_in_order_and_go_to_who_asked() -> None:
    made = MadeUp(workers=3)
    with made.lanes, ThreadPoolExecutor(16) as pool:
        names = [[f"{asker}.{i}" for i in range(200)] for asker in range(16)]
        asked = [pool.submit(made.outputs, *mine) for mine in names]
        assert [each.result() for each in asked] == names
    assert made.lanes.judged == 16 * 200
    assert all(each.closed for each in made.pools)


def test_a_slow_program_holds_up_nobody_else() -> None:
    made = MadeUp(workers=2)
    with made.lanes, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(made.outputs, "wait")
        assert made.outputs(*map(str, range(50))) == [*map(str, range(50))]
        assert not slow.done()
        made.go.set()
        assert slow.result() == ["wait"]


def test_what_one_lane_has_told_of_its_isolation_holds_for_all_that_start_later() -> None:
    """`auto` in each lane for itself could judge at a level that the verdict's key does not name."""
    made = MadeUp(workers=2)
    with made.lanes, ThreadPoolExecutor(1) as pool:
        assert made.sandbox.isolation == "landlock"
        first = pool.submit(made.outputs, "wait", "wait", "wait")
        while len(made.pools) < 2:
            time.sleep(0.005)
        made.go.set()
        assert first.result() == ["wait"] * 3
    assert made.levels == ["auto", "landlock"]


def test_what_breaks_a_batch_is_told_to_its_asker_alone() -> None:
    made = MadeUp(workers=1)
    with made.lanes, ThreadPoolExecutor(4) as pool:
        holding = pool.submit(made.outputs, "wait")  # until the others are all in the queue
        made.until_waiting(0)
        bad = pool.submit(made.outputs, "x", "broken")
        made.until_waiting(2)
        good = [pool.submit(made.outputs, *"abc") for _ in range(2)]
        made.until_waiting(8)
        made.go.set()
        assert holding.result() == ["wait"]
        assert [each.result() for each in good] == [[*"abc"]] * 2
        with pytest.raises(UserError, match="no such language"):
            bad.result()
        with pytest.raises(SandboxFault, match="the judge failed: ZeroDivisionError: of ours"):
            made.outputs("bug")
        assert made.outputs("fault", "y") == ["told", "y"]


def test_a_sandbox_that_cannot_be_opened_or_closed_ends_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MAX_POOLS", 1)
    made = MadeUp(workers=1)
    other = SharedSandbox(made.lanes, sandbox.Settings(memory_mb=77))
    with made.lanes:
        assert made.outputs("a") == ["a"]
        monkeypatch.setattr(made.pools[0], "close", lambda: Path("/nowhere").rmdir())
        assert other.run(Program(code="b")).stdout == "b"  # the first had to close for it
        monkeypatch.setattr(made.lanes, "_make", lambda _: Path("/nowhere").rmdir())
        with pytest.raises(SandboxFault, match="the judge failed: FileNotFoundError"):
            made.outputs("c")
        monkeypatch.setattr(made.lanes, "_make", made._make)
        assert made.outputs("d") == ["d"]
        monkeypatch.setattr(made.pools[-1], "close", lambda: Path("/nowhere").rmdir())


def test_closing_again_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "CLOSE_S", 0.05)
    made = MadeUp(workers=1)
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(made.outputs, "wait")
        made.until_waiting(0)
        made.lanes.close()
        monkeypatch.setattr(lanes, "CLOSE_S", 60.0)
        made.lanes.close()
        made.go.set()
        assert begun.result() == ["wait"]


def test_posted_tests_have_processes_apart_from_those_of_tasks() -> None:
    """Tests run in a process that lives on, and are trusted only where they are a benchmark's."""
    made = MadeUp(workers=1)
    posted = SharedSandbox(made.lanes, SETTINGS, "posted")
    with made.lanes:
        made.outputs("a")
        assert posted.run(Program(code="b")).stdout == "b"
        made.outputs("c")
    assert [pool.seen for pool in made.pools] == [["a", "c"], ["b"]]


def test_who_leaves_early_has_the_rest_not_judged() -> None:
    made = MadeUp(workers=1)
    with made.lanes:
        results = made.sandbox.map(Program(code=code) for code in ["a", "wait", *map(str, range(60))])
        assert isinstance(first := next(results), ExecResult)
        assert first.stdout == "a"
        results.close()  # type: ignore[attr-defined]
        made.go.set()
        assert made.outputs("z") == ["z"]
        assert made.pools[0].seen[-1] == "z"
        assert len(made.pools[0].seen) <= 4


def test_lanes_that_close_give_up_what_waits_and_take_no_more() -> None:
    made = MadeUp(workers=1)
    with ThreadPoolExecutor(2) as pool:
        with made.lanes:
            begun = pool.submit(made.outputs, "wait")
            made.until_waiting(0)
            waiting = pool.submit(made.outputs, "b", "c")
            made.until_waiting(2)
            threading.Timer(0.2, made.go.set).start()
        assert begun.result() == ["wait"]
        with pytest.raises(Fault, match="the judge is stopping"):
            waiting.result()
    with pytest.raises(Fault, match="the judge is stopping"):
        made.outputs("d")
    assert made.pools[0].seen == ["wait"]
