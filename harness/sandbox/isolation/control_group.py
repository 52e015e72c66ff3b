"""A control group for everything that a worker starts: the kernel then counts its memory and CPU time, shared pages,
sockets, pipes, page tables and children that nobody waits for included.

The controller makes one per worker where the machine lets it, version 2 (below a group that is delegated to this user,
or as root) or version 1 (as root). Whoever made a group holds a lock on it, so the next one can tell which groups were
left behind by a process that was killed. Where there is no group, process_tree.py counts.
"""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.sandbox.isolation import left_behind

_PREFIX = "codelm-harness-"
_PATIENCE = 50
_MB = 1 << 20
# What a runtime needs of the kernel (stacks, page tables, descriptors) is not the program's.
KERNEL_FREE_MB = 32


@dataclass(frozen=True)
class GroupFolders:
    """The folders of one group: one in version 2; memory's and CPU time's in version 1. `locks`: held by the maker."""

    paths: tuple[str, ...]
    locks: tuple[int, ...]

    def remove(self) -> None:
        """When its processes are gone, or nearly."""
        for path, lock in zip(self.paths, self.locks, strict=True):
            for _ in range(_PATIENCE):
                try:
                    os.rmdir(path)
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY:
                        break  # gone already
                time.sleep(0.02)
            os.close(lock)


def make() -> GroupFolders | None:
    """A new group, None where this process may not make one that counts memory."""
    name = f"{_PREFIX}{secrets.token_hex(6)}"
    for parents in _candidates():
        made: list[str] = []
        locks: list[int] = []
        try:
            for parent in parents:
                for left in left_behind.unheld(parent, _PREFIX):
                    os.rmdir(left)
                os.mkdir(path := os.path.join(parent, name))
                made.append(path)
                locks.append(left_behind.hold(path))
            _Files(tuple(made)).close()  # all that will be needed is there, and may be written
        except OSError:
            for lock in locks:
                os.close(lock)
            for path in made:
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            continue
        return GroupFolders(tuple(made), tuple(locks))
    return None


def _candidates() -> Iterator[tuple[str, ...]]:
    """Folders in which a group could be made, the nearest first."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [_mount(line) for line in file]
    except OSError:
        return
    own = {controllers: path for _, controllers, path in lines}
    for kind, root, place, _ in mounts:
        if kind == "cgroup2":
            for folder in _upwards(place, root, own.get("", "/")):
                with contextlib.suppress(OSError), open(f"{folder}/cgroup.subtree_control") as file:
                    if "memory" in file.read().split():
                        yield (folder,)
    first: dict[str, str] = {}
    for kind, root, place, options in mounts:
        if kind == "cgroup":
            for controller in {"memory", "cpuacct"} & options:
                path = next((p for names, p in own.items() if controller in names.split(",")), "/")
                first.setdefault(controller, next(_upwards(place, root, path)))
    if len(first) == 2:
        yield first["memory"], first["cpuacct"]


def _mount(line: str) -> tuple[str, str, str, set[str]]:
    """Type, root within its file system, mount point and options of a line of mountinfo."""
    before, _, after = line.partition(" - ")
    fields, kind = before.split(), after.split()
    return kind[0], fields[3], fields[4], set(kind[-1].split(","))


def _upwards(place: str, root: str, path: str) -> Iterator[str]:
    """The folder of this process's group below the mount, then those above it."""
    if not f"{path}/".startswith(root.rstrip("/") + "/"):
        path = root  # its own group is not within what is mounted here
    inner = [*filter(None, path.removeprefix(root.rstrip("/")).split("/"))]
    for count in range(len(inner), -1, -1):
        yield os.path.join(place, *inner[:count])


