"""What a program and everything it started use: CPU, memory, and whether any of it runs.

Read from the machine's /proc through a descriptor taken before the root was changed, so it works where the
programs themselves see none. Every figure is a sum over the living tree; what has ended and was waited for is in its
parent's sums.
"""

import os
from dataclasses import dataclass

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class TreeUsage:
    """`cpu_s` of the living and of the dead they waited for; `memory_mb` resident, without pages of files."""

    processes: tuple[int, ...]
    cpu_s: float
    memory_mb: float


def lists_children(proc: int) -> bool:
    """Whether this kernel tells a process's children (CONFIG_PROC_CHILDREN)."""
    try:
        _children(proc, os.readlink("self", dir_fd=proc))
    except OSError:
        return False
    return True


def measure(proc: int) -> TreeUsage:
    """At everything below the calling process. Processes that end meanwhile count for what was seen."""
    todo = _children(proc, os.readlink("self", dir_fd=proc))
    found: list[int] = []
    ticks = kib = 0
    while todo:
        pid = todo.pop()
        try:
            fields = _read(proc, f"{pid}/stat").rpartition(b")")[2].split()
            ticks += sum(map(int, fields[11:15]))
            kib += _anonymous(_read(proc, f"{pid}/status"))
            todo += _children(proc, str(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append(pid)
    return TreeUsage(tuple(found), ticks / _TICK, kib / 1024)


def running(proc: int, processes: tuple[int, ...]) -> bool:
    """Whether any thread of these runs, waits for a processor, or for a disk."""
    for pid in processes:
        try:
            for thread in _names(proc, f"{pid}/task"):
                if _read(proc, f"{pid}/task/{thread}/stat").rpartition(b")")[2].split()[0] in (b"R", b"D"):
                    return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def _children(proc: int, pid: str) -> list[int]:
    found: list[int] = []
    for thread in _names(proc, f"{pid}/task"):
        found += map(int, _read(proc, f"{pid}/task/{thread}/children").split())
    return found


def _anonymous(status: bytes) -> int:
    """KiB of memory that no file stands behind, shared or not."""
    kib = 0
    for line in status.splitlines():
        if line.startswith((b"RssAnon:", b"RssShmem:")):
            kib += int(line.split()[1])
    return kib


def _names(proc: int, path: str) -> list[str]:
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
