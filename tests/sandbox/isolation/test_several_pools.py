"""Several pools in one process, as a judge's service has them: nothing of the process is shared by accident."""

import resource
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.sandbox import launch
from harness.sandbox.isolation import confine


def test_every_worker_has_a_user_id_of_its_own() -> None:
    """By it the kernel counts threads, and tells apart what workers without namespaces may signal."""
    uids = [launch.throwaway_uid() for _ in range(100)]
    assert len(set(uids)) == 100 or set(uids) == {0}  # 0: no other id can be had here


def test_the_deep_stack_of_one_worker_is_not_that_of_a_process_that_another_thread_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[bool, set[int]] = {True: set(), False: set()}
    before = resource.getrlimit(resource.RLIMIT_STACK)

    def popen(command: list[str], **_: object) -> None:
        time.sleep(0.005)
        seen["deep" in command].add(resource.getrlimit(resource.RLIMIT_STACK)[0])

    monkeypatch.setattr(launch.subprocess, "Popen", popen)

    def spawn(deep: bool) -> None:
        launch.spawn("python", "x", (), ["deep"] if deep else [], {}, deep_stack=deep)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(spawn, [True, False] * 10))
    assert seen == {True: {confine.STACK_MB << 20}, False: {before[0]}}
    assert resource.getrlimit(resource.RLIMIT_STACK) == before
