"""Processes that let nobody look into them are told from those that can be read, and from those that have ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.sandbox.isolation import process_tree, syscalls
from harness.sandbox.languages.monitor import StepMonitor


def start(dumpable: int, then: Callable[[], object]) -> int:
    """A child process, once it has set whether it can be read."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, dumpable)
        os.write(write, b".")
        then()
        os._exit(0)
    os.read(read, 1)
    return pid


def measured() -> dict[str, bool]:
    """Which of three children are hidden, measured without root's rights."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    pids = {
        "read": start(1, lambda: time.sleep(30)),
        "hidden": start(0, lambda: time.sleep(30)),
        "ended": start(1, lambda: None),
    }
    os.waitid(os.P_PID, pids["ended"], os.WEXITED | os.WNOWAIT)
    hidden = process_tree.measure(os.open("/proc", os.O_PATH)).hidden
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    return {name: pid in hidden for name, pid in pids.items()}


def test_only_a_live_process_that_cannot_be_read_is_hidden() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(measured()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        assert json.load(file) == {"read": False, "hidden": True, "ended": False}
    os.waitpid(pid, 0)


WITHOUT_FIRST_THREAD = """
import ctypes, os, sys, threading, time
def hold():
    kept = bytearray(b"x") * (64 << 20)
    pipes = [os.pipe() for _ in range(200)]
    os.write(1, b".")
    time.sleep(60)
    del kept, pipes
threading.Thread(target=hold).start()
time.sleep(0.2)
ctypes.CDLL(None).syscall({exit})
"""


def test_what_a_process_holds_counts_also_where_its_first_thread_has_ended() -> None:
    exit_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
    code = WITHOUT_FIRST_THREAD.format(exit=exit_thread)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        until = time.monotonic() + 20
        while not Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].startswith(" Z"):
            assert time.monotonic() < until
            time.sleep(0.01)
        usage = process_tree.measure(os.open("/proc", os.O_PATH))
        child.kill()
    assert usage.memory_mb > 64
    assert child.pid not in usage.hidden


def test_a_hidden_process_counts_as_full_of_sockets_but_for_the_steps_own_and_the_beginning() -> None:
    stub: Any = SimpleNamespace(group=None)
    monitor = StepMonitor(stub, stub, -1)

    def memory_mb(*hidden: int, wall_s: float = 1.0) -> float:
        return monitor._usage(process_tree.TreeUsage({}, 0.0, 9.0, frozenset(hidden)), wall_s)[1]

    assert memory_mb() == memory_mb(7) == memory_mb(7, 8, 9, wall_s=0.5) == 9.0
    assert memory_mb(7, 8, 9) == 9.0 + 2 * 256 * 208 / 1024


def test_a_process_has_executed_a_file_or_not_and_no_fork_takes_that_back() -> None:
    """What is forked from one that has executed a file has not; threads change nothing."""
    proc = os.open("/proc", os.O_PATH)
    pid = start(1, lambda: time.sleep(30))
    threads = "import threading, time; threading.Thread(target=time.sleep, args=(30,)).start(); print('.', flush=True)"
    with subprocess.Popen([sys.executable, "-c", threads], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        assert process_tree.has_executed(proc, child.pid)
        assert not process_tree.has_executed(proc, pid)
        child.kill()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not process_tree.has_executed(proc, pid)
    os.close(proc)


def test_a_command_that_hides_is_found_within_its_first_second(monkeypatch: pytest.MonkeyPatch) -> None:
    executed: set[int] = set()
    monkeypatch.setattr(process_tree, "has_executed", lambda proc, pid: pid in executed)
    monkeypatch.setattr(process_tree, "parent", lambda proc, pid: {8: 7, 9: 8}.get(pid, 1))
    stub: Any = SimpleNamespace(proc=-1)
    monitor = StepMonitor(stub, stub, -1)
    monitor.init = 7

    def hides(*hidden: int) -> bool:
        return monitor._hides(process_tree.TreeUsage({}, 0.0, 0.0, frozenset(hidden)))

    assert not hides(7)
    assert not hides(7, 8)
    assert not hides(7, 8)
    executed.add(8)
    assert not hides(7, 8)  # it may just be doing it
    assert hides(7, 8)
    assert not hides(7)
    executed.clear()
    assert not hides(7, 9)
    assert hides(7, 9)
    monitor.looked_at_end = True
    assert hides(7, 9)
    assert not hides(7, 8)
