"""A process of a sandbox that hangs without dying is replaced within Settings.stall_s, and its program run again."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from harness import sandbox
from harness.sandbox import stalls
from harness.schema import DatabaseFile, ExecResult, Limits, Pair, Program, UnitTests

Level = Literal["namespaces", "landlock"]
LEVELS: tuple[Level, ...] = ("namespaces", "landlock")
STALL_S = 5.0
SLOW = "import time\ndef f(x):\n    time.sleep(1.5)\n    return x\n"
TESTS = UnitTests(code="assert f(1) == 1", entry_point="f", limits=Limits(cpu_s=5, wall_s=20))


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1, stall_s=STALL_S)) as pool:
        yield pool


@contextmanager
def stopped_once(find: Callable[[], int]) -> Iterator[None]:
    """The process that `find` knows once it is 0.5 s at work is stopped."""

    def stop() -> None:
        time.sleep(0.5)
        os.kill(find(), signal.SIGSTOP)

    stopping = threading.Thread(target=stop)
    stopping.start()
    yield
    stopping.join()


def zygote_of(pool: sandbox.Pool) -> int:
    """Of its one worker. In a namespace the process that was started only waits for the one that forks."""
    _, zygote = pool.workers()[0].processes
    return stalls.lineage(zygote.pid, int(pool.isolation == "namespaces"))[-1]


def program() -> Program:
    return Program(code=SLOW, tests=TESTS, limits=TESTS.limits)


@pytest.mark.parametrize("name", ["tester", "zygote"])
def test_a_stopped_process_of_a_worker_is_replaced_and_the_verdict_is_the_same(
    box: sandbox.Pool, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def find() -> int:
        return box.workers()[0].processes[0].pid if name == "tester" else zygote_of(box)

    box.run(Program(code="1"))
    first = box.workers()[0]
    began = time.monotonic()
    with stopped_once(find):
        assert box.run(program()).status == "passed"
    assert time.monotonic() - began < 0.5 + STALL_S + 1.5 + 2.5
    assert first not in box.workers()
    assert f"no sign of life for 5 s: its {name} is stopped, as by SIGSTOP" in caplog.text


@pytest.mark.parametrize("level", LEVELS)
def test_a_stopped_zygote_that_a_programs_last_call_waits_for_is_replaced_too(
    level: Level, caplog: pytest.LogCaptureFixture
) -> None:
    """At `landlock` the zygote lets that call go on, and the tester meanwhile looks at the program each second."""
    with sandbox.start(sandbox.Settings(isolation=level, workers=1, stall_s=STALL_S)) as pool:
        pool.run(Program(code="1"))
        (first,) = pool.workers()
        os.kill(zygote_of(pool), signal.SIGSTOP)
        result = pool.run(Program(code="print(1)", limits=Limits(cpu_s=5, wall_s=90)))
        assert (result.status, result.stdout) == ("passed", "1\n")
        assert first not in pool.workers()
    assert "its zygote is stopped, as by SIGSTOP" in caplog.text


def test_a_zygote_that_is_stopped_at_two_looks_hangs_however_busy_its_tester_is() -> None:
    """A program that stopped itself, below the zygote, is no fault of the sandbox: its own limits end it."""
    sleeping = ["sh", "-c", "sleep 600 & wait"]
    with subprocess.Popen(sleeping, start_new_session=True) as zygote:
        try:
            while len(found := stalls.lineage(zygote.pid, 1)) < 2:
                time.sleep(0.01)
            watch = stalls.StallWatch(os.getpid(), 0.0, zygote=(zygote.pid, 0))
            os.kill(found[1], signal.SIGSTOP)
            assert [look(watch) for _ in range(3)] == [False, False, False]
            os.kill(zygote.pid, signal.SIGSTOP)
            assert [look(watch) for _ in range(2)] == [False, True]
            watch.heard()
            assert [look(watch) for _ in range(2)] == [False, True]
            os.kill(zygote.pid, signal.SIGCONT)
            until(lambda: not stalls._stopped(zygote.pid, 0))
            assert not look(watch)
        finally:
            os.killpg(zygote.pid, signal.SIGKILL)


def look(watch: stalls.StallWatch) -> bool:
    """Look at it, after this process has run for a time that the kernel counts."""
    before = stalls._ran(os.getpid())
    until(lambda: stalls._ran(os.getpid()) != before)
    return watch.hangs()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        pass


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["tests", "main"])
def test_a_program_whose_process_somebody_stopped_is_run_again(level: Level, kind: str) -> None:
    """Stopped while it waited for its program, it could not say so: that looked like a program out of time."""
    limits = Limits(cpu_s=5, wall_s=2)
    tests = UnitTests(code="assert f(1) == 1", entry_point="f", limits=limits) if kind == "tests" else None
    with sandbox.start(sandbox.Settings(isolation=level, workers=1)) as pool:
        pool.run(Program(code="1"))
        os.kill(stalls.lineage(zygote_of(pool), 1)[-1], signal.SIGSTOP)
        assert (
            pool.run(Program(code="def f(x):\n    return x\n", tests=tests, limits=limits)).status == "passed"
        )


def test_a_program_that_stops_itself_is_out_of_time_and_no_fault(box: sandbox.Pool) -> None:
    code = "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n    return x\n"
    limits = Limits(cpu_s=5, wall_s=2)
    result = box.run(Program(code=code, tests=TESTS, limits=limits))
    assert (result.status, result.detail) == ("timeout", "no end within 2 s")


def test_one_that_is_only_slow_is_left_alone(box: sandbox.Pool, caplog: pytest.LogCaptureFixture) -> None:
    """A program that sleeps for longer than the limit; the tester goes on looking at its limits."""
    box.run(Program(code="1"))
    first = box.workers()[0]
    sleeping = program().model_copy(update={"code": SLOW.replace("1.5", "7")})
    assert box.run(sleeping).status == "passed"
    assert (box.workers(), caplog.records) == ([first], [])


def test_who_hangs_twice_with_a_program_is_a_fault_and_no_verdict(box: sandbox.Pool) -> None:
    over = threading.Event()

    def stop_all() -> None:
        while not over.wait(0.2):
            for worker in box.workers():
                if worker.jobs:
                    os.kill(worker.processes[0].pid, signal.SIGSTOP)

    stopping = threading.Thread(target=stop_all)
    stopping.start()
    (result,) = box.map([program()])
    over.set()
    stopping.join()
    assert "a sandbox worker hangs: it has given no sign of life for 5 s" in str(result)
    assert not isinstance(result, ExecResult)


def test_a_stopped_worker_of_other_languages_is_replaced(
    box: sandbox.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    shell = Program(code="sleep 1.5\necho done\n", language="bash", limits=TESTS.limits)
    box.run(shell.model_copy(update={"code": "echo"}))

    def find() -> int:
        assert box._languages is not None
        (process, _) = box._languages.workers()[0].processes
        return stalls.lineage(process.pid, 2 if box.isolation == "namespaces" else 0)[-1]

    with stopped_once(find):
        result = box.run(shell)
    assert (result.status, result.stdout) == ("passed", "done\n")
    assert "its process is stopped, as by SIGSTOP" in caplog.text


def test_a_stopped_sql_engine_is_replaced_and_no_query_is_to_blame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shops" / "shops.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = DatabaseFile(path=str(path), sha256=digest)
    given = Pair(sql="SELECT a FROM t", gold="SELECT a FROM t", folders=(str(tmp_path),), files=(file,))
    with sandbox.start(sandbox.Settings(workers=1, stall_s=STALL_S, queries=True)) as pool:
        assert [each.status for each in pool.judge_queries([given])] == ["passed"]
        assert pool._sql is not None
        (engine,) = pool._sql.clients
        os.kill(stalls.lineage(engine.pid, int(pool.isolation == "namespaces"))[-1], signal.SIGSTOP)
        assert [each.status for each in pool.judge_queries([given])] == ["passed"]
        assert pool._sql.clients != [engine]
    assert "an SQL engine is replaced" in caplog.text
    assert "its process is stopped, as by SIGSTOP" in caplog.text
