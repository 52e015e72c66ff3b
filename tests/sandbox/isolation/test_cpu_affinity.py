"""Workers are pinned to a core each where sandboxes use all cores, and are not pinned where they do not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness import sandbox
from harness.sandbox import launch
from harness.sandbox.isolation import cpu_affinity, syscalls
from harness.schema import Program, UnitTests

ALL = os.sched_getaffinity(0)
HOLD = """
import sys
from harness.sandbox.isolation import cpu_affinity
cpu_affinity._NAME = chr(0) + sys.argv[1]
core = cpu_affinity.claim()
print(core.number, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def claims_of_our_own(monkeypatch: pytest.MonkeyPatch) -> str:
    """Other tests run at the same time, and have sandboxes."""
    name = f"\0codelm-harness-test-{os.getpid()}/{{}}"
    monkeypatch.setattr(cpu_affinity, "_NAME", name)
    return name


def where(pool: sandbox.Pool) -> list[set[int]]:
    """The cores that each worker's processes may use, once it has judged."""
    assert all(result.status == "passed" for result in pool.map([Program(code="pass")] * 8))
    used = []
    for worker in pool.workers():
        tester, zygote = (os.sched_getaffinity(process.pid) for process in worker.processes)
        assert tester == zygote
        used.append(tester)
    return used


def test_a_pool_that_takes_all_cores_has_a_worker_on_each_and_the_next_pool_is_not_pinned() -> None:
    with sandbox.start(sandbox.Settings(workers=len(ALL))) as pool:
        assert sorted(map(sorted, where(pool))) == [[number] for number in sorted(ALL)]
        with sandbox.start(sandbox.Settings(workers=len(ALL))) as second:
            assert where(second) == [ALL] * len(ALL)
    with sandbox.start(sandbox.Settings(workers=len(ALL))) as third:
        assert sorted(map(sorted, where(third))) == [[number] for number in sorted(ALL)]
    assert os.sched_getaffinity(0) == ALL  # this process itself never moved


@pytest.mark.skipif(len(ALL) < 2, reason="this machine has one core")
def test_a_pool_that_leaves_cores_free_is_not_pinned_unless_others_take_them() -> None:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        assert where(pool) == [ALL]
    crowded = sandbox.Settings(workers=1, crowded=True)
    with sandbox.start(crowded) as pool, sandbox.start(crowded) as other:
        (one,), (two,) = where(pool), where(other)
        assert len(one) == len(two) == 1
        assert one != two


def test_a_lost_worker_gives_its_core_to_the_one_that_takes_its_place() -> None:
    with sandbox.start(sandbox.Settings(workers=len(ALL))) as pool:
        where(pool)
        for worker in pool.workers():
            worker.processes[0].kill()
        assert sorted(map(sorted, where(pool))) == [[number] for number in sorted(ALL)]


def test_a_worker_that_cannot_be_started_keeps_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    with sandbox.start(sandbox.Settings(workers=len(ALL))) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(launch, "spawn", refuse)
            with pytest.raises(OSError, match="Cannot allocate memory"):
                where(pool)
        assert sorted(map(sorted, where(pool))) == [[number] for number in sorted(ALL)]


def test_a_claim_ends_with_whoever_holds_it(claims_of_our_own: str) -> None:
    command = [sys.executable, "-c", HOLD, claims_of_our_own[1:]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        first = int(holder.stdout.readline())
        mine = [cpu_affinity.claim() for _ in ALL]
        assert first not in {core.number for core in mine if core}
        assert mine[-1] is None
        holder.send_signal(signal.SIGKILL)
    again = cpu_affinity.claim()
    assert again is not None
    assert again.number == first
    for core in (*mine, again):
        if core is not None:
            core.release()


def test_a_kernel_that_refuses_to_pin_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, mask: set[int]) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with sandbox.start(sandbox.Settings(workers=len(ALL))) as pool:
        assert where(pool) == [ALL] * len(ALL)


# ---------------------------------------------------------------- mounts that outlive their program for a moment


def test_a_process_that_has_ended_has_no_mounts_to_hold() -> None:
    own = os.pidfd_open(os.getpid())
    held = syscalls.mount_namespace(own)
    if held >= 0:  # since Linux 6.11
        assert os.readlink(f"/proc/self/fd/{held}") == os.readlink("/proc/self/ns/mnt")
        os.close(held)
    os.close(own)
    child = subprocess.Popen(["true"])
    gone = os.pidfd_open(child.pid)
    child.wait()
    assert syscalls.mount_namespace(gone) == -1
    os.close(gone)


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_a_worker_holds_no_more_after_many_programs_than_after_few(isolation: str) -> None:
    with sandbox.start(sandbox.Settings(isolation=isolation, workers=1)) as pool:  # type: ignore[arg-type]
        counts = []
        for _ in range(2):
            # Those with tests are still there when they are done with, the others have ended.
            list(
                pool.map(
                    [*map(asked, range(12)), Program(code="pass"), Program(code="import os; os._exit(1)")]
                )
            )
            (worker,) = pool.workers()
            counts.append([at_rest(process.pid) for process in worker.processes])
    assert counts[0] == counts[1]


def asked(number: int) -> Program:
    tests = UnitTests(code="assert f(1) == 1", entry_point="f")
    return Program(code=f"def f(x): return x  # {number}", tests=tests)


def held(pid: int) -> int:
    """Descriptors of a process and of all below it."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(number) for number in file.read().split()]
    return len(os.listdir(f"/proc/{pid}/fd")) + sum(map(held, children))


def at_rest(pid: int) -> int:
    """The same, once it has not changed for a while: a zygote makes the next fork after the last result."""
    counts = [-1]
    while len(counts) < 10 or len({*counts[-10:]}) > 1:
        counts.append(held(pid))
        time.sleep(0.01)
    return counts[-1]
