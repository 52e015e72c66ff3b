"""A program that is to be looked at is stopped, whatever its threads and children do, and never runs again."""

import mmap
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from harness.sandbox.isolation import freezing, marks, process_tree, seccomp, syscalls

COUNTERS = 4


def count(shared: mmap.mmap, place: int) -> None:
    number = 0
    while True:
        number += 1
        struct.pack_into("<q", shared, 8 * place, number)


def busy(shared: mmap.mmap) -> None:
    """Three threads and a child that count. Signals to the process are the first thread's, which sleeps."""
    for place in range(COUNTERS - 1):
        threading.Thread(target=count, args=(shared, place), daemon=True).start()
    if os.fork() == 0:
        count(shared, COUNTERS - 1)
    time.sleep(60)


@pytest.fixture
def program() -> Iterator[tuple[int, mmap.mmap]]:
    shared = mmap.mmap(-1, 8 * COUNTERS)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        try:
            busy(shared)
        finally:
            os._exit(1)
    until = time.monotonic() + 30
    while not all(struct.unpack_from(f"<{COUNTERS}q", shared)):
        assert time.monotonic() < until
        time.sleep(0.01)
    yield pid, shared
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_nothing_of_a_frozen_program_runs(program: tuple[int, mmap.mmap]) -> None:
    pid, shared = program
    proc = os.open("/proc", os.O_PATH)
    assert freezing.freeze(lambda: [*process_tree.measure(proc, memory=False).processes], held=0)
    before = struct.unpack_from(f"<{COUNTERS}q", shared)
    assert not process_tree.running(proc, (pid,))
    time.sleep(0.05)
    assert struct.unpack_from(f"<{COUNTERS}q", shared) == before
    os.close(proc)


def test_what_never_stops_being_made_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(freezing, "_state", lambda pid, thread: b"R")
    monkeypatch.setattr(syscalls, "signal_thread", lambda pid, thread, number: None)
    assert not freezing.freeze(lambda: (1 << 29, os.getpid()), held=0)


def test_a_signal_does_not_take_back_a_call_that_is_looked_at() -> None:
    if not marks.signals_wait():
        pytest.skip("before Linux 5.19 a signal interrupts a call that waits for its listener")
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            marks.send(theirs.fileno(), syscalls.Filter(seccomp.endings()))
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.001)
        finally:
            os._exit(7)
    theirs.close()
    listener = marks.receive(ours.fileno())
    assert listener is not None
    call = listener.receive()
    while call is None:  # interrupted before it was received: it comes again
        call = listener.receive()
    assert (call.thread, call.is_last, call.status) == (pid, True, 7)
    time.sleep(0.2)
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None  # it still waits
    listener.let_go_on(call)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    listener.close()
    ours.close()