class _Files:
    """A group's files, opened while they can be reached by name and with the rights of whoever made them."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.fds: list[int] = []
        self.version = 1 if len(paths) == 2 else 2
        memory, cpu = paths[0], paths[-1]
        try:
            self.procs = [self._open(f"{path}/cgroup.procs", os.O_WRONLY) for path in paths]
            self.stat = self._open(f"{memory}/memory.stat")
            if self.version == 2:
                self.limits = [self._open(f"{memory}/memory.max", os.O_WRONLY)]
                self.events = self._open(f"{memory}/memory.events")
                self.cpu = self._open(f"{cpu}/cpu.stat")
                self._write(f"{memory}/memory.swap.max", b"0")
                self._write(f"{memory}/memory.oom.group", b"1")
            else:
                self.limits = [self._open(f"{memory}/memory.limit_in_bytes", os.O_WRONLY)]
                self.events = self._open(f"{memory}/memory.oom_control")
                self.cpu = self._open(f"{cpu}/cpuacct.usage")
                self.kernel = self._open(f"{memory}/memory.kmem.usage_in_bytes")
                self._write(f"{memory}/memory.swappiness", b"0")
        except OSError:
            self.close()
            raise

    def _open(self, path: str, flags: int = os.O_RDONLY) -> int:
        self.fds.append(os.open(path, flags | os.O_CLOEXEC))
        return self.fds[-1]

    def _write(self, path: str, text: bytes) -> None:
        with contextlib.suppress(OSError):  # a machine without swap has no such file
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text)
            finally:
                os.close(fd)

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())


@dataclass(frozen=True)
class GroupUsage:
    """Since `begin`: CPU seconds of all processes that were in the group; memory that is in use now, without what the
    kernel can drop, and that of files in memory apart.
    """

    cpu_s: float
    memory_mb: float
    files_mb: float


class ControlGroup:
    """A worker's group, used for one step after another. Everything a step starts is in it with its first process."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        """Raises OSError where the group may not be used."""
        self._files = _Files(paths)
        self._begun = (0.0, 0.0, 0.0)
        self._killed = 0

    def join(self) -> None:
        """Move the calling process into the group. Raises OSError."""
        for fd in self._files.procs:
            os.write(fd, b"0")

    def begin(self, megabytes: int) -> None:
        """Before a step: from now on it counts; beyond so much memory, files included, the kernel ends processes."""
        for fd in self._files.limits:
            with contextlib.suppress(
                OSError
            ):  # what is left of the last step is in the way: the monitor counts
                os.pwrite(fd, str(megabytes * _MB).encode(), 0)
        self._begun = (self._cpu_s(), *self._memory_mb()[1:])
        self._killed = self._kills()

    def measure(self) -> GroupUsage:
        cpu_s, kernel_mb, files_mb = self._begun
        anonymous, kernel, files = self._memory_mb()
        beyond = max(0.0, kernel - kernel_mb - KERNEL_FREE_MB)
        return GroupUsage(self._cpu_s() - cpu_s, anonymous + beyond, max(0.0, files - files_mb))

    @property
    def ran_out(self) -> bool:
        """Whether the kernel has ended a process of this step for its memory."""
        return self._kills() > self._killed

    def _cpu_s(self) -> float:
        if self._files.version == 1:
            return int(_read(self._files.cpu)) / 1e9
        return _table(self._files.cpu)["usage_usec"] / 1e6

    def _memory_mb(self) -> tuple[float, float, float]:
        """Of programs, of the kernel for them, and of files in memory (shared mappings are such, too)."""
        found = _table(self._files.stat)
        if self._files.version == 1:
            values = (found["total_rss"], int(_read(self._files.kernel)), found["total_shmem"])
        else:
            parts = ("kernel",) if "kernel" in found else ("kernel_stack", "pagetables", "slab", "sock")
            values = (found["anon"], sum(found.get(part, 0) for part in parts), found["shmem"])
        anonymous, kernel, files = (value / _MB for value in values)
        return anonymous, kernel, files

    def _kills(self) -> int:
        return _table(self._files.events).get("oom_kill", 0)


def _table(fd: int) -> Mapping[str, int]:
    """A file of lines with a name and a number."""
    return {name.decode(): int(value) for name, value in (line.split() for line in _read(fd).splitlines())}


def _read(fd: int) -> bytes:
    return os.pread(fd, 1 << 14, 0)
