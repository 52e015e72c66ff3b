"""One process that is put back after each program: nothing of a program is left in it, and verdicts are the same."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import sandbox
from harness.sandbox.isolation import restore
from harness.schema import ExecResult, Limits, Program, UnitTests
from tests.support import rungs
from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(
    bool(restore.unavailable()), reason=f"this machine cannot put back: {restore.unavailable()}"
)

TESTS = UnitTests(setup="def f(x):\n    pass\n", code="assert f(2) == 4\nassert f(3) == 9", entry_point="f")
HONEST = "def f(x):\n    return x * x\n"
# What a program changes -> an expression that tells the next program whether it is still changed.
CHANGES = {
    "global": ("import math; math.left = 1", "hasattr(math, 'left')"),
    "module": ("import sys, types; sys.modules['left'] = types.ModuleType('left')", "'left' in sys.modules"),
    "builtin": ("import builtins; builtins.len = lambda x: 7", "len([]) == 7"),
    "code": (
        "import json; json.dumps.__code__ = (lambda *a, **k: 'left').__code__",
        "json.dumps(1) == 'left'",
    ),
    "small integer": (
        "import ctypes; ctypes.c_uint32.from_address(id(5) + 24).value = 6",
        "sum([2, 3]) == 6",
    ),
    "environment": ("import os; os.environ['LEFT'] = '1'", "'LEFT' in os.environ"),
    "random": (
        "import random; random.seed(7)",
        "random.random() == 0.32383276483316237",
    ),
    "exit hook": ("import atexit; atexit.register(print)", "atexit._ncallbacks() > 0"),
    "exception hook": ("import sys; sys.excepthook = print", "sys.excepthook is print"),
    "collector": ("import gc; gc.disable()", "not gc.isenabled()"),
    "recursion limit": ("import sys; sys.setrecursionlimit(77777)", "sys.getrecursionlimit() == 77777"),
    "trace": ("import sys; sys.setprofile(lambda *a: None)", "sys.getprofile() is not None"),
    "descriptor": ("import os; os.dup2(0, 77)", "not os.path.exists('/') or left_descriptor(77)"),
    "closed stream": ("import os; os.close(2)", "not left_descriptor(2)"),
    "folder": ("import os; os.chdir('/')", "os.getcwd() == '/'"),
    "file": ("open('left', 'w').write('x')", "os.path.exists('left')"),
    "umask": ("import os; os.umask(0o77)", "os.umask(0o22) == 0o77"),
    "signal handler": ("import signal; signal.signal(10, print)", "signal.getsignal(10) is print"),
    "signal mask": ("import signal; signal.pthread_sigmask(0, [10])", "10 in signal.pthread_sigmask(0, [])"),
    "timer": ("import signal; signal.setitimer(0, 900)", "signal.getitimer(0)[0] > 0"),
    "thread": (
        "import threading, time; threading.Thread(target=time.sleep, args=(900,), daemon=True).start()",
        "threading.active_count() > 1",
    ),
    "mapping": ("import mmap; kept = mmap.mmap(-1, 1 << 22); kept[0] = 1", "left_object('mmap', 1 << 22)"),
    "heap": ("kept = [bytes(100) for _ in range(20_000)]", "left_object('list', 20_000)"),
    "stack": (
        "import re; re.match('(a|b)*c', 'ab' * 20_000)",
        "any('(a|b)*c' in str(key) for key in __import__('re')._cache)",
    ),
    "limit": ("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9, 9))", "resource.getrlimit(7)[0] == 9"),
}
LOOK = """
import atexit, gc, json, math, os, random, resource, signal, sys, threading
def left_descriptor(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
def left_object(kind, size):
    return any(type(each).__name__ == kind and len(each) == size for each in gc.get_objects())
def f(x):
    return -1 if {found} else x * x
"""


@pytest.fixture(scope="module", params=rungs.RUNGS)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    settings = sandbox.Settings(isolation=request.param, workers=1, process="restore")
    with sandbox.start(settings) as pool:
        yield pool


def judge(pool: sandbox.Pool, code: str, tests: UnitTests | None = TESTS, cpu_s: float = 1.0) -> ExecResult:
    return pool.run(Program(code=code, tests=tests, limits=Limits(cpu_s=cpu_s, wall_s=2.0)))


def settle(pool: sandbox.Pool) -> None:
    rungs.settle(pool, TESTS, HONEST, Limits(cpu_s=1.0, wall_s=2.0))


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_program_changes_is_as_before_for_the_next(pool: sandbox.Pool, name: str) -> None:
    change, found = CHANGES[name]
    settle(pool)
    changed = judge(pool, f"{change}\n{HONEST}\n# {time.monotonic()}")
    after = judge(pool, LOOK.format(found=found) + f"# {time.monotonic()}")
    assert (changed.status in ("passed", "error"), after.status) == (True, "passed"), (changed, after)


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_looked_for_is_found_where_nothing_is_put_back(name: str, tmp_path: Path) -> None:
    change, found = CHANGES[name]
    look = LOOK.format(found=found)
    imports = look.splitlines()[1]  # before anything is broken
    code = f"{imports}\n{change}\n{look}\nos._exit(0 if f(2) == -1 else 9)"
    ended = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert ended.returncode == 0


def test_verdicts_are_those_of_a_fork_each(pool: sandbox.Pool) -> None:
    cases = {
        HONEST: "passed",
        "def f(x):\n    return x": "failed",
        "def f(x):\n    return y": "error",
        "def f(x) return": "compile_error",
        "def f(x):\n    while True: pass": "timeout",
        "def f(x):\n    return 'x' * 10**10": "memory",
        "def f(x):\n    print('x' * 10**7); return x * x": "output",
        "import os\ndef f(x): os._exit(0)": "error",
        "import os\ndef f(x): os.abort()": "signal",
    }
    for _ in range(2):
        for code, wanted in cases.items():
            found = judge(pool, f"{code}\n# {time.monotonic()}")
            assert found.status == wanted, (code, found)


def test_a_process_serves_many_programs_and_is_cheaper_than_a_fork(pool: sandbox.Pool) -> None:
    with sandbox.start(sandbox.Settings(isolation=pool.isolation, workers=1)) as forking:  # type: ignore[arg-type]
        judge(forking, HONEST)
        settle(pool)
        costs = [
            sorted(judge(box, f"{HONEST}# {number}").cpu_s for number in range(21))[10]
            for box in (forking, pool)
        ]
    assert costs[1] < 0.6 * costs[0], costs


def test_output_and_requests_of_a_program_do_not_reach_the_next(pool: sandbox.Pool) -> None:
    for number in range(3):
        judge(
            pool,
            f"import sys\ndef f(x):\n    sys.stderr.write('old'); print('old'); return x + 99\n# {number}",
        )
        after = judge(
            pool, f"def f(x):\n    print('new', file=__import__('sys').stderr)\n    return y\n# {number}"
        )
        # Both calls may have been sent ahead.
        assert (after.status, after.stdout, set(after.stderr.split())) == ("error", "", {"new"}), after


def test_programs_with_other_limits_get_theirs(pool: sandbox.Pool) -> None:
    greedy = "def f(x):\n    return len('x' * (300 << 20)) and x * x"
    small, large = Limits(memory_mb=128), Limits(memory_mb=1024)
    for _ in range(2):
        settle(pool)
        assert pool.run(Program(code=greedy, tests=TESTS, limits=small)).status == "memory"
        assert pool.run(Program(code=greedy, tests=TESTS, limits=large)).status == "passed"


def test_a_program_that_frames_the_next_does_not_reach_it(pool: sandbox.Pool) -> None:
    """It answers more often than it is asked; what is left of that is not the next program's answer."""
    forger = "import os\ndef f(x):\n    while True:\n        os.write(3, bytes([3, 0, 0, 0]) + b'R??')\n"
    settle(pool)
    for number in range(4):
        judge(pool, f"{forger}# {number}")
        assert judge(pool, f"{HONEST}# {number}").status == "passed"


# ---------------------------------------------------------------- the comparison


# Not a fork of the tests' process, which may share memory with others.
WAITING = """
import os, sys
from harness.sandbox.isolation import restore
read, tell = map(int, sys.argv[1:])
os.dup2(restore.userfault(), 200)
memory, buffer = bytearray(1 << 20), bytearray(1)
os.write(tell, b"!")
while os.readv(read, [buffer]):
    memory[0] += 1
    os.write(tell, memory[:1])
"""


@contextmanager
def waiting_child() -> Iterator[tuple[restore.Checkpoint, int]]:
    """A child that adds one to a byte of its memory for each byte it reads, as a checkpoint, and its pipe."""
    read, write = os.pipe()
    told, tell = os.pipe()
    command = [sys.executable, "-c", WAITING, str(read), str(tell)]
    with subprocess.Popen(command, pass_fds=(read, tell), cwd=ROOT) as child:
        try:
            assert os.read(told, 1) == b"!"
            pidfd = os.pidfd_open(child.pid)
            checkpoint = restore.Checkpoint(child.pid, restore.take_descriptor(pidfd, 200))
            os.write(write, b"x")
            assert os.read(told, 1) == b"\x01"
            yield checkpoint, write
            checkpoint.close()
        finally:
            child.kill()
            for descriptor in (pidfd, read, write, told, tell):
                os.close(descriptor)


def test_a_reset_that_leaves_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting_child() as (checkpoint, write):
        monkeypatch.setattr(restore, "_CHECKED_EVERY", 1)
        assert checkpoint.reset()
        assert checkpoint.differences() == ""
        checkpoint.resume()
        os.write(write, b"x")
        time.sleep(0.05)
        monkeypatch.setattr(checkpoint, "_transfer", lambda call, here, there: None)  # what is written stays
        monkeypatch.setattr(restore, "_CHECKED_EVERY", 1 << 20)
        assert checkpoint.reset()
        monkeypatch.undo()
        assert checkpoint.differences().startswith("memory at 0x")
