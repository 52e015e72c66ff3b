"""multiprocessing's locks without the kernel's named semaphores, which need a /dev/shm.

A program has no child processes, so what holds between its threads is all there is. ThreadPool, multiprocessing.dummy
and shared counters build on these.
"""

import sys
import threading
import types
from typing import Any

_RECURSIVE = 0


class SemLock:
    """The methods of `_multiprocessing.SemLock`, which multiprocessing.synchronize wraps."""

    SEM_VALUE_MAX = (1 << 31) - 1

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        self.kind, self.maxvalue, self.name = kind, maxvalue, None if unlink else name
        self.handle = id(self)
        self._value, self._held, self._owner = value, 0, 0
        self._changed = threading.Condition(threading.Lock())

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        me = threading.get_ident()
        with self._changed:
            if self.kind == _RECURSIVE and self._held and self._owner == me:
                self._held += 1
                return True
            if not self._changed.wait_for(lambda: self._value > 0, timeout if block else 0):
                return False
            self._value -= 1
            self._held += 1
            self._owner = me
            return True

    def release(self) -> None:
        with self._changed:
            if self.kind == _RECURSIVE:
                if not self._held or self._owner != threading.get_ident():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                if self._held > 1:
                    self._held -= 1
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._held -= 1
            self._value += 1
            self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: Any) -> None:
        self.release()

    def _count(self) -> int:
        return self._held

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == threading.get_ident()

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0

    def _after_fork(self) -> None:
        self._held = 0


def install() -> None:
    """For all programs that are forked from this process."""
    module = types.ModuleType("_multiprocessing")
    vars(module).update(SemLock=SemLock, sem_unlink=lambda name: None, flags={"HAVE_SEM_OPEN": 1})
    sys.modules[module.__name__] = module
