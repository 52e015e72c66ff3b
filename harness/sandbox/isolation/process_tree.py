"""CPU time and memory of a program and all processes below it, and whether any of them runs.

Read from the machine's /proc through a descriptor opened before the root was changed, so it works where the programs
themselves have no /proc. Each figure is a sum over the live tree; a process that has ended and was waited for counts in
its parent's figures. Where a control group counts (control_group.py) only the processes are asked for here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

_PF_FORKNOEXEC = 0x40
_TICK = os.sysconf("SC_CLK_TCK")
# At most what a socket and a pipe hold: their sizes cannot be raised (seccomp.py, net.core.wmem_default).
_SOCKET_KIB, _PIPE_KIB, _KERNEL_FREE_KIB = 208, 64, 32 << 10
# What a process may hold that lets nobody see what it has open: as many sockets as it may have descriptors.
HIDDEN_MB = 256 * _SOCKET_KIB / 1024


@dataclass(frozen=True)
class TreeUsage:
    """`cpu_s` includes ended processes that were waited for, `own_cpu_s` is each live process's own; `memory_mb` is
    resident memory without file pages, and what the kernel holds for it beyond what a runtime needs. `hidden`: the
    processes of which that could not be seen, because they run a file that they may execute and not read.
    """

    own_cpu_s: Mapping[int, float]
    cpu_s: float
    memory_mb: float
    hidden: frozenset[int]

    @property
    def processes(self) -> tuple[int, ...]:
        return tuple(self.own_cpu_s)


def lists_children(proc: int) -> bool:
    """Whether this kernel lists a process's children (CONFIG_PROC_CHILDREN)."""
    try:
        _children(proc, os.readlink("self", dir_fd=proc))
    except OSError:
        return False
    return True


def measure(proc: int, memory: bool = True) -> TreeUsage:
    """Usage of everything below the calling process. One that ends meanwhile counts as far as it was read."""
    pending = _children(proc, os.readlink("self", dir_fd=proc))
    own: dict[int, float] = {}
    channels: set[str] = set()
    hidden: set[int] = set()
    ticks = kib = kernel_kib = 0
    while pending:
        pid = pending.pop()
        try:
            fields = _read(proc, f"{pid}/stat").rpartition(b")")[2].split()
            ticks += sum(map(int, fields[11:15]))
            own_cpu = max(sum(map(int, fields[11:13])) / _TICK, _precise_cpu_s(proc, pid))
            if memory:
                place, status = _shown(proc, pid)
                kib += _kib(status, b"RssAnon:", b"RssShmem:")
                kernel_kib += _kib(status, b"VmPTE:")
                seen = _channels(proc, place)
                channels |= seen or set()
                if seen is None and _shown(proc, pid)[1]:  # else it is ending
                    hidden.add(pid)
            pending += _children(proc, str(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
        own[pid] = own_cpu
    kernel_kib += sum(_SOCKET_KIB if name.startswith("socket") else _PIPE_KIB for name in channels)
    memory_mb = (kib + max(0, kernel_kib - _KERNEL_FREE_KIB)) / 1024
    return TreeUsage(own, ticks / _TICK, memory_mb, frozenset(hidden))


def _shown(proc: int, pid: int) -> tuple[str, bytes]:
    """Where /proc shows what the process has: at its first thread, or at another where that has ended; and its status
    there, empty where all have.
    """
    for place in (str(pid), *(f"{pid}/task/{thread}" for thread in _list(proc, f"{pid}/task"))):
        try:
            if b"VmPTE:" in (status := _read(proc, f"{place}/status")):
                return place, status
        except (FileNotFoundError, ProcessLookupError):
            continue
    return str(pid), b""


def _precise_cpu_s(proc: int, pid: int) -> float:
    """Of its first thread, in nanoseconds where ticks would be zero."""
    return int(_read(proc, f"{pid}/schedstat").split()[0]) / 1e9


def running(proc: int, processes: tuple[int, ...]) -> bool:
    """Whether any thread of these processes runs, or waits for a processor or a disk."""
    for pid in processes:
        try:
            for thread in _list(proc, f"{pid}/task"):
                if _read(proc, f"{pid}/task/{thread}/stat").rpartition(b")")[2].split()[0] in (b"R", b"D"):
                    return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def parent(proc: int, thread: int) -> int:
    """Of the thread's process; 0 where it has ended."""
    try:
        return int(_read(proc, f"{thread}/stat").rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def has_executed(proc: int, pid: int) -> bool:
    """Whether it has executed a file since it was forked: the kernel sets PF_FORKNOEXEC in each new process and clears
    it once, so that no process has it again.
    """
    try:
        return not int(_read(proc, f"{pid}/stat").rpartition(b")")[2].split()[6]) & _PF_FORKNOEXEC
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(proc: int, pid: str) -> list[int]:
    pids: list[int] = []
    for thread in _list(proc, f"{pid}/task"):
        pids += map(int, _read(proc, f"{pid}/task/{thread}/children").split())
    return pids


def _kib(status: bytes, *names: bytes) -> int:
    """The sum of these lines: anonymous memory, shared or not; page tables."""
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(names))


def _channels(proc: int, place: str) -> set[str] | None:
    """The sockets and pipes that a process has open; several processes may have the same. None: not to be seen."""
    found: set[str] = set()
    try:
        fd = os.open(f"{place}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except PermissionError:
        return None
    try:
        for name in os.listdir(fd):
            try:
                target = os.readlink(name, dir_fd=fd)
            except OSError:
                continue  # closed meanwhile
            if target.startswith(("socket:", "pipe:")):
                found.add(target)
    finally:
        os.close(fd)
    return found


def _list(proc: int, path: str) -> list[str]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _read(proc: int, path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)
