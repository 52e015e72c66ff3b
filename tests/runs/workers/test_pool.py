"""A pool of worker processes: every item once and in order, whichever of them dies; what fails is reported."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import ConfigError, Fault
from harness.runs.workers import pool, work_queue
from harness.runs.workers.pool import WorkerPool
from harness.runs.workers.work_queue import ChunkSizer, GivenUp
from tests.support.command import until
from tests.support.paths import ROOT
from tests.support.worker_roles import KILLED, DoubleSpec, InlineLauncher, InlineWorker, doubling


def test_results_come_in_order_from_all_workers_and_no_process_is_left(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        results = list(workers.map("double", None, iter(range(500)), ChunkSizer()))
        assert results == [(n, 2 * n) for n in range(500)]
        pids: set[int] = set()
        until(
            lambda: (
                len(
                    pids.update(pid for _, pid in workers.map("pid", None, [1, 2], ChunkSizer(size=1)))
                    or pids
                )
                == 2
            )
        )
        # A map that is abandoned halfway does not disturb the next one.
        assert next(workers.map("double", None, iter(range(1000)), ChunkSizer())) == (0, 0)
        assert workers.call("double", None, 21) == 42
    for pid in pids:
        assert (tmp_path / f"closed-{pid}").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_never_wait_while_there_is_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_ITEMS", 7)
    workers = WorkerPool(InlineLauncher(3), DoubleSpec(tmp_path))
    for size in (1, 5, 1000):
        for items in (iter(range(200)), range(200)):
            results = list(workers.map("double", None, items, ChunkSizer(size=size)))
            assert results == [(n, 2 * n) for n in range(200)]


def test_no_worker_is_started_without_work(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        assert list(workers.map("double", None, [], ChunkSizer())) == []
        assert list(workers.map("double", None, iter([]), ChunkSizer())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_workers_items_go_to_others_and_one_that_always_kills_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with doubling(tmp_path, deadly=(30, 77), times=99) as workers:
        # 30 kills three workers, 77 too: items near them are tried again, and all come out.
        results = dict(workers.map("double", None, iter(range(100)), ChunkSizer(size=16)))
        died = {name: len(list(tmp_path.glob(f"died-{name}-*"))) for name in (30, 77)}
        assert died == {30: 3, 77: 3}
        assert len(workers.stats.deaths) == 6
    assert [n for n in range(100) if results[n] != 2 * n] == [30, 77]
    assert isinstance(results[30], GivenUp)
    assert results[30].cause.endswith(f"(x): {KILLED}")
    assert caplog.messages[0].startswith("worker died; its work was requeued: worker ")


def test_a_worker_that_hangs_is_replaced_and_one_that_computes_is_not(tmp_path: Path) -> None:
    with doubling(tmp_path, stall_s=2.0, hangs=7, beats=True) as workers:
        results = list(workers.map("double", None, iter(range(50)), ChunkSizer(size=5)))
        assert results == [(n, 2 * n) for n in range(50)]
        (cause,) = workers.stats.deaths
        assert cause.endswith("(x): it has given no sign of life for 2 s")
        (stopped,) = tmp_path.glob("stopped-*")
        with pytest.raises(ProcessLookupError):
            os.kill(int(stopped.name.removeprefix("stopped-")), 0)
    with doubling(tmp_path, stall_s=2.0, seconds=4.0, beats=True) as workers:
        assert workers.call("double", None, 21) == 42
        assert workers.stats.deaths == []


def test_a_worker_that_gives_no_signs_of_life_is_not_taken_to_hang(tmp_path: Path) -> None:
    """As of Ray's actors and third parties' backends, of which only results are heard."""
    with doubling(tmp_path, workers=1, stall_s=0.5, seconds=1.5) as workers:
        assert workers.call("double", None, 21) == 42
        assert workers.stats.deaths == []


class SilentOnce(InlineLauncher):
    """Its first worker for slot 1 never answers, or not after it has set up."""

    sets_up = False

    def start(self, slot: int) -> InlineWorker:
        worker = super().start(slot)
        if slot == 1 and not self.started:
            self.started = True
            own, sent = worker.send, list[bytes]()
            worker.send = lambda payload: (  # type: ignore[method-assign]
                own(payload) if self.sets_up and not sent else None,
                sent.append(payload),
            )
        return worker

    started = False

    def wait(self, workers: Sequence[InlineWorker], seconds: float) -> Sequence[InlineWorker]:
        return [worker for worker in workers if worker.requests]


def test_a_worker_that_hangs_as_it_sets_up_holds_up_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "START_TIMEOUT_S", 0.3)
    with WorkerPool(SilentOnce(2), DoubleSpec(tmp_path), stall_s=0.1) as workers:
        assert list(workers.map("double", None, [1], ChunkSizer())) == [(0, 2)]  # the other has set up
        assert workers.reconfigure(DoubleSpec(tmp_path, weights="c"), workers.spec) == {"weights": "c"}
        assert workers.stats.deaths == ["worker 1: it has not set up within 0.3 s"]


def test_one_that_is_heard_with_its_results_only_is_replaced_later(tmp_path: Path) -> None:
    launcher = SilentOnce(2)
    launcher.sets_up = True
    with WorkerPool(launcher, DoubleSpec(tmp_path), stall_s=0.02) as workers:
        assert list(workers.map("double", None, range(4), ChunkSizer(size=1))) == [
            (number, 2 * number) for number in range(4)
        ]
        assert workers.stats.deaths == ["worker 1: it has given no sign of life for 0.3 s"]


def test_an_item_that_faults_is_retried_alone_and_then_reported(tmp_path: Path) -> None:
    with doubling(tmp_path, faulty=(5,)) as workers:
        results = [result for _, result in workers.map("double", None, iter(range(20)), ChunkSizer(size=10))]
        assert results == [2 * n if n != 5 else GivenUp("out of memory at 5") for n in range(20)]
        assert workers.stats.deaths == []  # the worker is well
        with pytest.raises(Fault, match=r"^out of memory at 5$"):
            workers.call("double", None, 5)


def test_a_setup_that_is_impossible_is_the_users_mistake_at_once(tmp_path: Path) -> None:
    with doubling(tmp_path, on_setup="refuse") as workers, pytest.raises(ConfigError) as told:
        list(workers.map("double", None, [1], ChunkSizer()))
    assert str(told.value) in {"worker 0 (x): no such model", "worker 1 (x): no such model"}


def test_one_slot_whose_workers_die_is_disabled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with doubling(tmp_path, on_setup="die at 0", seconds=0.02) as workers:
        assert len(list(workers.map("double", None, range(200), ChunkSizer(target_seconds=0.1)))) == 200
        assert [bool(slot.disabled) for slot in workers.slots] == [True, False]
    assert "worker 0 is not restarted: it died 3 times in a row" in caplog.messages


def test_without_any_worker_the_cause_is_reported(tmp_path: Path) -> None:
    with doubling(tmp_path, on_setup="die") as workers, pytest.raises(Fault) as told:
        list(workers.map("double", None, [1], ChunkSizer()))
    assert str(told.value).startswith("no worker is left; the last one died: worker ")
    assert str(told.value).endswith(f"{KILLED}. Rerun the same command to resume")


def test_workers_whose_results_may_differ_are_refused(tmp_path: Path) -> None:
    with doubling(tmp_path, odd=1, seconds=0.05) as workers, pytest.raises(Fault) as told:
        list(workers.map("double", None, range(200), ChunkSizer()))
    assert "differs from the other workers in weights: " in str(told.value)


def test_waiting_for_the_first_worker_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "START_TIMEOUT_S", -1.0)
    monkeypatch.setattr(pool, "POLL_S", 0.0)
    with doubling(tmp_path) as workers, pytest.raises(Fault, match=r"^no worker started within"):
        list(workers.map("double", None, [1], ChunkSizer()))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.support.worker_roles import doubling\n"
        "from harness.runs.workers.work_queue import ChunkSizer\n"
        f"workers = doubling(Path({str(tmp_path)!r}), seconds=100.0)\n"
        "list(workers.map('double', None, range(4), ChunkSizer()))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
    parent.kill()
    parent.wait()
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    until(lambda: not any(map(running, pids)))
    assert all((tmp_path / f"closed-{pid}").exists() for pid in pids)


def running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_failed_setup_leaves_the_workers_with_the_task_they_had(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        first = workers.spec
        # Some workers have set up by then, others have not: results of an older setup do not count.
        assert workers.identity == {"weights": "a"}
        with pytest.raises(ConfigError, match=r"^worker . \(x\): no such model$"):
            workers.reconfigure(DoubleSpec(tmp_path, on_setup="refuse"), first)
        assert workers.reconfigure(DoubleSpec(tmp_path, weights="c"), first) == {"weights": "c"}
        assert workers.call("double", None, 1) == 2
        assert [slot.identity for slot in workers.slots] == [{"weights": "c"}] * 2
