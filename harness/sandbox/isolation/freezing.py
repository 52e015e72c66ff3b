"""Stops the processes of a program, so that nothing of it changes while somebody looks at it.

They are stopped by SIGSTOP, which no program can catch or block, and are to be killed afterwards. A call that the
kernel is making for a thread is made to its end first.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence

from harness.sandbox.isolation import syscalls

# How long to wait: for threads that have to get a processor first, and for those that wait for a disk or, in vfork,
# for another process. The latter run no instruction of the program while the others are stopped.
_PATIENCE_S, _DISK_S = 5.0, 0.2
_PAUSE_S = 0.0002
_STOPPED, _WAITING = b"TtZX", b"D"


def freeze(processes: Callable[[], Sequence[int]], held: int) -> bool:
    """Stop all of them, new ones included, until there are no more. `processes`: lists them. `held`: the thread whose
    call waits, which can't run. False if one still runs when patience has run out.
    """
    begun, told = time.monotonic(), set[int]()
    while True:
        threads = {int(thread): pid for pid in processes() for thread in _threads(pid)}
        threads.pop(held, None)
        new = threads.keys() - told
        for thread in new:
            # Each by itself: what is sent to a process may be meant for the thread that waits, and wait with it.
            syscalls.signal_thread(threads[thread], thread, signal.SIGSTOP)
        told |= new
        waited = time.monotonic() - begun
        quiet = _STOPPED + _WAITING if waited > _DISK_S else _STOPPED
        if not new and all(_state(pid, thread) in quiet for thread, pid in threads.items()):
            return True
        if waited > _PATIENCE_S:
            return False
        if not new:
            time.sleep(_PAUSE_S)


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []  # it has ended


def _state(pid: int, thread: int) -> bytes:
    try:
        with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0]
    except OSError:
        return b"X"
