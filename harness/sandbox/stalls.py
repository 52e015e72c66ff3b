"""Tells a worker that hangs, a stopped process for example, from one that takes its time: by whether its process runs.

A tester looks at its program's limits every second (python/candidate.py), and so do the workers of other languages and
of SQL: one that has not run at all hangs, or waits for a zygote that does. What ran is the kernel's own count, read
only where a worker has said nothing for a while. A zygote sleeps while its program runs, so of it only whether it is
stopped says that it hangs: a program whose call it has to let go on (isolation/marks.py) waits for it, and the tester,
which goes on looking at the program, does not.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

_STOPPED = (["T"], ["t"])  # states of a process (man 5 proc)


@dataclass
class StallWatch:
    """A worker with work: `pid` is its process, or, where that only waits for one in a namespace of its own, this is so
    many forks `below`. It hangs if it says nothing and does not run between two looks, half of `stall_s` apart, or if
    at both its `zygote` is stopped: a process, and how many forks below that it is. Further below are programs, and one
    that stops itself is no fault of the sandbox.
    """

    pid: int
    stall_s: float
    below: int = 0
    zygote: tuple[int, int] | None = None
    _stopped: list[int] = field(default_factory=list)
    _looked_at: float = 0.0
    _ran: str = ""
    _zygote_stopped: bool = False

    def heard(self) -> None:
        """It said something, or was given work."""
        self._looked_at, self._ran, self._zygote_stopped = monotonic(), "", False

    @property
    def due(self) -> float:
        """When to look next."""
        return self._looked_at + self.stall_s / 2

    def hangs(self) -> bool:
        """Whether it does; False too where that is not known yet, or cannot be seen here."""
        if monotonic() < self.due:
            return False
        before, was_stopped, self._looked_at = self._ran, self._zygote_stopped, monotonic()
        found = lineage(self.pid, self.below)
        self._ran = _ran(found[-1]) if len(found) > self.below else ""
        self._zygote_stopped = bool(self.zygote and _stopped(*self.zygote))
        return (bool(before) and before == self._ran) or (was_stopped and self._zygote_stopped)

    def cause(self, processes: Sequence[tuple[str, int]]) -> str:
        """Why it is given up; `processes`: those that may be stopped, with what they are called."""
        names = []
        for name, pid in processes:
            if stopped := _stopped(pid, max(1, self.below)):
                self._stopped += stopped
                names.append(name)
        why = f": its {' and its '.join(names)} is stopped, as by SIGSTOP" if names else ""
        return f"it has given no sign of life for {self.stall_s:g} s{why}"

    def resume(self) -> None:
        """Let what `cause` found stopped go on, so that it ends what it started when it is told to end."""
        for pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _stopped(pid: int, below: int) -> list[int]:
    """Those of a process and its forks that are stopped."""
    return [each for each in lineage(pid, below) if _fields(each)[:1] in _STOPPED]


def _ran(pid: int) -> str:
    """How long it has run and waited for a processor; empty where that cannot be read."""
    with suppress(OSError), open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return file.read()
    return ""


def _fields(pid: int) -> list[str]:
    """State, parent, ... of a process; empty once it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
    return []


def lineage(pid: int, below: int) -> list[int]:
    """A process, its first child, the first child of that, ... (not every kernel lists them)."""
    found = [pid]
    while below and (pid := _first_child(pid)):
        found.append(pid)
        below -= 1
    return found


def _first_child(pid: int) -> int:
    """0 where there is none."""
    processes = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return next((each for each in processes if _fields(each)[1:2] == [str(pid)]), 0)
