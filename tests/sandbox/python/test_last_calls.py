"""Honest programs end as they do outside the sandbox, whatever else they do as they end."""

import textwrap
from collections.abc import Iterator

import pytest

from harness import sandbox
from harness.schema import ExecResult, Limits, Program
from tests.support.rungs import RUNGS, pool_on


@pytest.fixture(scope="module", params=RUNGS)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    with pool_on(request.param) as pool:
        yield pool


def run(pool: sandbox.Pool, code: str) -> ExecResult:
    return pool.run(Program(code=textwrap.dedent(code), limits=Limits(cpu_s=20, wall_s=60)))


def outcome(result: ExecResult) -> tuple[str, str, str]:
    return result.status, result.detail, result.stdout


@pytest.mark.parametrize("leave", ["", "sys.exit(0)"])
def test_a_timer_that_fires_as_a_program_ends_changes_nothing(pool: sandbox.Pool, leave: str) -> None:
    code = """
        import os, signal, sys, time
        ticks = []
        signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
        for name in range(3000):  # which take a while to look at
            os.close(os.open(str(name), os.O_CREAT))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while len(ticks) < 3:
            time.sleep(0.001)
        print("ended", flush=True)
        LEAVE
    """.replace("LEAVE", leave)
    assert outcome(run(pool, code)) == ("passed", "", "ended\n")


def test_threads_that_still_compute_when_a_program_ends_change_nothing(pool: sandbox.Pool) -> None:
    code = """
        import threading, time
        def work():
            while True:
                sum(range(1000))
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        open("file", "w").write("x" * 1000)
        time.sleep(0.02)
        print("ended", flush=True)
    """
    for _ in range(3):
        assert outcome(run(pool, code)) == ("passed", "", "ended\n")
